/* SPDX-License-Identifier: Apache-2.0
 *
 * The session that is open, and the jobs on it. The screen's thread has the file open to look; the
 * worker has it open with the model.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/models.h"
#include "app/paths.h"
#include "app/progress.h"
#include "app/ui/app_private.h"
#include "app/ui/complete.h"
#include "storage/session.h"

/* ---- jobs ---- */

uint64_t app_submit(struct app *a, enum job_kind kind, const char *name, const char *text) {
    return worker_submit(kind >= JOB_GET ? a->fetcher : a->engine, job_create(kind, name, text));
}

void app_choose_model(struct app *a) {
    struct model_choice choice = {0};
    struct installed_models list = {0};
    struct error none;
    if (!a->new_model && !a->options.model && !model_choose(&choice, NULL, &none) &&
        installed_models_read(&list, &none)) {
        for (size_t i = 0; i < list.count && !a->new_model; i++) {
            if (list.models[i].there) {
                a->new_model = strdup(list.models[i].name);
            }
        }
    }
    installed_models_finish(&list);
    model_choice_finish(&choice);
}

static bool submit_reading(struct app *a) {
    struct job *job = a->path_count ? job_create(JOB_INGEST, a->session, NULL) : NULL;
    for (size_t i = 0; job && i < a->path_count; i++) {
        if (!job_add_path(job, a->paths[i])) {
            job_destroy(job);
            job = NULL;
        }
    }
    if (job && a->made_here && a->new_model) {
        job->model = strdup(a->new_model);
    }
    return worker_submit(a->engine, job) != 0;
}

void app_stop(struct app *a, bool all) {
    worker_stop(a->engine);
    app_say(a, STYLE_PLAIN, "stopping...");
    a->stopping = true;
    if (all) {
        a->resume = false;
        worker_stop(a->fetcher);
    } else if (a->resume) {
        submit_reading(a);
    }
}

void app_progress(const struct activity *p, char *text, size_t size) {
    double elapsed = progress_clock() - p->begin;
    double speed = elapsed > 0.5 ? (double)(p->done - p->begun) / elapsed : 0;
    bool tokens = p->job < JOB_GET;
    if (p->total == 0) {
        snprintf(text, size, tokens ? "looking at the files..." : "...");
        return;
    }
    size_t n =
        (size_t)snprintf(text, size, "%llu %%", (unsigned long long)(100 * p->done / p->total));
    if (speed >= 1 && n < size) {
        char rate[PROGRESS_SIZE + 20];
        snprintf(rate, sizeof rate, "%.0f tokens", speed);
        double left = (double)(p->total - p->done) / speed;
        n += (size_t)snprintf(text + n, size - n, ", %s/s, %u:%02u left",
                              tokens ? rate : progress_bytes((unsigned long long)speed, rate),
                              (unsigned)left / 60, (unsigned)left % 60);
    }
    if (p->text && *p->text && n < size) {
        n += (size_t)snprintf(text + n, size - n, ": %s", p->text);
    }
    if (p->detail && *p->detail && n < size) {
        n += (size_t)snprintf(text + n, size - n, ", %s", p->detail);
    }
    /* What did not fit may be cut inside a character. */
    n = n < size ? n : size - 1;
    while (n > 0 && n == size - 1 && ((unsigned char)text[n - 1] & 0x80)) {
        text[--n] = '\0';
    }
}

/* ---- the session's file ---- */

static bool session_exists(const char *name) {
    struct paths paths;
    struct error none;
    struct stat info;
    if (!paths_init(&paths, &none)) {
        return false;
    }
    char *path = paths_session(&paths, name, &none);
    bool yes = path && stat(path, &info) == 0;
    free(path);
    paths_finish(&paths);
    return yes;
}

void app_close_store(struct app *a) {
    store_close(a->store);
    a->store = NULL;
}

static void open_store(struct app *a) {
    struct paths paths;
    struct error error;
    const struct store_options o = {.mode = STORE_READ, .skip_check = true};
    struct store_session stored;
    if (a->store || !a->session || !paths_init(&paths, &error)) {
        return;
    }
    char *path = paths_session(&paths, a->session, &error);
    a->store = path ? store_open(path, &o, &error) : NULL;
    if (!a->store) {
        app_say(a, STYLE_WARN, "%s", error.text);
    } else if (store_session_get(a->store, &stored, &error)) {
        a->position = (uint64_t)stored.position;
        if (!a->model && stored.maker.model.size) {
            a->model = app_safe(stored.maker.model.data, stored.maker.model.size);
        }
        store_session_finish(&stored);
    }
    free(path);
    paths_finish(&paths);
}

