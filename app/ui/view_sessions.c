/* SPDX-License-Identifier: Apache-2.0
 *
 * View Sessions: the saved sessions of this machine. Names are listed at once; what each holds is
 * read from its file one after the other, between keys.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "app/paths.h"
#include "app/progress.h"
#include "app/ui/app.h"
#include "app/ui/list.h"
#include "storage/session.h"

struct session_row {
    char *name;
    time_t changed;
    bool known; /* what follows has been read */
    struct store_session session;
    struct store_sizes sizes;
    char *trouble; /* filtered, or NULL */
};

struct sessions {
    struct session_row *rows; /* by name */
    size_t count;
    struct list list;
};

static void forget(struct sessions *v) {
    for (size_t i = 0; i < v->count; i++) {
        free(v->rows[i].name);
        free(v->rows[i].trouble);
        store_session_finish(&v->rows[i].session);
    }
    free(v->rows);
    v->rows = NULL;
    v->count = 0;
}

static void *create(struct app *a) {
    (void)a;
    return calloc(1, sizeof(struct sessions));
}

static void destroy(void *state) {
    struct sessions *v = state;
    if (v) {
        forget(v);
        list_finish(&v->list);
        free(v);
    }
}

/* ---- the list ---- */

static int by_name(const void *a, const void *b) {
    const struct session_row *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static void add_row(struct sessions *v, const char *folder, const char *file) {
    size_t n = strlen(file);
    struct stat info;
    if (n <= 3 || file[0] == '.' || strcmp(file + n - 3, ".db") != 0) {
        return;
    }
    struct session_row *grown = realloc(v->rows, (v->count + 1) * sizeof *grown);
    char *path = paths_join(folder, file, "");
    if (grown) {
        v->rows = grown;
        char *name = path && stat(path, &info) == 0 ? strndup(file, n - 3) : NULL;
        if (name) {
            v->rows[v->count++] = (struct session_row){.name = name, .changed = info.st_mtime};
        }
    }
    free(path);
}

static void list_files(struct sessions *v) {
    struct paths paths;
    struct error none;
    if (!paths_init(&paths, &none)) {
        return;
    }
    char *folder = paths_join(paths.data, "sessions", "");
    DIR *dir = folder ? opendir(folder) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        add_row(v, folder, entry->d_name);
    }
    if (dir) {
        closedir(dir);
    }
    free(folder);
    paths_finish(&paths);
    if (v->count > 1) {
        qsort(v->rows, v->count, sizeof *v->rows, by_name);
    }
}

static void put_row(struct app *a, struct list *l, const struct session_row *r, long index) {
    char size[PROGRESS_SIZE], memory[PROGRESS_SIZE], when[32] = "";
    bool open = a->session && strcmp(a->session, r->name) == 0;
    struct tm tm;
    if (localtime_r(&r->changed, &tm)) {
        strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
    }
    styled_puts(&l->styled, open ? "* " : "  ", STYLE_BOLD);
    styled_put_safe(&l->styled, r->name, strlen(r->name), SAFE_NAME,
                    open ? STYLE_BOLD : STYLE_PLAIN);
    list_pad(l, 26);
    if (r->trouble) {
        styled_printf(&l->styled, STYLE_WARN, " ! %s", r->trouble);
    } else if (r->known) {
        const struct store_session *s = &r->session;
        styled_printf(&l->styled, STYLE_PLAIN, " %9lld tokens  memory %8s of %8s",
                      (long long)s->position, progress_bytes(r->sizes.memory, memory),
                      progress_bytes(r->sizes.file, size));
        unsigned long long turns = s->turns / 2;
        styled_printf(&l->styled, STYLE_PLAIN, " %4llu source%s %4llu turn%s  ",
                      (unsigned long long)s->documents, s->documents == 1 ? " " : "s", turns,
                      turns == 1 ? " " : "s");
        styled_put_safe(&l->styled, s->maker.model.data, s->maker.model.size, SAFE_NAME,
                        STYLE_PLAIN);
    }
    styled_printf(&l->styled, STYLE_DIM, "  %s", when);
    list_end(l, index);
}

static void build(struct app *a, struct sessions *v) {
    list_clear(&v->list);
    for (size_t i = 0; i < v->count; i++) {
        put_row(a, &v->list, &v->rows[i], (long)i);
    }
}

static bool choose_name(struct sessions *v, const char *name) {
    for (size_t i = 0; name && i < v->count; i++) {
        if (strcmp(v->rows[i].name, name) == 0) {
            list_choose(&v->list, (long)i);
            return true;
        }
    }
    return false;
}

