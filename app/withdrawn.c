/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of names, and documents held against it.
 */
#include "app/withdrawn.h"

#include <string.h>

#include "app/import/import.h"
#include "storage/documents.h"

static const char SETTING[] = "withdrawn", REASON[] = "taken out of the session";

static const char *find_name(const struct blob *list, const char *name) {
    for (size_t at = 0; at < list->size; at += strlen(list->data + at) + 1) {
        if (strcmp(list->data + at, name) == 0) {
            return list->data + at;
        }
    }
    return NULL;
}

static bool save(struct store *store, const struct bytes *list, struct error *error) {
    return list->failed
               ? error_set(error, ERROR_NO_SPACE, "no memory for a list of sources")
               : store_setting_set(store, SETTING,
                                   (struct blob){(const char *)list->data, list->size}, error);
}

static bool add_name(struct store *store, const char *name, struct error *error) {
    struct blob before = {0};
    struct bytes list = {0};
    bool ok = store_setting_get(store, SETTING, &before, NULL, error);
    if (ok && !find_name(&before, name)) {
        bytes_put(&list, before.data ? before.data : "", before.size);
        bytes_put(&list, name, strlen(name) + 1);
        ok = save(store, &list, error);
    }
    bytes_finish(&list);
    blob_free(&before);
    return ok;
}

static bool drop_name(struct store *store, const char *name, struct error *error) {
    struct blob before = {0};
    struct bytes list = {0};
    bool ok = store_setting_get(store, SETTING, &before, NULL, error);
    const char *at = ok ? find_name(&before, name) : NULL;
    if (at) {
        size_t begin = (size_t)(at - before.data), end = begin + strlen(name) + 1;
        bytes_put(&list, before.data, begin);
        bytes_put(&list, before.data + end, before.size - end);
        ok = save(store, &list, error);
    }
    bytes_finish(&list);
    blob_free(&before);
    return ok;
}

bool withdrawn_add(struct store *store, const char *name, struct error *error) {
    struct store_document d = {0};
    if (!store_begin(store, error)) {
        return false;
    }
    bool ok = store_document_by_path(store, blob_of(name), &d, error) &&
              store_document_remove(store, d.id, error) && add_name(store, name, error) &&
              store_skip_add(store, blob_of(name), blob_of(REASON), error);
    store_document_finish(&d);
    return store_end(store, ok, error);
}

static bool is_named(const char *name, const char *const *paths, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(paths[i], name) == 0) {
            return true;
        }
    }
    return false;
}

bool withdrawn_filter(struct store *store, struct library *l, const char *const *paths,
                      size_t count, struct error *error) {
    struct blob list = {0};
    if (!store_setting_get(store, SETTING, &list, NULL, error)) {
        return false;
    }
    bool ok = true;
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        struct document d = l->documents[i];
        bool out = list.size && find_name(&list, d.name);
        if (ok && out && is_named(d.name, paths, count)) {
            ok = drop_name(store, d.name, error);
            out = false;
        }
        if (ok && out) {
            ok = skips_add(&l->skips, d.name, true, "%s", REASON) ||
                 error_set(error, ERROR_NO_SPACE, "no memory for the report");
            document_finish(&d);
        } else {
            l->documents[kept++] = d;
        }
    }
    l->count = kept;
    blob_free(&list);
    return ok;
}

bool withdrawn_in_memory(struct store *store, struct skips *names, struct error *error) {
    struct store_documents rows;
    if (!store_documents_list(store, true, &rows, error)) {
        return false;
    }
    bool ok = true;
    for (size_t i = 0; ok && i < rows.count; i++) {
        const struct store_document *d = &rows.rows[i];
        if (d->state == STORE_REMOVED && d->first_position >= 0) {
            ok = skips_add(names, d->path.data, true, "%s", REASON) ||
                 error_set(error, ERROR_NO_SPACE, "no memory for the report");
        }
    }
    store_documents_finish(&rows);
    return ok;
}