void app_refresh(struct app *a) {
    for (size_t i = 0; i < VIEWS; i++) {
        if (app_views[i]->refresh) {
            app_views[i]->refresh(a, a->states[i]);
        }
    }
    a->dirty = true;
}

static void set_session(struct app *a, const char *session) {
    app_close_store(a);
    char *name = session ? strdup(session) : NULL;
    free(a->session);
    free(a->model);
    a->session = name;
    a->model = NULL;
    a->made_here = false;
    a->position = 0;
}

void app_open(struct app *a, const char *session) {
    if (a->session) {
        a->resume = false;
        worker_stop(a->engine);
    }
    /* After a fork or rename the file is not there yet: the store is opened when the worker has. */
    set_session(a, session);
    if (a->session) {
        app_submit(a, JOB_OPEN, a->session, NULL);
        if (session_exists(a->session)) {
            open_store(a);
        }
    }
    app_refresh(a);
}

/* What is submitted after the old session was left is not stopped with it. */
void app_fork(struct app *a, const char *session, const char *name) {
    char *from = strdup(session);
    app_open(a, NULL);
    if (from) {
        app_submit(a, JOB_FORK, from, name);
        app_open(a, name);
    }
    free(from);
}

char *app_last_session(void) {
    struct paths paths;
    struct error none;
    char *name = NULL;
    if (!paths_init(&paths, &none)) {
        return NULL;
    }
    char *folder = paths_join(paths.data, "sessions", "");
    DIR *dir = folder ? opendir(folder) : NULL;
    time_t newest = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        size_t n = strlen(entry->d_name);
        struct stat info;
        if (n > 3 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 3, ".db") == 0 &&
            fstatat(dirfd(dir), entry->d_name, &info, 0) == 0 &&
            (!name || info.st_mtime > newest)) {
            newest = info.st_mtime;
            free(name);
            name = strndup(entry->d_name, n - 3);
        }
    }
    if (dir) {
        closedir(dir);
    }
    free(folder);
    paths_finish(&paths);
    return name;
}

/* ---- reading ---- */

/* A name for a session, from the path of what it reads: "/books/Moby Dick.txt" is "Moby-Dick". */
static void name_after(const char *path, char name[PATHS_NAME_MAX + 1]) {
    char *full = realpath(path, NULL);
    const char *slash = strrchr(full ? full : path, '/');
    const char *last = slash && slash[1] ? slash + 1 : full ? full : path;
    const char *dot = strrchr(last, '.');
    size_t size = dot && dot > last ? (size_t)(dot - last) : strlen(last), n = 0;
    struct error none;
    for (size_t i = 0; i < size && n < 60; i++) {
        unsigned char c = (unsigned char)last[i];
        bool fit = c > ' ' && c < 0x7F && c != '/' && !(n == 0 && (c == '.' || c == '-'));
        name[n++] = fit ? (char)c : '-';
        n -= n == 1 && name[0] == '-';
    }
    name[n] = '\0';
    if (!paths_check_name("session", name, &none)) {
        snprintf(name, PATHS_NAME_MAX + 1, "session");
    }
    free(full);
    size_t base = strlen(name);
    for (int i = 2; session_exists(name) && i < 10000; i++) {
        snprintf(name + base, PATHS_NAME_MAX + 1 - base, "-%d", i);
    }
}

void app_forget_paths(struct app *a) {
    for (size_t i = 0; i < a->path_count; i++) {
        free(a->paths[i]);
    }
    free(a->paths);
    a->paths = NULL;
    a->path_count = 0;
}

static bool remember_paths(struct app *a, const char *first, const char *const *paths,
                           size_t count) {
    char **copies = calloc(count, sizeof *copies);
    bool ok = copies != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        copies[i] = strdup(i == 0 ? first : paths[i]);
        ok = copies[i] != NULL;
    }
    app_forget_paths(a);
    a->paths = copies;
    a->path_count = copies ? count : 0;
    return ok;
}

void app_read(struct app *a, const char *const *paths, size_t count, bool fresh) {
    char name[PATHS_NAME_MAX + 1];
    if (a->reading.on && a->reading.job == JOB_INGEST) {
        app_say(a, STYLE_PLAIN, "one reading at a time; Esc in Sources stops this one");
        return;
    }
    char *first = complete_expand(paths[0]);
    struct stat info;
    if (!first || stat(first, &info) != 0) {
        app_say(a, STYLE_WARN, "there is no file or folder %s", paths[0]);
        free(first);
        return;
    }
    if (fresh || !a->session) {
        name_after(first, name);
        worker_stop(a->engine);
        set_session(a, name);
        a->made_here = true;
        app_refresh(a);
    }
    bool ok = remember_paths(a, first, paths, count) && submit_reading(a);
    free(first);
    if (!ok) {
        app_say(a, STYLE_WARN, "out of memory");
        return;
    }
    if (a->view != VIEW_WELCOME) {
        app_show(a, VIEW_SOURCES);
    }
}

