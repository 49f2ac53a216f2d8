/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking documents into a session: stored whole first, then read into the memory one after another,
 * with checkpoints. A pass over tokens ends at the end of a chunk wherever it is interrupted, so
 * what a checkpoint cuts in two computes the same as the uncut run.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/ingest_plan.h"
#include "app/interrupt.h"
#include "app/origins.h"
#include "app/passages.h"
#include "app/sources.h"
#include "app/withdrawn.h"
#include "app/workspace_memory.h"
#include "engine/base/clock.h"

struct ingest_options ingest_options_default(void) {
    return (struct ingest_options){.walk = walk_options_default(),
                                   .checkpoint_seconds = 20,
                                   .marks = {STORE_MARKS, UINT64_MAX}};
}

void ingest_report_finish(struct ingest_report *r) {
    library_finish(&r->library);
    skips_finish(&r->gone);
    free(r->tokens);
    *r = (struct ingest_report){0};
}

/* ---- documents into the store ---- */

static uint64_t *offsets_of(const size_t *from, size_t count) {
    uint64_t *to = calloc(count + 1, sizeof *to);
    for (size_t i = 0; to && i < count; i++) {
        to[i] = from[i];
    }
    return to;
}

static bool add_source(struct store *store, const struct document *d, const struct passages *cut,
                       int64_t *id, struct error *error) {
    uint64_t *pages = offsets_of(d->pages, d->page_count);
    struct store_section *sections = calloc(d->section_count + 1, sizeof *sections);
    struct store_span *passages = calloc(cut->count + 1, sizeof *passages);
    bool ok = (pages && sections && passages) ||
              error_set(error, ERROR_NO_SPACE, "no memory to store %s", d->name);
    for (size_t i = 0; ok && i < d->section_count; i++) {
        sections[i] = (struct store_section){
            .begin = d->sections[i].begin, .level = 1, .title = blob_of(d->sections[i].title)};
    }
    for (size_t i = 0; ok && i < cut->count; i++) {
        passages[i] = (struct store_span){cut->items[i].begin, cut->items[i].end};
    }
    struct stat file; /* by which a change is noticed later; not there for a tree or a URL */
    bool is_file = stat(d->name, &file) == 0 && S_ISREG(file.st_mode);
    struct store_source source = {.path = blob_of(d->name),
                                  .mtime = is_file ? (int64_t)file.st_mtime : 0,
                                  .source_size = is_file ? (uint64_t)file.st_size : 0,
                                  .kind = blob_of(document_kind_name(d->kind)),
                                  .text = {d->text, d->size},
                                  .pages = pages,
                                  .pages_count = d->page_count,
                                  .sections = sections,
                                  .sections_count = d->section_count,
                                  .passages = passages,
                                  .passages_count = cut->count};
    ok = ok && store_document_add(store, &source, id, error);
    free(pages);
    free(sections);
    free(passages);
    return ok;
}

/* Standard input has no name of its own: another text than the one before does not replace it, but
 * is "stdin 2" and so on. */
static bool name_stdin(struct workspace *w, struct document *d, struct error *error) {
    uint8_t hash[HASH_BYTES];
    char name[32] = "stdin";
    bool ok = hash_of(d->text, d->size, hash);
    for (unsigned n = 2, found = 1; ok && found; n++) {
        struct store_document before = {0};
        found = store_document_by_path(w->store, blob_of(name), &before, NULL) &&
                memcmp(before.hash, hash, HASH_BYTES) != 0;
        store_document_finish(&before);
        if (found) {
            snprintf(name, sizeof name, "stdin %u", n);
        }
    }
    ok = ok && document_set_name(d, name);
    return ok || error_set(error, ERROR_NO_SPACE, "no memory to store standard input");
}

/* Counts whether the document is new, another version of a known one, or known. */
static bool store_one(struct workspace *w, const struct document *d, struct ingest_report *r,
                      struct error *error) {
    struct store_document before = {0};
    struct passages cut = {0};
    struct error none;
    bool known = store_document_by_path(w->store, blob_of(d->name), &before, &none);
    int64_t id;
    bool ok = passages_cut(d, &cut, error) && add_source(w->store, d, &cut, &id, error);
    if (ok) {
        r->added += !known;
        r->changed += known && before.id != id;
        r->unchanged += known && before.id == id;
    }
    passages_finish(&cut);
    store_document_finish(&before);
    return ok;
}

static bool is_below(const char *path, const char *root) {
    size_t n = strlen(root);
    while (n > 1 && root[n - 1] == '/') {
        n--;
    }
    return strncmp(path, root, n) == 0 && (path[n] == '/' || (n == 1 && *root == '/'));
}

