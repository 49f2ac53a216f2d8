/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread, its queue of jobs, and the mailbox. A job is stopped by its id: a stop holds for all
 * jobs that were submitted before it and for none after.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/worker_private.h"
#include "engine/base/clock.h"

/* ---- jobs and messages ---- */

struct job *job_create(enum job_kind kind, const char *name, const char *text) {
    struct job *job = calloc(1, sizeof *job);
    if (job) {
        job->kind = kind;
        job->name = name ? strdup(name) : NULL;
        job->text = text ? strdup(text) : NULL;
        if ((name && !job->name) || (text && !job->text)) {
            job_destroy(job);
            job = NULL;
        }
    }
    return job;
}

bool job_add_path(struct job *job, const char *path) {
    char **grown = job ? realloc(job->paths, (job->path_count + 1) * sizeof *grown) : NULL;
    if (!grown) {
        return false;
    }
    job->paths = grown;
    grown[job->path_count] = strdup(path);
    return grown[job->path_count] && ++job->path_count;
}

void job_destroy(struct job *job) {
    if (job) {
        for (size_t i = 0; i < job->path_count; i++) {
            free(job->paths[i]);
        }
        free(job->paths);
        free(job->name);
        free(job->text);
        free(job->model);
        free(job);
    }
}

void cited_finish(struct cited *c) {
    free(c->source);
    free(c->quote);
    *c = (struct cited){0};
}

void message_destroy(struct message *m) {
    if (m) {
        for (size_t i = 0; i < m->citations_count; i++) {
            cited_finish(&m->citations[i]);
        }
        free(m->citations);
        free(m->name);
        free(m->text);
        free(m->detail);
        free(m);
    }
}

/* ---- mailbox ---- */

struct mailbox {
    pthread_mutex_t lock;
    struct message *first, **last;
    int read_fd, write_fd;
};

struct mailbox *mailbox_create(struct error *error) {
    struct mailbox *m = calloc(1, sizeof *m);
    int fds[2];
    if (!m || pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        error_set(error, ERROR_FAILURE, "cannot make a pipe: %s", strerror(errno));
        free(m);
        return NULL;
    }
    pthread_mutex_init(&m->lock, NULL);
    m->last = &m->first;
    m->read_fd = fds[0];
    m->write_fd = fds[1];
    return m;
}

void mailbox_destroy(struct mailbox *m) {
    if (m) {
        for (struct message *next; m->first; m->first = next) {
            next = m->first->next;
            message_destroy(m->first);
        }
        close(m->read_fd);
        close(m->write_fd);
        pthread_mutex_destroy(&m->lock);
        free(m);
    }
}

int mailbox_fd(const struct mailbox *m) {
    return m->read_fd;
}

int mailbox_wake_fd(const struct mailbox *m) {
    return m->write_fd;
}

static void mailbox_put(struct mailbox *m, struct message *message) {
    pthread_mutex_lock(&m->lock);
    bool wake = !m->first;
    *m->last = message;
    m->last = &message->next;
    pthread_mutex_unlock(&m->lock);
    while (wake && write(m->write_fd, "", 1) < 0 && errno == EINTR) {
    }
}

struct message *mailbox_take(struct mailbox *m) {
    char bytes[64];
    pthread_mutex_lock(&m->lock);
    struct message *message = m->first;
    if (message) {
        m->first = message->next;
        m->last = m->first ? m->last : &m->first;
        message->next = NULL;
    }
    if (!m->first) {
        while (read(m->read_fd, bytes, sizeof bytes) > 0) {
        }
    }
    pthread_mutex_unlock(&m->lock);
    return message;
}

/* ---- the worker ---- */

struct worker {
    struct options options;
    struct mailbox *mailbox;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct job *first, **last;
    uint64_t submitted; /* id of the newest job */
    bool quit, done;
    atomic_ullong stopped;      /* id of the newest job that shall stop */
    struct workspace workspace; /* these two are the thread's */
    bool writable;
};

bool task_stopped(void *task) {
    const struct task *t = task;
    return t->job->id <= atomic_load(&t->worker->stopped);
}

struct message *task_message(const struct task *t, enum message_kind kind) {
    struct message *m = calloc(1, sizeof *m);
    if (m) {
        m->kind = kind;
        m->job = t->job->kind;
        m->id = t->job->id;
        m->name = t->job->name ? strdup(t->job->name) : NULL;
    }
    return m;
}

void task_post(const struct task *t, struct message *message) {
    if (message) {
        mailbox_put(t->worker->mailbox, message);
    }
}

void task_note(const struct task *t, const char *text) {
    struct message *m = task_message(t, MESSAGE_NOTE);
    if (m) {
        m->text = strdup(text);
    }
    task_post(t, m);
}