/* A question interrupts a reading, which goes on behind it: with the same paths, for the reading
 * may not have stored them yet. */
bool app_ask(struct app *a, const char *question, uint64_t *id) {
    if (!a->session) {
        app_say(a, STYLE_WARN, "no session is open: M-2, then a, reads a file or folder");
        return false;
    }
    if (a->reading.on && a->reading.job == JOB_INGEST) {
        worker_stop(a->engine);
        a->resume = true;
    }
    *id = app_submit(a, JOB_ASK, a->session, question);
    if (a->resume) {
        submit_reading(a);
    }
    return *id != 0;
}

/* ---- messages ---- */

static void activity_end(struct activity *p) {
    free(p->text);
    free(p->detail);
    *p = (struct activity){0};
}

static void activity_progress(struct activity *p, const struct message *m) {
    if (p->total == 0) {
        p->begin = progress_clock();
        p->begun = m->done;
    }
    p->done = m->done > p->done ? m->done : p->done;
    p->total = m->total;
    free(p->text);
    free(p->detail);
    const char *slash = m->text ? strrchr(m->text, '/') : NULL;
    const char *name = slash && slash[1] ? slash + 1 : m->text;
    p->text = name ? app_safe(name, strlen(name)) : NULL;
    p->detail = m->detail ? app_safe(m->detail, strlen(m->detail)) : NULL;
}

static void opened(struct app *a, const struct message *m) {
    if (!a->session || !m->name || strcmp(a->session, m->name) != 0) {
        return;
    }
    bool first = !a->store;
    open_store(a);
    free(a->model);
    a->model = m->text ? app_safe(m->text, strlen(m->text)) : NULL;
    a->position = m->done;
    if (m->detail && *m->detail) {
        app_say(a, STYLE_PLAIN, "%s", m->detail);
    }
    if (first && a->store) {
        app_refresh(a);
    }
}

static void ended(struct app *a, const struct message *m) {
    if (m->code == ERROR_INTERRUPTED && a->resume) {
        app_say(a, STYLE_PLAIN, "the reading goes on behind the answer");
    } else if (m->code == ERROR_INTERRUPTED) {
        app_say(a, STYLE_PLAIN, "%s",
                m->job == JOB_INGEST ? "stopped; what was read is kept: u in Sources goes on"
                                     : "stopped");
    } else if (m->code) {
        app_say(a, STYLE_WARN, "%s", m->text ? m->text : "failed");
    } else if (a->stopping) {
        styled_clear(&a->status);
        a->stopping = false;
    }
    if (m->job == JOB_OPEN && m->code && a->session && m->name &&
        strcmp(a->session, m->name) == 0) {
        bool first = !a->store; /* no model, or another one: the file can still be looked at */
        open_store(a);
        if (first && a->store) {
            app_refresh(a);
            app_say(a, STYLE_WARN, "%s", m->text ? m->text : "failed");
        }
    } else if (m->job == JOB_GET && m->code == 0 && a->session && !a->reading.on) {
        app_submit(a, JOB_OPEN, a->session, NULL);
    }
}

void app_message(struct app *a, const struct message *m) {
    struct activity *p = m->job >= JOB_GET ? &a->fetching : &a->reading;
    switch (m->kind) {
    case MESSAGE_BEGIN:
        activity_end(p);
        p->on = true;
        p->job = m->job;
        a->resume = a->resume && m->job != JOB_INGEST;
        break;
    case MESSAGE_OPENED:
        opened(a, m);
        break;
    case MESSAGE_PROGRESS:
        activity_progress(p, m);
        a->position = m->job == JOB_INGEST ? m->position : a->position;
        break;
    case MESSAGE_STOPPED:
        activity_end(p);
        if (!a->resume) {
            app_say(a, STYLE_PLAIN, "stopped; keeping what was read...");
        }
        break;
    case MESSAGE_NOTE:
        app_say(a, STYLE_PLAIN, "%s", m->text ? m->text : "");
        break;
    case MESSAGE_ANSWER:
        activity_end(p); /* it is being saved; Esc has nothing to stop any more */
        break;
    case MESSAGE_STORED:
        app_close_store(a); /* opened again, it knows the new position */
        open_store(a);
        break;
    case MESSAGE_END:
        activity_end(p);
        ended(a, m);
        break;
    default:
        break;
    }
    for (size_t i = 0; i < VIEWS; i++) {
        if (app_views[i]->message) {
            app_views[i]->message(a, a->states[i], m);
        }
    }
    a->dirty = true;
}
