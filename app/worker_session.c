/* SPDX-License-Identifier: Apache-2.0
 *
 * The jobs on sessions: opening, reading, asking, and handling whole files.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/paths.h"
#include "app/update.h"
#include "app/withdrawn.h"
#include "app/worker_private.h"
#include "storage/files.h"

enum { ANSWER_TOKENS = 400 };

static void close_workspace(struct task *t) {
    workspace_close(t->workspace);
    *t->writable = false;
}

/* ---- open ---- */

/* `fresh`: it was not open before, so that notes are worth telling. */
static void tell_opened(struct task *t, const char *trouble, bool fresh) {
    const struct engine_info *info = engine_info(t->workspace->loaded.engine);
    struct message *m = task_message(t, MESSAGE_OPENED);
    if (!m) {
        return;
    }
    char detail[1200];
    snprintf(detail, sizeof detail, "%s%s%s", trouble, *trouble && !info->has_adapter ? "; " : "",
             info->has_adapter ? ""
                               : "no adapter for this model: it answers from window, kept and "
                                 "merged tokens and the stored text (allmem finetune trains one)");
    m->text = strdup(t->workspace->loaded.choice.name);
    m->detail = fresh ? strdup(detail) : NULL;
    m->done = (uint64_t)t->workspace->position;
    m->total = session_state_bytes(t->workspace->session);
    task_post(t, m);
}

static bool open_as_of(struct task *t, const char *mark, struct error *error) {
    char note[600];
    close_workspace(t);
    if (!workspace_open(t->workspace, t->options, t->job->name, WORKSPACE_ASK, mark, error)) {
        return false;
    }
    snprintf(note, sizeof note, "as of %.400s: answers are not saved; /as-of alone leads back",
             mark);
    tell_opened(t, note, true);
    return true;
}

/* A session that another process is writing can still be asked. */
static bool open_to_chat(struct task *t, struct error *error) {
    char trouble[sizeof error->text + 60] = "";
    close_workspace(t);
    *t->writable =
        workspace_open(t->workspace, t->options, t->job->name, WORKSPACE_CHAT, NULL, error);
    if (!*t->writable) {
        struct error second;
        if (error->code != ERROR_FAILURE ||
            !workspace_open(t->workspace, t->options, t->job->name, WORKSPACE_ASK, NULL, &second)) {
            return false;
        }
        snprintf(trouble, sizeof trouble, "%s: answers are not saved", error->text);
    }
    tell_opened(t, trouble, true);
    return true;
}

bool task_open(struct task *t, struct error *error) {
    return t->job->text ? open_as_of(t, t->job->text, error) : open_to_chat(t, error);
}

static bool is_open(const struct task *t) {
    return t->workspace->store && strcmp(t->workspace->name, t->job->name) == 0;
}

/* ---- ingest ---- */

static void tell_reading(void *context, const struct ingest_state *state) {
    struct task *t = context;
    if (!task_due(t) && state->done < state->total && !state->stopped) {
        return;
    }
    struct message *m = task_message(t, MESSAGE_PROGRESS);
    if (m) {
        m->text = state->document ? strdup(state->document) : NULL;
        m->detail = state->section ? strdup(state->section) : NULL;
        m->done = state->done;
        m->total = state->total;
        m->position = state->position;
    }
    task_post(t, m);
    if (state->stopped) {
        task_post(t, task_message(t, MESSAGE_STOPPED));
    }
}

static void tell_read(struct task *t, const struct ingest_report *r) {
    char text[300];
    if (r->text_tokens == 0 && r->added + r->changed == 0) {
        snprintf(text, sizeof text, "nothing new to read: %zu as before, %zu not taken",
                 r->unchanged, r->library.skips.count);
        task_note(t, text);
        return;
    }
    snprintf(text, sizeof text,
             "read %llu tokens in %.0f s: %zu new, %zu changed, %zu as before, %zu not taken",
             (unsigned long long)r->text_tokens, r->seconds, r->added, r->changed, r->unchanged,
             r->library.skips.count);
    task_note(t, text);
}

static struct ingest_options reading_options(struct task *t) {
    struct ingest_options o = ingest_options_default();
    o.offline = t->options->offline;
    o.walk.stop = task_stopped;
    o.walk.stop_context = t;
    o.progress = tell_reading;
    o.context = t;
    return o;
}

bool task_ingest(struct task *t, struct error *error) {
    bool fresh = !is_open(t) || !*t->writable;
    if (fresh) {
        struct options options = *t->options;
        options.model = t->job->model ? t->job->model : options.model;
        close_workspace(t);
        if (!workspace_open(t->workspace, &options, t->job->name, WORKSPACE_READ, NULL, error)) {
            return false;
        }
        *t->writable = true;
    }
    tell_opened(t, "", fresh);
    struct ingest_options o = reading_options(t);
    struct ingest_report report;
    bool ok = workspace_ingest(t->workspace, (const char *const *)t->job->paths, t->job->path_count,
                               &o, &report, error);
    if (ok) {
        tell_read(t, &report);
    }
    ingest_report_finish(&report);
    task_post(t, task_message(t, MESSAGE_STORED));
    return ok;
}

/* ---- sources that went ---- */

bool task_withdraw(struct task *t, struct error *error) {
    if (!is_open(t) || !*t->writable) {
        if (!open_to_chat(t, error)) {
            return false;
        }
    }
    bool ok = withdrawn_add(t->workspace->store, t->job->text, error) &&
              workspace_renew_index(t->workspace, error);
    task_post(t, task_message(t, MESSAGE_STORED));
    if (ok) {
        task_note(t, "taken out: it is not searched, shown or cited any more. The memory still has "
                     "the gist of it, until U in Sources makes it anew");
    }
    return ok;
}