bool task_due(struct task *t) {
    double now = clock_seconds();
    if (now - t->told < 0.2) {
        return false;
    }
    t->told = now;
    return true;
}

static bool run(struct task *t, struct error *error) {
    switch (t->job->kind) {
    case JOB_OPEN:
        return task_open(t, error);
    case JOB_INGEST:
        return task_ingest(t, error);
    case JOB_ASK:
        return task_ask(t, error);
    case JOB_FORK:
        return task_fork(t, error);
    case JOB_RENAME:
        return task_rename(t, error);
    case JOB_REMOVE:
        return task_remove(t, error);
    case JOB_WITHDRAW:
        return task_withdraw(t, error);
    case JOB_UPDATE:
        return task_update(t, error);
    case JOB_EXPORT:
        return task_export(t, error);
    case JOB_GET:
        return task_get(t, error);
    case JOB_ADD:
        return task_add(t, error);
    case JOB_VERIFY:
        return task_verify(t, error);
    case JOB_DISCARD:
        return task_discard(t, error);
    }
    return false;
}

static void run_job(struct worker *w, const struct job *job) {
    struct task t = {.options = &w->options,
                     .workspace = &w->workspace,
                     .writable = &w->writable,
                     .job = job,
                     .worker = w};
    struct error error = {0};
    task_post(&t, task_message(&t, MESSAGE_BEGIN));
    bool ok = task_stopped(&t) && job->kind != JOB_ASK
                  ? error_set(&error, ERROR_INTERRUPTED, "stopped")
                  : run(&t, &error);
    struct message *end = task_message(&t, MESSAGE_END);
    if (end && !ok) {
        end->code = error.code ? (int)error.code : ERROR_FAILURE;
        end->text = strdup(error.text);
    }
    task_post(&t, end);
}

static struct job *next_job(struct worker *w) {
    pthread_mutex_lock(&w->lock);
    while (!w->first && !w->quit) {
        pthread_cond_wait(&w->changed, &w->lock);
    }
    struct job *job = w->first;
    if (job) {
        w->first = job->next;
        w->last = w->first ? w->last : &w->first;
    }
    pthread_mutex_unlock(&w->lock);
    return job;
}

static void *work(void *worker) {
    struct worker *w = worker;
    struct job *job;
    while ((job = next_job(w))) {
        run_job(w, job);
        job_destroy(job);
    }
    workspace_close(&w->workspace);
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* The engine outlives the job that opened it. */
static void tell_notice(void *worker, const char *text) {
    struct worker *w = worker;
    struct message *m = calloc(1, sizeof *m);
    if (m) {
        m->kind = MESSAGE_NOTICE;
        m->text = strdup(text);
        mailbox_put(w->mailbox, m);
    }
}

struct worker *worker_create(const struct options *options, struct mailbox *mailbox,
                             struct error *error) {
    struct worker *w = calloc(1, sizeof *w);
    if (!w) {
        error_set(error, ERROR_NO_SPACE, "out of memory");
        return NULL;
    }
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&w->changed, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&w->lock, NULL);
    w->options = *options;
    w->options.notice = tell_notice;
    w->options.notice_context = w;
    w->mailbox = mailbox;
    w->last = &w->first;
    int failed = pthread_create(&w->thread, NULL, work, w);
    if (failed) {
        error_set(error, ERROR_FAILURE, "cannot start a thread: %s", strerror(failed));
        free(w);
        return NULL;
    }
    return w;
}

bool worker_destroy(struct worker *w, double seconds) {
    if (!w) {
        return true;
    }
    worker_stop(w);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)seconds;
    until.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&w->lock);
    w->quit = true;
    pthread_cond_broadcast(&w->changed);
    int late = 0;
    while (!w->done && late == 0) {
        late = pthread_cond_timedwait(&w->changed, &w->lock, &until);
    }
    bool done = w->done;
    pthread_mutex_unlock(&w->lock);
    if (done) {
        pthread_join(w->thread, NULL);
        pthread_cond_destroy(&w->changed);
        pthread_mutex_destroy(&w->lock);
        free(w);
    }
    return done;
}

uint64_t worker_submit(struct worker *w, struct job *job) {
    if (!job) {
        return 0;
    }
    pthread_mutex_lock(&w->lock);
    uint64_t id = job->id = ++w->submitted;
    job->next = NULL;
    *w->last = job;
    w->last = &job->next;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return id;
}

void worker_stop(struct worker *w) {
    pthread_mutex_lock(&w->lock);
    atomic_store(&w->stopped, w->submitted);
    pthread_mutex_unlock(&w->lock);
}
