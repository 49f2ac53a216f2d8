/* SPDX-License-Identifier: Apache-2.0
 *
 * What the workers tell: how far they are, what has changed, how a job ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/progress.h"
#include "app/ui/app_private.h"
#include "engine/base/clock.h"

/* ---- how far a job is ---- */

void app_progress(const struct activity *p, char *text, size_t size) {
    double elapsed = clock_seconds() - p->begin;
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

bool app_reads(const struct app *a) {
    return a->reading.on && (a->reading.job == JOB_INGEST || a->reading.job == JOB_UPDATE);
}

static void activity_end(struct activity *p) {
    free(p->text);
    free(p->detail);
    *p = (struct activity){0};
}

static void activity_progress(struct activity *p, const struct message *m) {
    if (p->total == 0) {
        p->begin = clock_seconds();
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

/* ---- messages ---- */

static void forget_mark(struct app *a) {
    free(a->mark);
    a->mark = NULL;
}

/* Every opening of a model may tell the same. */
static void notice(struct app *a, const char *text) {
    char *copy = a->notice && strcmp(a->notice, text) == 0 ? NULL : strdup(text);
    if (copy) {
        free(a->notice);
        a->notice = copy;
        a->noticed = true;
        app_say(a, STYLE_PLAIN, "%s", text);
    }
}

static void opened(struct app *a, const struct message *m) {
    if (!a->session || !m->name || strcmp(a->session, m->name) != 0) {
        return;
    }
    bool first = !a->store;
    if (m->job != JOB_OPEN) {
        forget_mark(a); /* it had to be opened for writing */
    }
    app_open_store(a);
    free(a->model);
    a->model = m->text ? app_safe(m->text, strlen(m->text)) : NULL;
    a->position = m->done;
    if (m->detail && *m->detail) {
        app_say(a, STYLE_PLAIN, "%s%s%s", a->noticed ? a->notice : "", a->noticed ? "; " : "",
                m->detail);
    }
    if (first && a->store) {
        app_refresh(a);
    }
}

/* Models has a place of its own for what its jobs tell. */
static bool shown_by_view(const struct app *a, const struct message *m) {
    return a->view == VIEW_MODELS && m->job >= JOB_GET && m->job <= JOB_DISCARD;
}

static void ended(struct app *a, const struct message *m) {
    if (m->code == ERROR_INTERRUPTED && a->resume) {
        app_say(a, STYLE_PLAIN, "the reading goes on behind the answer");
    } else if (m->code == ERROR_INTERRUPTED) {
        app_say(a, STYLE_PLAIN, "%s",
                m->job == JOB_INGEST   ? "stopped; what was read is kept: u in Sources goes on"
                : m->job == JOB_UPDATE ? "stopped; the session is as it was: U in Sources goes on"
                                       : "stopped");
    } else if (m->code && !shown_by_view(a, m)) {
        app_say(a, STYLE_WARN, "%s", m->text ? m->text : "failed");
    } else if (a->stopping) {
        styled_clear(&a->status);
        a->stopping = false;
    }
    if (m->job == JOB_OPEN && m->code) {
        forget_mark(a);
    }
    if (m->job == JOB_OPEN && m->code && a->session && m->name &&
        strcmp(a->session, m->name) == 0) {
        bool first = !a->store; /* no model, or another one: the file can still be looked at */
        app_open_store(a);
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
        a->noticed = false;
        a->resume = a->resume && m->job != JOB_INGEST && m->job != JOB_UPDATE;
        break;
    case MESSAGE_OPENED:
        opened(a, m);
        break;
    case MESSAGE_PROGRESS:
        activity_progress(p, m);
        a->position = app_reads(a) ? m->position : a->position;
        break;
    case MESSAGE_STOPPED:
        activity_end(p);
        if (!a->resume && m->job == JOB_INGEST) {
            app_say(a, STYLE_PLAIN, "stopped; keeping what was read...");
        }
        break;
    case MESSAGE_NOTE:
        if (!shown_by_view(a, m)) {
            app_say(a, STYLE_PLAIN, "%s", m->text ? m->text : "");
        }
        break;
    case MESSAGE_NOTICE:
        notice(a, m->text ? m->text : "");
        break;
    case MESSAGE_ANSWER:
        activity_end(p); /* it is being saved; Esc has nothing to stop any more */
        break;
    case MESSAGE_RELEASE:
        app_close_store(a);
        break;
    case MESSAGE_STORED:
        app_close_store(a); /* opened again, it knows the new position */
        app_open_store(a);
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
