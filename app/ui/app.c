/* SPDX-License-Identifier: Apache-2.0
 *
 * The terminal program: start, the loop that waits for keys, signals and messages, and the end.
 * While nothing happens it waits without a timer.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/config.h"
#include "app/paths.h"
#include "app/ui/app_private.h"
#include "app/words.h"
#include "engine/base/clock.h"

const struct view_ops *const app_views[VIEWS] = {
    [VIEW_ASK] = &view_ask,       [VIEW_SOURCES] = &view_sources,
    [VIEW_READER] = &view_reader, [VIEW_SESSIONS] = &view_sessions,
    [VIEW_MODELS] = &view_models, [VIEW_WELCOME] = &view_welcome,
    [VIEW_FIND] = &view_find,     [VIEW_FILES] = &view_files,
    [VIEW_HELP] = &view_help,
};

/* ---- what views ask for ---- */

char *app_safe(const char *text, size_t size) {
    static char nothing[] = "";
    char *safe = safe_text_of(text ? text : nothing, text ? size : 0, SAFE_NAME);
    return safe ? safe : strdup("?");
}

void app_say(struct app *a, unsigned style, const char *format, ...) {
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    styled_clear(&a->status);
    styled_put_safe(&a->status, text, strlen(text), SAFE_NAME, style | STYLE_BOLD);
    a->stopping = false;
    a->dirty = true;
}

unsigned app_context(const struct app *a, enum view_id view) {
    (void)a;
    return app_views[view]->context;
}

void app_show(struct app *a, enum view_id view) {
    if (a->view != view && view == VIEW_HELP) {
        a->before = a->view;
        a->typed_before = a->typing;
    }
    bool from_help = a->view == VIEW_HELP && view == a->before;
    a->view = view;
    a->typing =
        view == VIEW_WELCOME || (from_help && a->typed_before) || (view == VIEW_ASK && a->typing);
    if (app_views[view]->show) {
        app_views[view]->show(a, a->states[view]);
    }
    a->dirty = true;
}

static void begin_prompt(struct app *a, const char *label, const char *text, bool path, bool yes_no,
                         void (*done)(struct app *a, const char *text)) {
    a->prompt.on = true;
    a->prompt.path = path;
    a->prompt.yes_no = yes_no;
    a->prompt.done = done;
    snprintf(a->prompt.label, sizeof a->prompt.label, "%s", label);
    editor_set(&a->prompt.editor, text);
}

void app_prompt(struct app *a, const char *label, const char *text, bool path,
                void (*done)(struct app *a, const char *text)) {
    begin_prompt(a, label, text, path, false, done);
}

void app_question(struct app *a, const char *text, void (*done)(struct app *a, const char *text)) {
    begin_prompt(a, text, "", false, true, done);
}

void app_about(struct app *a, const char *subject) {
    char *copy = strdup(subject);
    free(a->subject);
    a->subject = copy;
}

/* Writes `text` into STATE/copy.txt and gives its path, to be freed. */
static char *write_copy(const char *text, size_t size, struct error *error) {
    struct paths paths;
    if (!paths_init(&paths, error)) {
        return NULL;
    }
    char *path = paths_join(paths.state, "copy", ".txt");
    int fd = path && paths_make(paths.state, error)
                 ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)
                 : -1;
    bool ok = fd >= 0 && write(fd, text, size) == (ssize_t)size;
    if (!ok) {
        error_set(error, ERROR_FAILURE, "cannot write %s: %s", path ? path : "?", strerror(errno));
        free(path);
        path = NULL;
    }
    if (fd >= 0) {
        close(fd);
    }
    paths_finish(&paths);
    return path;
}

void app_copy(struct app *a, const char *text, size_t size) {
    struct error error = {0};
    char *path = write_copy(text, size, &error);
    screen_copy(text, size);
    if (path) {
        app_say(a, STYLE_PLAIN, "copied for the terminal's clipboard, and to %s", path);
    } else {
        app_say(a, STYLE_WARN, "copied for the terminal's clipboard; %s", error.text);
    }
    free(path);
}

/* ---- the loop ---- */

static void take_signals(struct app *a) {
    struct screen_signals s = screen_signals();
    if (s.resize) {
        screen_resize();
        a->dirty = true;
    }
    if (s.suspend) {
        screen_suspend();
        a->dirty = true;
    }
    if (s.interrupt) {
        app_act(a, ACTION_STOP);
        a->dirty = true;
    }
    if (s.end) {
        a->quit = true;
        a->code = 128 + s.end;
    }
}

