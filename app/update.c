/* SPDX-License-Identifier: Apache-2.0
 *
 * The sources are read again and held against what is stored. The new memory is made in a copy of
 * the session, from which everything that was read is forgotten; the copy then takes the session's
 * place. The setting "update_of" of a copy says of what state of session and sources it is, so that
 * a copy that was cut off is gone on with, and never when anything has changed since.
 */
#include "app/update.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/origins.h"
#include "app/sources.h"
#include "app/store_index.h"
#include "app/withdrawn.h"
#include "app/workspace_memory.h"
#include "storage/files.h"

static const char SETTING[] = "update_of";

void update_report_finish(struct update_report *r) {
    skips_finish(&r->changes.changed);
    skips_finish(&r->changes.gone);
    skips_finish(&r->changes.added);
    skips_finish(&r->changes.withdrawn);
    free(r->changes.outdated);
    ingest_report_finish(&r->ingest);
    *r = (struct update_report){0};
}

/* ---- the sources as they are now ---- */

/* Moves everything from one library to another. */
static bool append_library(struct library *to, struct library *from, struct error *error) {
    struct document *grown =
        reallocarray(to->documents, to->count + from->count + 1, sizeof *grown);
    if (!grown) {
        return error_set(error, ERROR_NO_SPACE, "no memory for the sources");
    }
    to->documents = grown;
    for (size_t i = 0; i < from->count; i++) {
        to->documents[to->count++] = from->documents[i];
    }
    from->count = 0;
    for (size_t i = 0; i < from->skips.count; i++) {
        const struct skip *s = &from->skips.items[i];
        if (!skips_add(&to->skips, s->name, s->by_rule, "%s", s->reason)) {
            return error_set(error, ERROR_NO_SPACE, "no memory for the sources");
        }
    }
    return true;
}

static bool read_origin(struct library *all, const struct origin *origin,
                        const struct walk_options *walk, bool offline, struct error *error) {
    struct walk_options o = *walk;
    struct library one = {0};
    size_t count = 0;
    if (chdir(origin->folder) != 0) {
        return error_set(error, ERROR_NOT_FOUND, "the folder %s, from where '%s' was read: %s",
                         origin->folder, origin->paths.count ? origin->paths.text[0] : "",
                         strerror(errno));
    }
    const char **paths = calloc(origin->paths.count + 1, sizeof *paths);
    for (size_t i = 0; paths && i < origin->paths.count; i++) {
        const char *path = origin->paths.text[i];
        if (source_is_url(path) || (strcmp(path, "-") != 0 && access(path, F_OK) == 0)) {
            paths[count++] = path;
        }
    }
    o.include = origin->include.text;
    o.include_count = origin->include.count;
    o.exclude = origin->exclude.text;
    o.exclude_count = origin->exclude.count;
    o.no_ignore = origin->no_ignore;
    bool ok = paths ? count == 0 || sources_read(&one, paths, count, &o, offline, error)
                    : error_set(error, ERROR_NO_SPACE, "no memory for the sources");
    ok = ok && append_library(all, &one, error);
    library_finish(&one);
    free(paths);
    return ok;
}

static bool read_sources(struct library *all, struct store *store, const struct walk_options *walk,
                         bool offline, struct error *error) {
    struct origins origins;
    if (!origins_read(&origins, store, error)) {
        return false;
    }
    char *here = getcwd(NULL, 0);
    bool ok = origins.count > 0 ||
              error_set(error, ERROR_NOT_FOUND, "it does not say from which paths it was read");
    for (size_t i = 0; ok && i < origins.count; i++) {
        ok = read_origin(all, &origins.items[i], walk, offline, error);
    }
    if (here && chdir(here) != 0 && ok) {
        ok = error_set(error, ERROR_FAILURE, "the folder %s: %s", here, strerror(errno));
    }
    free(here);
    /* A disk that is not there today is no reason to throw away the texts. */
    if (ok && all->count == 0 && all->skips.count == 0) {
        ok = error_set(error, ERROR_NOT_FOUND,
                       "none of its sources is there any more, of '%s' in %s",
                       origins.items[0].paths.count ? origins.items[0].paths.text[0] : "",
                       origins.items[0].folder);
    }
    origins_finish(&origins);
    return ok;
}

