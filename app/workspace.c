/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a saved session, with its memory where a model is needed, and asking it.
 */
#include "app/workspace.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/paths.h"
#include "app/store_index.h"
#include "app/workspace_memory.h"
#include "engine/base/clock.h"

/* Another command's write is short; a reading of hours is not waited for. */
static const unsigned WAIT_MS = 3000;

static bool needs_model(enum workspace_use use) {
    return use == WORKSPACE_ASK || use == WORKSPACE_CHAT || use == WORKSPACE_READ;
}

static enum store_mode mode_of(enum workspace_use use) {
    return use == WORKSPACE_LOOK || use == WORKSPACE_ASK ? STORE_READ
           : use == WORKSPACE_READ                       ? STORE_CREATE
                                                         : STORE_WRITE;
}

char *session_file(const char *name, bool there, struct error *error) {
    struct paths paths;
    if (!paths_init(&paths, error)) {
        return NULL;
    }
    char *path = paths_session(&paths, name, error);
    paths_finish(&paths);
    if (path && there && access(path, F_OK) != 0) {
        error_set(error, ERROR_NOT_FOUND,
                  "no session named %s; allmem ingest -s %s PATH makes it, allmem session list "
                  "shows those there are",
                  name, name);
        free(path);
        return NULL;
    }
    return path;
}

bool workspace_open_file(struct workspace *w, const struct options *options, const char *name,
                         const char *path, enum workspace_use use, const char *mark,
                         struct error *error) {
    const struct store_options store = {.mode = mode_of(use), .wait_ms = WAIT_MS};
    *w = (struct workspace){.name = strdup(name), .words = words_create()};
    bool ok = (w->name && w->words) ||
              error_set(error, ERROR_NO_SPACE, "no memory to open session %s", name);
    /* No file is made for a model that cannot be loaded. */
    if (ok && use == WORKSPACE_READ && access(path, F_OK) != 0) {
        ok = load_engine(&w->loaded, options, true, error);
    }
    ok = ok && (w->store = store_open(path, &store, error)) &&
         (w->index = store_index_create(w->store, w->words, error)) &&
         (!needs_model(use) || workspace_load_memory(w, options, mark, error));
    if (!ok) {
        workspace_close(w);
    }
    return ok;
}

bool workspace_open(struct workspace *w, const struct options *options, const char *name,
                    enum workspace_use use, const char *mark, struct error *error) {
    *w = (struct workspace){0};
    char *path = session_file(name, use != WORKSPACE_READ, error);
    bool ok = path && workspace_open_file(w, options, name, path, use, mark, error);
    free(path);
    return ok;
}

void workspace_close(struct workspace *w) {
    session_destroy(w->session);
    loaded_finish(&w->loaded);
    store_index_destroy(w->index);
    store_close(w->store);
    words_destroy(w->words);
    free(w->name);
    *w = (struct workspace){0};
}

bool workspace_renew_index(struct workspace *w, struct error *error) {
    store_index_destroy(w->index);
    w->index = store_index_create(w->store, w->words, error);
    return w->index != NULL;
}

struct passage_index workspace_index(struct workspace *w) {
    return store_index_view(w->index);
}

bool workspace_ask(struct workspace *w, const char *question, const struct answer_options *options,
                   struct answer *answer, struct error *error) {
    struct retrieve_options o = retrieve_options_default();
    o.budget = answer_passage_budget(session_options(w->session).window);
    o.cost = answer_token_cost;
    o.cost_context = (void *)engine_tokenizer(w->loaded.engine);
    struct passage_index index = workspace_index(w);
    struct retrieval retrieval = {0};
    double begin = clock_seconds();
    bool ok = retrieve(&index, w->words, question, &o, &retrieval, error);
    answer->model_seconds = w->model_seconds;
    answer->memory_seconds = w->memory_seconds;
    answer->retrieval_seconds = clock_seconds() - begin;
    ok = ok && answer_question(answer, w->session, w->loaded.engine, question, &retrieval, &index,
                               w->words, options, error);
    retrieval_finish(&retrieval);
    return ok;
}

bool workspace_record_question(struct workspace *w, const char *question, struct error *error) {
    struct store_turn asked = {.role = blob_of("user"),
                               .body = blob_of(question),
                               .time = (int64_t)time(NULL),
                               .complete = true};
    return store_turn_add(w->store, &asked, NULL, error);
}

bool workspace_record_answer(struct workspace *w, const struct answer *a, struct error *error) {
    struct store_citation *citations = calloc(a->citations.count + 1, sizeof *citations);
    if (!citations) {
        return error_set(error, ERROR_NO_SPACE, "no memory for the citations");
    }
    for (size_t i = 0; i < a->citations.count; i++) {
        const struct citation *c = &a->citations.items[i];
        citations[i] = (struct store_citation){.document = (int64_t)c->document,
                                               .span = {c->begin, c->end},
                                               .place = {c->first_line, c->last_line, c->page}};
    }
    struct store_turn turn = {.role = blob_of("assistant"),
                              .body = a->supported
                                          ? (struct blob){(const char *)a->text.data, a->text.size}
                                          : blob_of(answer_unsupported),
                              .time = (int64_t)time(NULL),
                              .prefill_tokens = (int64_t)a->prefill_tokens,
                              .complete = !a->stopped,
                              .citations = citations,
                              .citations_count = a->citations.count};
    bool ok = store_turn_add(w->store, &turn, NULL, error);
    free(citations);
    return ok;
}
