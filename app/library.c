/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths -> documents in memory.
 */
#include "app/library.h"

#include <stdlib.h>
#include <string.h>

#include "app/import/tree.h"

static bool add_document(struct library *l, struct document *d, struct error *error) {
    struct document *grown = reallocarray(l->documents, l->count + 1, sizeof *grown);
    if (!grown) {
        document_finish(d);
        return error_set(error, ERROR_NO_SPACE, "no memory for another document");
    }
    l->documents = grown;
    l->documents[l->count++] = *d;
    return true;
}

static bool read_file(struct library *l, const struct walked_file *file,
                      const struct import_limits *limits, struct error *error) {
    struct document document = {0};
    enum import_result result =
        strcmp(file->path, "-") == 0
            ? import_stdin(limits, &document, &l->skips, error)
            : import_file(file->path, file->named, limits, &document, &l->skips, error);
    return result == IMPORT_TAKEN ? add_document(l, &document, error) : result == IMPORT_SKIPPED;
}

/* Before the first file of a folder, the list of them all. */
static bool read_tree(struct library *l, const struct walk *walk, size_t file,
                      const char *const *paths, struct error *error) {
    size_t root = walk->files[file].root;
    bool first = file == 0 || walk->files[file - 1].root != root;
    struct document document = {0};
    return !first || !tree_is_useful(walk, root) ||
           (tree_document(walk, root, paths[root], &document, error) &&
            add_document(l, &document, error));
}

bool library_read(struct library *l, const char *const *paths, size_t count,
                  const struct walk_options *options, struct error *error) {
    struct walk walk = {0};
    struct import_limits limits = import_limits_default();
    limits.stop = options->stop;
    limits.stop_context = options->stop_context;
    bool ok = walk_paths(&walk, paths, count, options, error);
    l->skips = walk.skips;
    walk.skips = (struct skips){0};
    for (size_t i = 0; ok && i < walk.count; i++) {
        ok = read_tree(l, &walk, i, paths, error) && read_file(l, &walk.files[i], &limits, error);
        if (ok && options->stop && options->stop(options->stop_context)) {
            ok = error_set(error, ERROR_INTERRUPTED, "stopped before all files were opened");
        }
    }
    walk_finish(&walk);
    return ok;
}

void library_finish(struct library *l) {
    for (size_t i = 0; i < l->count; i++) {
        document_finish(&l->documents[i]);
    }
    free(l->documents);
    skips_finish(&l->skips);
    *l = (struct library){0};
}