/* ---- held against what is stored ---- */

static bool is_in_library(const struct library *l, const char *name) {
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(l->documents[i].name, name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < l->skips.count; i++) { /* it is there, but cannot be read just now */
        if (strcmp(l->skips.items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_stdin(const char *name) {
    return strcmp(name, "stdin") == 0 || strncmp(name, "stdin ", 6) == 0;
}

static bool compare_document(struct store *store, const struct document *d,
                             struct update_changes *changes, struct bytes *state,
                             struct error *error) {
    uint8_t hash[HASH_BYTES];
    struct store_document before = {0};
    struct error none;
    bool known = store_document_by_path(store, blob_of(d->name), &before, &none);
    bool ok = hash_of(d->text, d->size, hash);
    bytes_put(state, d->name, strlen(d->name) + 1);
    bytes_put(state, hash, HASH_BYTES);
    /* The list of a folder's files follows from the others. */
    if (ok && d->kind != DOCUMENT_TREE && !known) {
        ok = skips_add(&changes->added, d->name, true, "new");
    } else if (ok && d->kind != DOCUMENT_TREE && memcmp(before.hash, hash, HASH_BYTES) != 0) {
        ok = skips_add(&changes->changed, d->name, true, "changed");
    }
    store_document_finish(&before);
    return ok || error_set(error, ERROR_NO_SPACE, "no memory for the sources");
}

static bool compare_sources(struct store *store, const struct library *l,
                            struct update_changes *changes, struct bytes *state,
                            struct error *error) {
    struct store_documents rows;
    bool ok = true;
    for (size_t i = 0; ok && i < l->count; i++) {
        ok = compare_document(store, &l->documents[i], changes, state, error);
    }
    if (!ok || !store_documents_list(store, false, &rows, error)) {
        return false;
    }
    for (size_t i = 0; ok && i < rows.count; i++) {
        const char *path = rows.rows[i].path.data;
        if (!is_stdin(path) && !is_in_library(l, path)) {
            ok = skips_add(&changes->gone, path, true, "no longer there") ||
                 error_set(error, ERROR_NO_SPACE, "no memory for the sources");
        }
    }
    store_documents_finish(&rows);
    return ok;
}

/* ---- the copy ---- */

char *session_update_file(const char *name, struct error *error) {
    char *path = session_file(name, true, error), *copy = NULL;
    if (path) {
        const char *slash = strrchr(path, '/');
        if (asprintf(&copy, "%.*s/.%s.update", (int)(slash - path), path, slash + 1) < 0) {
            copy = NULL;
            error_set(error, ERROR_NO_SPACE, "out of memory");
        }
    }
    free(path);
    return copy;
}

static bool is_same_update(const char *copy, const char *state) {
    const struct store_options o = {.mode = STORE_READ};
    struct store *store = store_open(copy, &o, NULL);
    struct blob value = {0};
    bool same = store && store_setting_get(store, SETTING, &value, NULL, NULL) && value.size > 0 &&
                strcmp(value.data, state) == 0;
    blob_free(&value);
    store_close(store);
    return same;
}

/* As if its documents, but those that are gone, had just been stored. What the memory was made with
 * is open again. */
static bool forget(struct store *store, const struct update_changes *changes, const char *state,
                   struct error *error) {
    const struct store_maker none = {0};
    bool ok = store_snapshot_rewind(store, 0, error) && store_set_maker(store, &none, 0, error);
    for (size_t i = 0; ok && i < changes->gone.count; i++) {
        struct store_document d = {0};
        ok = store_document_by_path(store, blob_of(changes->gone.items[i].name), &d, error) &&
             store_document_remove(store, d.id, error);
        store_document_finish(&d);
    }
    return ok && store_setting_set(store, SETTING, blob_of(state), error);
}

static bool make_copy(struct workspace *old, const char *path, const struct update_changes *changes,
                      const char *state, struct error *error) {
    struct workspace copy = {0};
    const struct options none = {0};
    if (is_same_update(path, state)) {
        return true;
    }
    if (access(path, F_OK) == 0 && !store_remove_file(path, error)) {
        return false;
    }
    bool ok = store_copy(old->store, path, true, error) &&
              workspace_open_file(&copy, &none, old->name, path, WORKSPACE_EDIT, NULL, error) &&
              store_begin(copy.store, error) &&
              store_end(copy.store, forget(copy.store, changes, state, error), error);
    workspace_close(&copy);
    return ok;
}

/* ---- the whole ---- */

static bool take_and_read(const struct options *options, const char *name, const char *path,
                          const struct ingest_options *ingest, struct update_report *r,
                          struct error *error) {
    struct workspace w;
    bool ok = workspace_open_file(&w, options, name, path, WORKSPACE_READ, NULL, error) &&
              workspace_take(&w, NULL, 0, ingest, &r->ingest, error) &&
              workspace_read_on(&w, ingest, &r->ingest, error);
    workspace_close(&w);
    return ok;
}

static bool rebuild(struct workspace *old, const struct options *options,
                    const struct ingest_options *ingest, struct update_report *r, const char *state,
                    struct error *error) {
    char *path = session_update_file(old->name, error);
    bool ok = path && make_copy(old, path, &r->changes, state, error) &&
              take_and_read(options, old->name, path, ingest, r, error);
    if (ok) {
        struct store *store = old->store;
        old->store = NULL;
        store_index_destroy(old->index);
        old->index = NULL;
        ok = store_replace(store, path, error);
    }
    free(path);
    return ok;
}

static bool read_added(struct workspace *old, const struct options *options,
                       const struct ingest_options *ingest, struct update_report *r,
                       struct error *error) {
    char *name = strdup(old->name), *path = session_file(old->name, true, error);
    workspace_close(old);
    bool ok = name && path && take_and_read(options, name, path, ingest, r, error);
    free(name);
    free(path);
    return ok;
}

static bool hash_state(const struct store_session *s, const struct options *options,
                       struct bytes *state, char hex[HASH_HEX], struct error *error) {
    uint8_t hash[HASH_BYTES];
    bytes_put_u64(state, (uint64_t)s->generation);
    bytes_put_u64(state, s->turns);
    bytes_put(state, options->model ? options->model : "",
              options->model ? strlen(options->model) : 0);
    bool ok = !state->failed && hash_of(state->data, state->size, hash);
    if (ok) {
        hash_hex(hash, hex);
    }
    return ok || error_set(error, ERROR_NO_SPACE, "no memory for the sources");
}

bool session_update(const struct options *options, const char *name,
                    const struct ingest_options *ingest,
                    void (*tell)(void *context, const struct update_changes *changes, bool rebuild),
                    void *context, struct update_report *r, struct error *error) {
    struct workspace old;
    struct store_session stored = {0};
    struct bytes state = {0};
    char hex[HASH_HEX];
    *r = (struct update_report){0};
    bool ok = workspace_open(&old, options, name, WORKSPACE_EDIT, NULL, error) &&
              store_session_get(old.store, &stored, error);
    struct options o = *options;
    if (ok && !o.model_named) {
        o.model = stored.maker.model.size ? stored.maker.model.data : o.model;
        o.model_named = stored.maker.model.size > 0;
    }
    ok = ok &&
         (read_sources(&r->ingest.library, old.store, &ingest->walk, ingest->offline, error) ||
          error_prefix(error, "session %s", name)) &&
         withdrawn_filter(old.store, &r->ingest.library, NULL, 0, error) &&
         withdrawn_in_memory(old.store, &r->changes.withdrawn, error) &&
         compare_sources(old.store, &r->ingest.library, &r->changes, &state, error) &&
         (options->model_named ||
          workspace_memory_outdated(&old, &o, &r->changes.outdated, error)) &&
         hash_state(&stored, &o, &state, hex, error);
    if (ok) {
        r->rebuilt = r->changes.outdated || r->changes.changed.count > 0 ||
                     r->changes.gone.count > 0 || r->changes.withdrawn.count > 0 ||
                     options->model_named;
        tell(context, &r->changes, r->rebuilt);
        ok = r->rebuilt                   ? rebuild(&old, &o, ingest, r, hex, error)
             : r->changes.added.count > 0 ? read_added(&old, &o, ingest, r, error)
                                          : true;
    }
    bytes_finish(&state);
    store_session_finish(&stored);
    workspace_close(&old);
    return ok;
}
