/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots of the memory: part 0 of an engine session is its header, the others are its layers.
 */
#include "app/workspace_memory.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/as_of.h"
#include "app/store_index.h"
#include "engine/base/clock.h"

/* The maker of a memory as the store wants it; the strings live in `text`. */
struct maker_text {
    char model[PATH_MAX], model_print[HASH_HEX], adapter_print[HASH_HEX];
    struct store_maker maker;
};

static const char SET_WINDOW[] = "window", SET_KEEP[] = "keep", SET_MERGE[] = "merge";

/* `path` from the root. Where the file itself is a link it stays one: an adapter may lie beside it.
 */
static bool absolute_path(const char *path, char out[PATH_MAX]) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char *folder = slash ? strndup(path, (size_t)(slash + 1 - path)) : strdup(".");
    const bool ok = folder && realpath(folder, out);
    free(folder);
    const size_t n = ok ? strlen(out) : 0;
    return ok &&
           snprintf(out + n, PATH_MAX - n, "%s%s", n > 1 ? "/" : "", name) < (int)(PATH_MAX - n);
}

static void describe_maker(const struct workspace *w, struct maker_text *t) {
    const struct engine_info *info = engine_info(w->loaded.engine);
    hash_hex(info->file_fingerprint, t->model_print);
    hash_hex(info->adapter_fingerprint, t->adapter_print);
    /* A model that was named by its path is to be found from any folder. */
    const struct model_choice *choice = &w->loaded.choice;
    bool by_path = strcmp(choice->name, choice->path) == 0 && absolute_path(choice->path, t->model);
    const char *adapter = choice->adapter;
    const char *slash = adapter ? strrchr(adapter, '/') : NULL;
    t->maker = (struct store_maker){
        .model = blob_of(by_path ? t->model : choice->name),
        .model_print = blob_of(t->model_print),
        .adapter = blob_of(slash ? slash + 1 : adapter),
        .adapter_print = blob_of(info->has_adapter ? t->adapter_print : NULL),
        .spec = info->spec,
    };
}

bool workspace_sign(struct workspace *w, struct error *error) {
    struct maker_text present;
    struct session_options o = session_options(w->session);
    describe_maker(w, &present);
    return store_begin(w->store, error) &&
           store_end(w->store,
                     store_set_maker(w->store, &present.maker, (int64_t)time(NULL), error) &&
                         store_setting_set_integer(w->store, SET_WINDOW, o.window, error) &&
                         store_setting_set_integer(w->store, SET_KEEP, o.keep, error) &&
                         store_setting_set_integer(w->store, SET_MERGE, o.merge, error),
                     error);
}

/* A session is asked with the model that it was made with, unless the user names one. With another
 * model than that, or with what differs now, `mismatch` says so; else its text is "". */
static bool compare_model(struct workspace *w, const struct options *options,
                          const struct store_maker *made, bool *same_model, struct error *mismatch,
                          struct error *error) {
    struct options o = *options;
    if (!options->model_named && made->model.size) {
        o.model = made->model.data;
    }
    if (!w->loaded.engine && !load_engine(&w->loaded, &o, true, error)) {
        return false;
    }
    struct maker_text present;
    describe_maker(w, &present);
    *mismatch = (struct error){0};
    *same_model =
        made->model_print.size == 0 || strcmp(made->model_print.data, present.model_print) == 0;
    if (made->model_print.size) {
        store_maker_matches(made, &present.maker, mismatch);
    }
    return true;
}

static bool load_model(struct workspace *w, const struct options *options,
                       const struct store_session *stored, struct error *error) {
    struct error mismatch;
    bool same_model;
    if (!compare_model(w, options, &stored->maker, &same_model, &mismatch, error)) {
        return false;
    }
    return !*mismatch.text ||
           error_set(error, mismatch.code,
                     "session %s: %s; allmem session update %s%s reads its sources again", w->name,
                     mismatch.text, w->name,
                     same_model && !options->model_named ? "" : " -m MODEL");
}

bool workspace_memory_outdated(struct workspace *w, const struct options *options, char **why,
                               struct error *error) {
    struct store_session stored;
    struct error mismatch;
    bool same_model;
    *why = NULL;
    if (!store_session_get(w->store, &stored, error)) {
        return false;
    }
    bool ok = stored.maker.model_print.size == 0 ||
              compare_model(w, options, &stored.maker, &same_model, &mismatch, error);
    if (ok && stored.maker.model_print.size && *mismatch.text) {
        ok = same_model ? (*why = strdup(mismatch.text)) ||
                              error_set(error, ERROR_NO_SPACE, "out of memory")
                        : load_model(w, options, &stored, error);
    }
    loaded_finish(&w->loaded);
    store_session_finish(&stored);
    return ok;
}

struct loading {
    struct workspace *w;
    size_t parts; /* taken so far */
};