/* What a folder once gave and no longer has. The memory knows it still. */
static bool find_gone(struct workspace *w, const char *const *paths, size_t count,
                      struct ingest_report *r, struct error *error) {
    struct store_documents rows;
    if (count == 0) {
        return true;
    }
    if (!store_documents_list(w->store, false, &rows, error)) {
        return false;
    }
    bool ok = true;
    for (size_t i = 0; ok && i < rows.count; i++) {
        const char *path = rows.rows[i].path.data;
        bool below = false;
        for (size_t j = 0; j < count && !below; j++) {
            below = is_below(path, paths[j]);
        }
        struct stat st;
        if (below && lstat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR)) {
            ok = skips_add(&r->gone, path, true, "no longer there") ||
                 error_set(error, ERROR_NO_SPACE, "no memory for the report");
        }
    }
    store_documents_finish(&rows);
    return ok;
}

static bool stop_wanted(const struct ingest_options *o) {
    return o->walk.stop && o->walk.stop(o->walk.stop_context);
}

static bool stopped_before(struct error *error) {
    return error_set(error, ERROR_INTERRUPTED, "stopped before the documents were stored");
}

/* All or nothing: a reading that goes on without paths then misses no document. */
static bool store_all(struct workspace *w, const char *const *paths, size_t count,
                      const struct ingest_options *o, struct ingest_report *r,
                      struct error *error) {
    const struct library *l = &r->library;
    if (!store_begin(w->store, error)) {
        return false;
    }
    store_use_stop(w->store, o->walk.stop, o->walk.stop_context);
    bool ok = count == 0 || origins_add(w->store, paths, count, &o->walk, error);
    for (size_t i = 0; ok && i < l->count; i++) {
        struct document *d = &l->documents[i];
        ok =
            (strcmp(d->name, "stdin") != 0 || name_stdin(w, d, error)) && store_one(w, d, r, error);
        ok = ok && (!stop_wanted(o) || stopped_before(error));
    }
    for (size_t i = 0; ok && i < l->skips.count; i++) {
        ok = store_skip_add(w->store, blob_of(l->skips.items[i].name),
                            blob_of(l->skips.items[i].reason), error);
    }
    store_use_stop(w->store, NULL, NULL);
    return store_end(w->store, ok, error);
}

/* ---- reading ---- */

struct run {
    struct workspace *w;
    const struct ingest_options *options;
    const struct ingest_plan *plan;
    const struct planned *document; /* that is being read */
    uint64_t before;                /* tokens of this run before the present append */
    double checkpoint;              /* when the last one was written */
    bool stopped;                   /* by the user */
};

static uint64_t offset_in(const struct run *r) {
    return session_position(r->w->session) - (uint64_t)r->document->first_position;
}

static bool watch_reading(void *context, size_t done, size_t total) {
    (void)total;
    struct run *r = context;
    const struct ingest_options *o = r->options;
    r->stopped = stop_wanted(o);
    if (o->progress) {
        struct ingest_state state = {.document = r->document->name,
                                     .section = planned_section(r->document, offset_in(r)),
                                     .done = r->before + done,
                                     .total = r->plan->tokens,
                                     .position = session_position(r->w->session),
                                     .stopped = r->stopped};
        o->progress(o->context, &state);
    }
    return !r->stopped && clock_seconds() - r->checkpoint < o->checkpoint_seconds;
}

static bool checkpoint(struct run *r, const char *mark, struct error *error) {
    uint64_t byte = planned_byte(r->document, offset_in(r));
    bool ok = workspace_save_memory(r->w, r->document->id, byte, mark, &r->options->marks, error);
    r->checkpoint = clock_seconds();
    return ok;
}

/* Reads tokens [*at, end) of the document, with a checkpoint whenever it is time for one. */
static bool read_span(struct run *r, size_t *at, size_t end, struct error *error) {
    const struct session_watch watch = {watch_reading, r};
    while (*at < end) {
        uint64_t from = session_position(r->w->session);
        bool ok =
            session_append(r->w->session, r->document->list.ids + *at, end - *at, &watch, error);
        size_t read = (size_t)(session_position(r->w->session) - from);
        *at += read;
        r->before += read;
        if (!ok && error->code != ERROR_INTERRUPTED) {
            return false;
        }
        struct error saved;
        if (!ok && !checkpoint(r, NULL, &saved)) {
            *error = saved;
            return false;
        }
        if (r->stopped) {
            return error_set(error, ERROR_INTERRUPTED, "stopped; what was read is kept");
        }
    }
    return true;
}

