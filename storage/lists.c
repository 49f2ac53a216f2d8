/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of documents.h: all documents, a document's sections, what was skipped.
 */
#include "storage/documents.h"
#include "storage/rows.h"
#include "storage/statement.h"

bool store_documents_list(struct store *store, bool gone, struct store_documents *documents,
                          struct error *error) {
    *documents = (struct store_documents){0};
    if (!db_read_begin(store, error)) {
        return false;
    }
    /* One row at a time through the function that reads one keeps a single place that knows the
     * columns; the view makes the two queries agree. */
    struct statement s =
        statement_of(store, "SELECT id FROM document WHERE state = 0 OR ?1 ORDER BY id");
    bool ok = true;
    statement_bind_integer(&s, 1, gone);
    while (ok && statement_next(&s)) {
        ok = rows_grow(&documents->rows, documents->count, sizeof *documents->rows, error) &&
             store_document_get(store, statement_integer(&s, 0), &documents->rows[documents->count],
                                error);
        documents->count += ok;
    }
    ok = statement_end(&s, ok ? error : NULL) && ok;
    db_read_end(store);
    if (!ok) {
        store_documents_finish(documents);
    }
    return ok;
}

void store_documents_finish(struct store_documents *documents) {
    for (size_t i = 0; i < documents->count; i++) {
        store_document_finish(&documents->rows[i]);
    }
    free(documents->rows);
    *documents = (struct store_documents){0};
}

bool store_sections_list(struct store *store, int64_t id, struct store_sections *sections,
                         struct error *error) {
    *sections = (struct store_sections){0};
    struct statement s = statement_of(
        store, "SELECT begin, level, title FROM section WHERE document = ?1 ORDER BY number");
    bool ok = true;
    statement_bind_integer(&s, 1, id);
    while (ok && statement_next(&s)) {
        ok = rows_grow(&sections->rows, sections->count, sizeof *sections->rows, error);
        if (ok) {
            struct store_section *row = &sections->rows[sections->count++];
            row->begin = (uint64_t)statement_integer(&s, 0);
            row->level = statement_integer(&s, 1);
            statement_copy(&s, 2, &row->title);
        }
    }
    ok = statement_end(&s, ok ? error : NULL) && ok;
    if (!ok) {
        store_sections_finish(sections);
    }
    return ok;
}

void store_sections_finish(struct store_sections *sections) {
    for (size_t i = 0; i < sections->count; i++) {
        blob_free(&sections->rows[i].title);
    }
    free(sections->rows);
    *sections = (struct store_sections){0};
}

bool store_skip_add(struct store *store, struct blob path, struct blob reason,
                    struct error *error) {
    if (!store_begin(store, error)) {
        return false;
    }
    struct statement s = statement_of(store, "INSERT INTO skip(path, reason) VALUES(?1, ?2)"
                                             " ON CONFLICT(path) DO UPDATE SET reason = ?2");
    statement_bind_blob(&s, 1, path);
    statement_bind_blob(&s, 2, reason);
    return store_end(store, statement_run(&s, error), error);
}

bool store_skips_list(struct store *store, struct store_skips *skips, struct error *error) {
    *skips = (struct store_skips){0};
    struct statement s = statement_of(store, "SELECT path, reason FROM skip ORDER BY id");
    bool ok = true;
    while (ok && statement_next(&s)) {
        ok = rows_grow(&skips->rows, skips->count, sizeof *skips->rows, error);
        if (ok) {
            struct store_skip *row = &skips->rows[skips->count++];
            statement_copy(&s, 0, &row->path);
            statement_copy(&s, 1, &row->reason);
        }
    }
    ok = statement_end(&s, ok ? error : NULL) && ok;
    if (!ok) {
        store_skips_finish(skips);
    }
    return ok;
}

void store_skips_finish(struct store_skips *skips) {
    for (size_t i = 0; i < skips->count; i++) {
        blob_free(&skips->rows[i].path);
        blob_free(&skips->rows[i].reason);
    }
    free(skips->rows);
    *skips = (struct store_skips){0};
}