static void take_messages(struct app *a) {
    struct message *m;
    while ((m = mailbox_take(a->mailbox))) {
        app_message(a, m);
        message_destroy(m);
    }
}

/* Keys that are there are taken together, a paste even over several pictures. False: none was. */
static bool take_keys(struct app *a) {
    int key;
    bool any = false;
    double until = clock_seconds() + 0.03;
    while (!a->quit && clock_seconds() < until && screen_key(&key)) {
        app_key(a, key);
        any = true;
    }
    return any;
}

static bool work(struct app *a) {
    bool more = false;
    for (size_t i = 0; i < VIEWS; i++) {
        bool front = i == a->view || (app_wide() && i == VIEW_READER && a->view == VIEW_ASK);
        more = (front && app_views[i]->work && app_views[i]->work(a, a->states[i])) || more;
    }
    return more;
}

static void loop(struct app *a) {
    bool more = false;
    while (!a->quit) {
        if (a->dirty) {
            a->dirty = false;
            app_draw(a);
        }
        struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                               {.fd = mailbox_fd(a->mailbox), .events = POLLIN}};
        int n = poll(fds, 2, more || a->dirty ? 0 : -1);
        if (n < 0 && errno != EINTR) {
            break;
        }
        take_messages(a); /* empties the pipe, so before the flags are read: else one that is set
                             in between would wake nobody */
        take_signals(a);
        const bool keys = n > 0 && fds[0].revents & POLLIN && take_keys(a);
        if (n > 0 && !keys && fds[0].revents & (POLLHUP | POLLERR | POLLNVAL)) {
            a->quit = true; /* the terminal is gone, even if SIGHUP is ignored */
            a->code = a->code ? a->code : 128 + SIGHUP;
        }
        more = !a->quit && work(a);
    }
}

/* ---- start and end ---- */

static bool bind_keys(struct app *a, const struct options *options, struct error *error) {
    keys_init(&a->keys);
    for (size_t i = 0; options->config && i < options->config->key_count; i++) {
        const struct config_key *k = &options->config->keys[i];
        if (!keys_bind(&a->keys, k->name, k->value, error)) {
            return error_prefix(error, "config.ini, [keys], %s", k->name);
        }
    }
    return true;
}

static bool start(struct app *a, struct error *error) {
    a->mailbox = mailbox_create(error);
    a->words = words_create();
    bool ok = (a->words || error_set(error, ERROR_NO_SPACE, "out of memory")) && a->mailbox &&
              screen_start(a->options.colour, mailbox_wake_fd(a->mailbox), error);
    for (size_t i = 0; ok && i < VIEWS; i++) {
        a->states[i] = app_views[i]->create(a);
        ok = a->states[i] || error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    return ok && (a->engine = worker_create(&a->options, a->mailbox, error)) &&
           (a->fetcher = worker_create(&a->options, a->mailbox, error));
}

/* Threads that do not end in time may only be left behind by leaving altogether; what they
 * committed is safe. */
static void stop_workers(struct app *a) {
    bool ended = worker_destroy(a->engine, 1.5);
    ended = worker_destroy(a->fetcher, 0.4) && ended;
    if (!ended) {
        screen_stop();
        _exit(a->code);
    }
}

static void finish(struct app *a) {
    stop_workers(a);
    screen_stop();
    for (size_t i = 0; i < VIEWS; i++) {
        app_views[i]->destroy(a->states[i]);
    }
    app_close_store(a);
    mailbox_destroy(a->mailbox);
    editor_finish(&a->editor);
    editor_finish(&a->prompt.editor);
    bytes_finish(&a->paste);
    styled_finish(&a->status);
    app_forget_paths(a);
    free(a->reading.text);
    free(a->reading.detail);
    free(a->fetching.text);
    free(a->fetching.detail);
    free(a->search);
    free(a->session);
    free(a->model);
    free(a->new_model);
    free(a->subject);
    free(a->mark);
    free(a->notice);
    words_destroy(a->words);
}

int app_run(const struct options *options, const char *session, struct error *error) {
    struct app a = {.options = *options, .view = VIEW_WELCOME};
    bool ok = bind_keys(&a, options, error) && start(&a, error);
    if (ok) {
        char *last = session ? NULL : app_last_session();
        session = session ? session : last;
        a.view = session ? VIEW_ASK : VIEW_WELCOME;
        a.typing = true;
        app_draw(&a); /* before anything that takes time */
        if (session) {
            app_open(&a, session);
        }
        app_show(&a, a.view);
        free(last);
        loop(&a);
    }
    finish(&a);
    return ok ? a.code : (int)error->code;
}