static bool take_part(void *context, const struct store_part *part, struct error *error) {
    struct loading *l = context;
    if (l->parts++ == 0) {
        l->w->session = session_load(l->w->loaded.engine, part->data, part->size, error);
        return l->w->session != NULL;
    }
    return session_load_part(l->w->session, (size_t)part->layer + 1, part->data, part->size, error);
}

static bool load_snapshot(struct workspace *w, const struct store_snapshot *snapshot,
                          struct error *error) {
    struct loading loading = {.w = w};
    if (!store_snapshot_read(w->store, snapshot->generation, take_part, &loading, NULL, error)) {
        return error_prefix(error, "session %s", w->name);
    }
    if (!w->session || loading.parts != session_parts(w->session) ||
        session_position(w->session) != (uint64_t)snapshot->position) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "session %s: the saved memory has %zu parts and stands at %llu, expected "
                         "%zu and %lld",
                         w->name, loading.parts,
                         w->session ? (unsigned long long)session_position(w->session) : 0,
                         w->session ? session_parts(w->session) : 0, (long long)snapshot->position);
    }
    w->position = snapshot->position;
    return true;
}

/* A session that was signed but has no memory yet begins as it was meant to, not as the options of
 * this run say. */
static bool begin_empty(struct workspace *w, const struct options *options, struct error *error) {
    struct session_options o = session_options_of(options, w->loaded.engine);
    int64_t window, keep, merge;
    if (!store_setting_get_integer(w->store, SET_WINDOW, o.window, &window, error) ||
        !store_setting_get_integer(w->store, SET_KEEP, o.keep, &keep, error) ||
        !store_setting_get_integer(w->store, SET_MERGE, o.merge, &merge, error)) {
        return false;
    }
    if (window < 0 || window > UINT32_MAX || keep < 0 || keep > UINT32_MAX || merge < 0 ||
        merge > UINT32_MAX) {
        return error_set(
            error, ERROR_INCOMPATIBLE,
            "session %s: a window of %lld with %lld kept and %lld merged tokens cannot be", w->name,
            (long long)window, (long long)keep, (long long)merge);
    }
    o.window = (uint32_t)window;
    o.keep = (uint32_t)keep;
    o.merge = (uint32_t)merge;
    w->session = session_create(w->loaded.engine, &o, error);
    return w->session != NULL;
}

/* The newest state, or the one that `mark` means, with the search limited to what it had read. */
static bool load_state(struct workspace *w, const struct options *options, int64_t position,
                       const char *mark, struct error *error) {
    struct store_snapshots states;
    if (!store_snapshots_list(w->store, &states, error)) {
        return false;
    }
    size_t index = states.count - 1;
    bool ok = true;
    if (mark) {
        ok = as_of_find(&states, position, mark, &index, error) ||
             error_prefix(error, "session %s", w->name);
    }
    if (ok && mark) {
        const struct store_snapshot *s = &states.rows[index];
        struct store_horizon horizon = {s->position, s->document, s->byte};
        store_index_limit(w->index, &horizon);
    }
    ok = ok && (states.count > 0 ? load_snapshot(w, &states.rows[index], error)
                                 : begin_empty(w, options, error));
    store_snapshots_finish(&states);
    return ok;
}

bool workspace_load_memory(struct workspace *w, const struct options *options, const char *mark,
                           struct error *error) {
    struct store_session stored;
    if (!store_session_get(w->store, &stored, error)) {
        return false;
    }
    double begin = clock_seconds();
    bool ok = load_model(w, options, &stored, error);
    double loaded = clock_seconds();
    ok = ok && load_state(w, options, stored.position, mark, error);
    w->model_seconds = loaded - begin;
    w->memory_seconds = clock_seconds() - loaded;
    store_session_finish(&stored);
    return ok;
}

bool workspace_save_memory(struct workspace *w, int64_t document, uint64_t byte, const char *mark,
                           const struct store_budget *budget, struct error *error) {
    size_t count = session_parts(w->session);
    struct bytes *data = calloc(count, sizeof *data);
    struct store_part *parts = calloc(count, sizeof *parts);
    bool ok = (data && parts) || error_set(error, ERROR_NO_SPACE, "no memory to save the memory");
    for (size_t i = 0; ok && i < count; i++) {
        ok = session_save_part(w->session, i, &data[i], error);
        parts[i] = (struct store_part){.name = blob_of(i == 0 ? "header" : "layer"),
                                       .layer = (int64_t)i - 1,
                                       .data = data[i].data,
                                       .size = data[i].size};
    }
    struct maker_text maker;
    describe_maker(w, &maker);
    struct store_snapshot snapshot = {.position = (int64_t)session_position(w->session),
                                      .document = document,
                                      .byte = byte,
                                      .mark = blob_of(mark),
                                      .time = (int64_t)time(NULL),
                                      .maker = maker.maker};
    int64_t generation;
    ok = ok && store_snapshot_save(w->store, &snapshot, parts, count, budget, &generation, error);
    w->position = ok ? snapshot.position : w->position;
    for (size_t i = 0; data && i < count; i++) {
        bytes_finish(&data[i]);
    }
    free(data);
    free(parts);
    return ok;
}