static void show(struct app *a, void *state) {
    struct sessions *v = state;
    long chosen = list_chosen(&v->list);
    char *name = chosen >= 0 && (size_t)chosen < v->count ? strdup(v->rows[chosen].name) : NULL;
    forget(v);
    list_files(v);
    build(a, v);
    if (!choose_name(v, name)) {
        choose_name(v, a->session); /* it was renamed, or it is gone */
    }
    free(name);
}

/* Reads one of the files. */
static bool work(struct app *a, void *state) {
    struct sessions *v = state;
    size_t i = 0;
    while (i < v->count && v->rows[i].known) {
        i++;
    }
    if (i == v->count) {
        return false;
    }
    struct session_row *r = &v->rows[i];
    struct paths paths;
    struct error error;
    char *path = NULL;
    if (paths_init(&paths, &error)) {
        path = paths_session(&paths, r->name, &error);
        paths_finish(&paths);
    }
    const struct store_options o = {.mode = STORE_READ, .skip_check = true};
    struct store *store = path ? store_open(path, &o, &error) : NULL;
    if (!store || !store_session_get(store, &r->session, &error) ||
        !store_sizes(store, &r->sizes, &error)) {
        r->trouble = app_safe(error.text, strlen(error.text));
    }
    store_close(store);
    free(path);
    r->known = true;
    build(a, v);
    a->dirty = true;
    return true;
}

static void message(struct app *a, void *state, const struct message *m) {
    bool files = m->job == JOB_FORK || m->job == JOB_RENAME || m->job == JOB_REMOVE ||
                 m->job == JOB_INGEST || m->job == JOB_UPDATE;
    if (m->kind == MESSAGE_END && files) {
        show(a, state);
    }
}

static void draw(struct app *a, void *state, struct area area) {
    struct sessions *v = state;
    (void)a;
    if (v->count == 0) {
        screen_puts(area, 0, 0, STYLE_DIM, "No sessions yet.");
        screen_puts(area, 1, 0, STYLE_DIM, "a: a new one from a file or folder");
    }
    list_draw(&v->list, area, true);
}

/* ---- keys ---- */

static void rename_to(struct app *a, const char *name) {
    struct error error;
    if (!paths_check_name("session", name, &error)) {
        app_say(a, STYLE_WARN, "%s", error.text);
        return;
    }
    bool open = a->session && strcmp(a->session, a->subject) == 0;
    if (open) {
        app_open(a, NULL); /* the file must be free; what follows is not stopped with it */
    }
    app_submit(a, JOB_RENAME, a->subject, name);
    if (open) {
        app_open(a, name);
    }
}

static void fork_to(struct app *a, const char *name) {
    struct error error;
    if (!paths_check_name("session", name, &error)) {
        app_say(a, STYLE_WARN, "%s", error.text);
        return;
    }
    app_fork(a, a->subject, name);
}

static void remove_it(struct app *a, const char *yes) {
    (void)yes;
    if (a->session && strcmp(a->session, a->subject) == 0) {
        app_open(a, NULL);
    }
    app_submit(a, JOB_REMOVE, a->subject, NULL);
}

static void read_new(struct app *a, const char *path) {
    app_read(a, &path, 1, true);
}

static bool act_on(struct app *a, struct sessions *v, enum action action, const char *name) {
    char text[300];
    char *safe = app_safe(name, strlen(name));
    app_about(a, name);
    switch (action) {
    case ACTION_OPEN:
        app_open(a, name);
        app_show(a, VIEW_ASK);
        break;
    case ACTION_RENAME:
        app_prompt(a, "Rename to: ", safe, false, rename_to);
        break;
    case ACTION_FORK:
        snprintf(text, sizeof text, "%s-2", safe);
        app_prompt(a, "Name of the copy: ", text, false, fork_to);
        break;
    default:
        snprintf(text, sizeof text, "Delete session %s with all its answers? y/n ", safe);
        app_question(a, text, remove_it);
        break;
    }
    free(safe);
    (void)v;
    return true;
}

static bool act(struct app *a, void *state, enum action action) {
    struct sessions *v = state;
    long chosen = list_chosen(&v->list);
    const char *name = chosen >= 0 ? v->rows[chosen].name : NULL;
    switch (action) {
    case ACTION_ADD:
        app_prompt(a, "File or folder for a new session: ", "", true, read_new);
        return true;
    case ACTION_OPEN:
    case ACTION_RENAME:
    case ACTION_FORK:
    case ACTION_REMOVE:
        return !name || act_on(a, v, action, name);
    default:
        return app_list_act(a, &v->list, action);
    }
}

const struct view_ops view_sessions = {
    .name = "Sessions",
    .context = IN_SESSIONS,
    .create = create,
    .destroy = destroy,
    .show = show,
    .message = message,
    .work = work,
    .draw = draw,
    .act = act,
};
