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
#include "app/store_index.h"
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

void app_use_model(struct app *a, const char *name) {
    char *copy = strdup(name);
    if (copy) {
        free(a->new_model);
        a->new_model = copy;
        app_say(a, STYLE_PLAIN, "%s is the model of sessions made from now on", name);
    }
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

/* What a question interrupted. */
static void go_on(struct app *a) {
    if (a->resume && a->resume_update) {
        app_submit(a, JOB_UPDATE, a->session, NULL);
    } else if (a->resume) {
        submit_reading(a);
    }
}

void app_stop(struct app *a, bool all) {
    worker_stop(a->engine);
    app_say(a, STYLE_PLAIN, "stopping...");
    a->stopping = true;
    if (all) {
        a->resume = false;
        worker_stop(a->fetcher);
    } else {
        go_on(a);
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
    store_index_destroy(a->index);
    store_close(a->store);
    a->index = NULL;
    a->store = NULL;
}

void app_open_store(struct app *a) {
    struct paths paths;
    struct error error;
    const struct store_options o = {.mode = STORE_READ, .skip_check = true};
    struct store_session stored;
    if (a->store || !a->session || !paths_init(&paths, &error)) {
        return;
    }
    char *path = paths_session(&paths, a->session, &error);
    a->store = path ? store_open(path, &o, &error) : NULL;
    a->index = a->store ? store_index_create(a->store, a->words, &error) : NULL;
    if (!a->index) {
        app_close_store(a);
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
    free(a->mark);
    a->session = name;
    a->model = a->mark = NULL;
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
            app_open_store(a);
        }
    }
    app_refresh(a);
}

void app_open_as_of(struct app *a, const char *mark) {
    char *copy = mark ? strdup(mark) : NULL;
    a->resume = false;
    worker_stop(a->engine);
    free(a->mark);
    a->mark = copy;
    app_submit(a, JOB_OPEN, a->session, a->mark);
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
    if (app_reads(a)) {
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
    if (app_reads(a)) {
        worker_stop(a->engine);
        a->resume = true;
        a->resume_update = a->reading.job == JOB_UPDATE;
    }
    struct job *job = job_create(JOB_ASK, a->session, question);
    if (job) {
        job->temperature = a->options.temperature;
        job->seed = a->options.seed;
    }
    *id = worker_submit(a->engine, job);
    go_on(a);
    return *id != 0;
}