static bool read_document(struct run *r, struct planned *d, bool last, struct error *error) {
    r->document = d;
    if (d->first_position < 0) {
        d->first_position = (int64_t)session_position(r->w->session);
        if (!store_document_begin_reading(r->w->store, d->id, d->first_position,
                                          (int64_t)d->list.count, error)) {
            return false;
        }
    }
    size_t at = (size_t)offset_in(r);
    for (size_t i = 0; i < d->mark_count; i++) {
        if (d->marks[i].at > at && (!read_span(r, &at, d->marks[i].at, error) ||
                                    !checkpoint(r, d->marks[i].name, error))) {
            return false;
        }
    }
    return read_span(r, &at, d->list.count, error) &&
           ((!last && !d->mark_end) || checkpoint(r, d->name, error));
}

static bool read_planned(struct workspace *w, const struct ingest_options *o,
                         struct ingest_plan *plan, struct error *error) {
    struct run r = {.w = w, .options = o, .plan = plan, .checkpoint = clock_seconds()};
    for (size_t i = 0; i < plan->count; i++) {
        if (!read_document(&r, &plan->documents[i], i + 1 == plan->count, error)) {
            return false;
        }
    }
    return true;
}

/* ---- the whole ---- */

/* What the memory is made with stands in the file before the first document. */
static bool sign_session(struct workspace *w, struct error *error) {
    struct store_session stored;
    if (!store_session_get(w->store, &stored, error)) {
        return false;
    }
    bool ok = stored.maker.model_print.size || workspace_sign(w, error);
    store_session_finish(&stored);
    return ok;
}

static bool count_tokens(const struct tokenizer *t, const struct ingest_options *o,
                         struct ingest_report *r, struct error *error) {
    r->tokens = calloc(r->library.count + 1, sizeof *r->tokens);
    for (size_t i = 0; r->tokens && i < r->library.count; i++) {
        const struct document *d = &r->library.documents[i];
        struct tokens list = {0};
        bool ok = tokenizer_encode_long(t, d->text, d->size, o->walk.stop, o->walk.stop_context,
                                        &list, error);
        r->tokens[i] = list.count;
        tokens_finish(&list);
        if (stop_wanted(o)) {
            return stopped_before(error);
        }
        if (!ok) {
            return false;
        }
    }
    return r->tokens || error_set(error, ERROR_NO_SPACE, "no memory for the report");
}

static bool has_documents(struct workspace *w, struct error *error) {
    struct store_session s;
    if (!store_session_get(w->store, &s, error)) {
        return false;
    }
    uint64_t documents = s.documents;
    store_session_finish(&s);
    return documents > 0 ||
           error_set(error, ERROR_USAGE,
                     "session %s holds no documents yet, expected a path to read", w->name);
}

bool workspace_take(struct workspace *w, const char *const *paths, size_t count,
                    const struct ingest_options *options, struct ingest_report *report,
                    struct error *error) {
    const struct tokenizer *t = engine_tokenizer(w->loaded.engine);
    return sign_session(w, error) && count_tokens(t, options, report, error) &&
           store_all(w, paths, count, options, report, error) && workspace_renew_index(w, error);
}

bool workspace_read_on(struct workspace *w, const struct ingest_options *options,
                       struct ingest_report *report, struct error *error) {
    struct ingest_plan plan = {.stop = options->walk.stop,
                               .stop_context = options->walk.stop_context};
    double begin = clock_seconds();
    uint64_t from = session_position(w->session);
    bool ok = ingest_plan_make(&plan, w->store, engine_tokenizer(w->loaded.engine), w->position,
                               session_chunk(w->session), error) &&
              read_planned(w, options, &plan, error);
    report->text_tokens = plan.text_tokens;
    report->read_tokens = session_position(w->session) - from;
    report->position = session_position(w->session);
    report->seconds = clock_seconds() - begin;
    ingest_plan_finish(&plan);
    return ok;
}

bool workspace_ingest(struct workspace *w, const char *const *paths, size_t count,
                      const struct ingest_options *options, struct ingest_report *report,
                      struct error *error) {
    *report = (struct ingest_report){0};
    return (count == 0 ? has_documents(w, error)
                       : sources_read(&report->library, paths, count, &options->walk,
                                      options->offline, error) &&
                             withdrawn_filter(w->store, &report->library, paths, count, error) &&
                             workspace_take(w, paths, count, options, report, error) &&
                             find_gone(w, paths, count, report, error)) &&
           workspace_read_on(w, options, report, error);
}