static void tell_changes(void *context, const struct update_changes *c, bool rebuild) {
    struct task *t = context;
    char text[200];
    snprintf(text, sizeof text, "%zu changed, %zu gone, %zu taken out, %zu new: %s",
             c->changed.count, c->gone.count, c->withdrawn.count, c->added.count,
             c->outdated ? "the memory does not fit the model any more: everything is read again"
             : rebuild   ? "everything is read again"
             : c->added.count ? "only what is new is read"
                              : "nothing is to be read again");
    task_note(t, text);
    if (rebuild) {
        task_post(t, task_message(t, MESSAGE_RELEASE));
    }
}

/* Sources are looked for in the folders from which they were read, so this thread gets a working
 * directory of its own. */
bool task_update(struct task *t, struct error *error) {
    if (unshare(CLONE_FS) != 0) {
        return error_set(error, ERROR_FAILURE, "not allowed here: allmem session update %s does it",
                         t->job->name);
    }
    close_workspace(t);
    struct ingest_options o = reading_options(t);
    struct update_report report;
    bool ok = session_update(t->options, t->job->name, &o, tell_changes, t, &report, error);
    struct error second;
    open_to_chat(t, ok ? error : &second);
    task_post(t, task_message(t, MESSAGE_STORED));
    if (ok && report.ingest.tokens) {
        tell_read(t, &report.ingest);
    }
    update_report_finish(&report);
    return ok;
}

/* ---- ask ---- */

static bool tell_piece(void *context, const char *text, size_t size) {
    struct task *t = context;
    struct message *m = task_message(t, MESSAGE_TEXT);
    if (m) {
        m->text = strndup(text, size);
    }
    task_post(t, m);
    return !task_stopped(t);
}

static bool tell_prompt(void *context, size_t done, size_t total) {
    struct task *t = context;
    if (task_due(t)) {
        struct message *m = task_message(t, MESSAGE_PROGRESS);
        if (m) {
            m->done = done;
            m->total = total;
        }
        task_post(t, m);
    }
    return !task_stopped(t);
}

static void tell_answer(struct task *t, const struct answer *a) {
    struct message *m = task_message(t, MESSAGE_ANSWER);
    if (!m) {
        return;
    }
    m->supported = a->supported;
    m->stopped = a->stopped;
    m->speed = a->tokens_per_second;
    m->seconds = a->first_token_seconds;
    m->done = a->answer_tokens;
    m->citations = calloc(a->citations.count + 1, sizeof *m->citations);
    for (size_t i = 0; m->citations && i < a->citations.count; i++) {
        const struct citation *c = &a->citations.items[i];
        m->citations[m->citations_count++] =
            (struct cited){.document = (int64_t)c->document,
                           .span = {c->begin, c->end},
                           .place = {c->first_line, c->last_line, c->page},
                           .source = strdup(c->source),
                           .quote = strdup(c->quote)};
    }
    task_post(t, m);
}

/* What was typed is kept before anything else, also when the answer is not wanted any more. */
bool task_ask(struct task *t, struct error *error) {
    bool ok = (is_open(t) || open_to_chat(t, error)) &&
              (!*t->writable || workspace_record_question(t->workspace, t->job->text, error));
    if (task_stopped(t)) {
        return error_set(error, ERROR_INTERRUPTED, "stopped");
    }
    if (!ok) {
        return false;
    }
    struct session_watch watch = {tell_prompt, t};
    struct answer_options o = answer_options_default();
    o.tokens = ANSWER_TOKENS;
    o.sampler.temperature = t->job->temperature;
    o.sampler.seed = t->job->seed;
    o.show = tell_piece;
    o.show_context = t;
    o.watch = &watch;
    struct answer answer = {0};
    ok = workspace_ask(t->workspace, t->job->text, &o, &answer, error);
    if (ok) {
        tell_answer(t, &answer);
        ok = !*t->writable || workspace_record_answer(t->workspace, &answer, error);
    }
    answer_finish(&answer);
    return ok;
}

/* ---- whole files ---- */

static char *file_of(const char *name, struct error *error) {
    struct paths paths;
    if (!paths_init(&paths, error)) {
        return NULL;
    }
    char *path = paths_session(&paths, name, error);
    paths_finish(&paths);
    return path;
}

bool task_fork(struct task *t, struct error *error) {
    struct workspace w;
    char *to = file_of(t->job->text, error);
    bool ok = to && workspace_open(&w, t->options, t->job->name, WORKSPACE_LOOK, NULL, error);
    if (ok) {
        ok = store_fork(w.store, to, blob_of(t->job->text), error);
        workspace_close(&w);
    }
    free(to);
    return ok;
}

bool task_rename(struct task *t, struct error *error) {
    if (is_open(t)) {
        close_workspace(t);
    }
    char *from = file_of(t->job->name, error), *to = from ? file_of(t->job->text, error) : NULL;
    bool ok = to && store_rename_file(from, to, error);
    free(from);
    free(to);
    return ok;
}

bool task_remove(struct task *t, struct error *error) {
    if (is_open(t)) {
        close_workspace(t);
    }
    char *path = file_of(t->job->name, error);
    bool ok = path && store_remove_file(path, error);
    free(path);
    return ok;
}

bool task_export(struct task *t, struct error *error) {
    struct workspace w;
    bool ok = workspace_open(&w, t->options, t->job->name, WORKSPACE_LOOK, NULL, error);
    if (ok) {
        ok = store_copy(w.store, t->job->text, false, error);
        workspace_close(&w);
    }
    if (ok) {
        char text[400];
        snprintf(text, sizeof text, "written: %.380s", t->job->text);
        task_note(t, text);
    }
    return ok;
}
