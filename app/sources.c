/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths and addresses -> documents in memory.
 */
#include "app/sources.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/download.h"
#include "app/paths.h"

bool source_is_url(const char *path) {
    return strncmp(path, "http://", 7) == 0 || strncmp(path, "https://", 8) == 0;
}

static bool read_cached(struct bytes *data, const char *path, struct error *error) {
    enum { PIECE = 1 << 18 };
    FILE *file = fopen(path, "rbe");
    size_t got = 1;
    while (file && got > 0) {
        uint8_t *at = bytes_extend(data, PIECE);
        got = at ? fread(at, 1, PIECE, file) : 0;
        data->size -= at ? PIECE - got : 0;
    }
    bool ok = file && !ferror(file);
    int cause = errno;
    if (file) {
        fclose(file);
    }
    return data->failed ? error_set(error, ERROR_NO_SPACE, "no memory for %s", path)
           : ok         ? true
                        : error_set(error, ERROR_FAILURE, "%s: %s", path, strerror(cause));
}

/* Takes over `document` when it was taken. */
static bool add_fetched(struct library *l, const char *url, const struct bytes *data,
                        const struct walk_options *o, struct error *error) {
    struct import_limits limits = import_limits_default();
    limits.stop = o->stop;
    limits.stop_context = o->stop_context;
    struct document document = {0};
    enum import_result result =
        import_bytes(data->data, data->size, url, &limits, &document, &l->skips, error);
    if (result != IMPORT_TAKEN) {
        return result == IMPORT_SKIPPED;
    }
    struct document *grown = reallocarray(l->documents, l->count + 1, sizeof *grown);
    if (!grown) {
        document_finish(&document);
        return error_set(error, ERROR_NO_SPACE, "no memory for %s", url);
    }
    l->documents = grown;
    l->documents[l->count++] = document;
    return true;
}

/* CACHE/HASH.source, so that the name comes from the address alone. */
static char *cached_name(const char *url, struct error *error) {
    struct paths paths;
    uint8_t hash[HASH_BYTES];
    char hex[HASH_HEX], *path = NULL;
    if (!paths_init(&paths, error)) {
        return NULL;
    }
    if (paths_make(paths.cache, error)) {
        if (hash_of(url, strlen(url), hash)) {
            hash_hex(hash, hex);
            path = paths_join(paths.cache, hex, ".source");
        }
        if (!path) {
            error_set(error, ERROR_NO_SPACE, "out of memory");
        }
    }
    paths_finish(&paths);
    return path;
}

static bool fetch(struct library *l, const char *url, const struct walk_options *o,
                  struct error *error) {
    char *path = cached_name(url, error);
    char *part = NULL;
    struct download_result result;
    struct bytes data = {0};
    bool ok = false;
    if (path && asprintf(&part, "%s.part", path) < 0) {
        part = NULL;
        error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    if (part) {
        const struct download d = {.url = url,
                                   .part = part,
                                   .path = path,
                                   .replace = true,
                                   .watch = {.stop = o->stop, .context = o->stop_context}};
        ok = download_run(&d, &result, error) && read_cached(&data, path, error) &&
             add_fetched(l, url, &data, o, error);
        unlink(path);
    }
    bytes_finish(&data);
    free(part);
    free(path);
    return ok;
}

bool sources_read(struct library *l, const char *const *paths, size_t count,
                  const struct walk_options *o, bool offline, struct error *error) {
    const char **local = calloc(count + 1, sizeof *local);
    size_t locals = 0;
    for (size_t i = 0; local && i < count; i++) {
        if (!source_is_url(paths[i])) {
            local[locals++] = paths[i];
        } else if (offline) {
            free(local);
            return error_set(error, ERROR_NETWORK, "%s is on the web, and --offline is set",
                             paths[i]);
        }
    }
    bool ok = local || error_set(error, ERROR_NO_SPACE, "no memory for the sources");
    ok = ok && (locals == 0 || library_read(l, local, locals, o, error));
    for (size_t i = 0; ok && i < count; i++) {
        ok = !source_is_url(paths[i]) || fetch(l, paths[i], o, error);
    }
    free(local);
    return ok;
}
