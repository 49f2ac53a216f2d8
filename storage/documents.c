/* SPDX-License-Identifier: Apache-2.0
 *
 * Documents: rows, and the life of the texts behind them.
 */
#include "storage/documents.h"

#include <stdlib.h>
#include <string.h>

#include "storage/passages.h"
#include "storage/statement.h"
#include "storage/text.h"

#define COLUMNS                                                                                    \
    "d.id, d.path, d.kind, d.state, d.size, d.hash, d.tokens, d.first_position, d.mtime,"          \
    " d.source_size, d.source_hash,"                                                               \
    " (SELECT min(o.id) FROM document o WHERE o.text = d.text AND o.state = 0),"                   \
    " (SELECT count(*) FROM page WHERE document = d.id)"

int64_t store_tokens_read(const struct store_document *document, int64_t position) {
    if (document->first_position < 0 || position <= document->first_position) {
        return 0;
    }
    int64_t read = position - document->first_position;
    return read < document->tokens ? read : document->tokens;
}

bool store_is_read(const struct store_document *document, int64_t position) {
    return document->first_position >= 0 && position >= document->first_position &&
           position - document->first_position >= document->tokens;
}

static void read_row(struct statement *s, struct store_document *d) {
    *d = (struct store_document){.id = statement_integer(s, 0)};
    statement_copy(s, 1, &d->path);
    statement_copy(s, 2, &d->kind);
    d->state = (enum store_state)statement_integer(s, 3);
    d->size = (uint64_t)statement_integer(s, 4);
    statement_fixed(s, 5, d->hash, HASH_BYTES);
    d->tokens = statement_integer(s, 6);
    d->first_position = statement_integer(s, 7);
    d->mtime = statement_integer(s, 8);
    d->source_size = (uint64_t)statement_integer(s, 9);
    statement_fixed(s, 10, d->source_hash, HASH_BYTES);
    int64_t first = statement_integer(s, 11);
    d->same_as = first == d->id ? 0 : first;
    d->pages = (uint64_t)statement_integer(s, 12);
}

void store_document_finish(struct store_document *document) {
    blob_free(&document->path);
    blob_free(&document->kind);
}

static bool not_found(struct store *store, int64_t id, struct error *error) {
    return error_set(error, ERROR_NOT_FOUND, "'%s': no document %lld", store->path, (long long)id);
}

static bool read_one(struct statement *s, struct store_document *document, bool *found,
                     struct error *error) {
    *document = (struct store_document){0};
    *found = statement_next(s);
    if (*found) {
        read_row(s, document);
    }
    if (!statement_end(s, error)) {
        store_document_finish(document);
        return false;
    }
    return true;
}

bool store_document_get(struct store *store, int64_t id, struct store_document *document,
                        struct error *error) {
    struct statement s = statement_of(store, "SELECT " COLUMNS " FROM document d WHERE d.id = ?1");
    statement_bind_integer(&s, 1, id);
    bool found;
    return read_one(&s, document, &found, error) && (found || not_found(store, id, error));
}

static bool find_path(struct store *store, struct blob path, struct store_document *document,
                      bool *found, struct error *error) {
    struct statement s =
        statement_of(store, "SELECT " COLUMNS " FROM document d WHERE d.path = ?1 AND d.state = 0");
    statement_bind_blob(&s, 1, path);
    return read_one(&s, document, found, error);
}

bool store_document_by_path(struct store *store, struct blob path, struct store_document *document,
                            struct error *error) {
    bool found;
    return find_path(store, path, document, &found, error) &&
           (found || error_set(error, ERROR_NOT_FOUND, "'%s': no document '%.*s'", store->path,
                               (int)(path.size < 300 ? path.size : 300), path.data));
}

/* The text's id; 0 when it was removed. ERROR_NOT_FOUND when there is no such document. */
static bool text_of(struct store *store, int64_t id, int64_t *text, struct error *error) {
    struct statement s = statement_of(store, "SELECT text FROM document WHERE id = ?1");
    statement_bind_integer(&s, 1, id);
    bool found = statement_next(&s);
    *text = found ? statement_integer(&s, 0) : 0;
    return statement_end(&s, error) && (found || not_found(store, id, error));
}

static bool present_text_of(struct store *store, int64_t id, int64_t *text, struct error *error) {
    return text_of(store, id, text, error) &&
           (*text || error_set(error, ERROR_NOT_FOUND,
                               "'%s': document %lld was replaced or removed since; its text is "
                               "no longer here",
                               store->path, (long long)id));
}

/* Takes the text from the document, and away if no other has it. */
static bool retire(struct store *store, int64_t id, enum store_state state, struct error *error) {
    int64_t text, others = 0;
    if (!text_of(store, id, &text, error)) {
        return false;
    }
    struct statement s =
        statement_of(store, "UPDATE document SET state = ?2, text = NULL WHERE id = ?1");
    statement_bind_integer(&s, 1, id);
    statement_bind_integer(&s, 2, state);
    if (!statement_run(&s, error)) {
        return false;
    }
    static const char *const tables[] = {"DELETE FROM page WHERE document = ?1",
                                         "DELETE FROM section WHERE document = ?1"};
    for (size_t i = 0; i < 2; i++) {
        s = statement_of(store, tables[i]);
        statement_bind_integer(&s, 1, id);
        if (!statement_run(&s, error)) {
            return false;
        }
    }
    s = statement_of(store, "SELECT count(*) FROM document WHERE text = ?1");
    statement_bind_integer(&s, 1, text);
    if (statement_next(&s)) {
        others = statement_integer(&s, 0);
    }
    return statement_end(&s, error) &&
           (text == 0 || others > 0 ||
            (passages_drop(store, text, error) && text_drop(store, text, error)));
}

bool store_document_remove(struct store *store, int64_t id, struct error *error) {
    if (!store_begin(store, error)) {
        return false;
    }
    return store_end(store, retire(store, id, STORE_REMOVED, error), error);
}

static bool add_pages(struct store *store, int64_t id, const struct store_source *source,
                      struct error *error) {
    struct statement s =
        statement_of(store, "INSERT INTO page(document, number, begin) VALUES(?1, ?2, ?3)");
    for (size_t i = 0; i < source->pages_count && s.code == SQLITE_OK; i++) {
        statement_bind_integer(&s, 1, id);
        statement_bind_integer(&s, 2, (int64_t)i + 1);
        statement_bind_integer(&s, 3, (int64_t)source->pages[i]);
        statement_next(&s);
    }
    return statement_end(&s, error);
}

static bool add_sections(struct store *store, int64_t id, const struct store_source *source,
                         struct error *error) {
    struct statement s = statement_of(store, "INSERT INTO section(document, number, begin, level,"
                                             " title) VALUES(?1, ?2, ?3, ?4, ?5)");
    for (size_t i = 0; i < source->sections_count && s.code == SQLITE_OK; i++) {
        statement_bind_integer(&s, 1, id);
        statement_bind_integer(&s, 2, (int64_t)i + 1);
        statement_bind_integer(&s, 3, (int64_t)source->sections[i].begin);
        statement_bind_integer(&s, 4, source->sections[i].level);
        statement_bind_blob(&s, 5, source->sections[i].title);
        statement_next(&s);
    }
    return statement_end(&s, error);
}

static bool add_row(struct store *store, const struct store_source *source, const uint8_t *hash,
                    int64_t text, int64_t *id, struct error *error) {
    struct statement s = statement_of(
        store, "INSERT INTO document(path, kind, state, text, hash, size, tokens, first_position,"
               " mtime, source_size, source_hash)"
               " VALUES(?1, ?2, 0, ?3, ?4, ?5, ?6, -1, ?7, ?8, ?9)");
    statement_bind_blob(&s, 1, source->path);
    statement_bind_blob(&s, 2, source->kind);
    statement_bind_integer(&s, 3, text);
    statement_bind_hash(&s, 4, hash);
    statement_bind_integer(&s, 5, (int64_t)source->text.size);
    statement_bind_integer(&s, 6, source->tokens);
    statement_bind_integer(&s, 7, source->mtime);
    statement_bind_integer(&s, 8, (int64_t)source->source_size);
    statement_bind_hash(&s, 9, source->source_hash);
    if (!statement_run(&s, error)) {
        return false;
    }
    *id = sqlite3_last_insert_rowid(store->db);
    return true;
}

static bool renew(struct store *store, const struct store_source *source, int64_t id,
                  struct error *error) {
    struct statement s = statement_of(store, "UPDATE document SET mtime = ?2, source_size = ?3,"
                                             " source_hash = ?4 WHERE id = ?1");
    statement_bind_integer(&s, 1, id);
    statement_bind_integer(&s, 2, source->mtime);
    statement_bind_integer(&s, 3, (int64_t)source->source_size);
    statement_bind_hash(&s, 4, source->source_hash);
    return statement_run(&s, error);
}

static bool forget_skip(struct store *store, struct blob path, struct error *error) {
    struct statement s = statement_of(store, "DELETE FROM skip WHERE path = ?1");
    statement_bind_blob(&s, 1, path);
    return statement_run(&s, error);
}

static bool offsets_ascend(const struct store_source *source) {
    uint64_t before = 0;
    for (size_t i = 0; i < source->pages_count; before = source->pages[i++]) {
        if (source->pages[i] < before || source->pages[i] > source->text.size) {
            return false;
        }
    }
    before = 0;
    for (size_t i = 0; i < source->sections_count; before = source->sections[i++].begin) {
        if (source->sections[i].begin < before || source->sections[i].begin > source->text.size) {
            return false;
        }
    }
    before = 0;
    for (size_t i = 0; i < source->passages_count; before = source->passages[i++].begin) {
        const struct store_span *p = &source->passages[i];
        if (p->begin < before || p->begin >= p->end || p->end > source->text.size) {
            return false;
        }
    }
    return true;
}

static bool add(struct store *store, const struct store_source *source, const uint8_t *hash,
                int64_t *id, struct error *error) {
    struct store_document old;
    bool found;
    if (!find_path(store, source->path, &old, &found, error)) {
        return false;
    }
    int64_t old_id = old.id;
    bool same = found && memcmp(old.hash, hash, HASH_BYTES) == 0;
    store_document_finish(&old);
    if (!forget_skip(store, source->path, error)) {
        return false;
    }
    if (same) {
        *id = old_id;
        return renew(store, source, old_id, error);
    }
    int64_t text;
    return (!found || retire(store, old_id, STORE_REPLACED, error)) &&
           text_find(store, hash, &text, error) &&
           (text != 0 || (text_put(store, source->text, hash, source->path, &text, error) &&
                          passages_add(store, text, source, error))) &&
           add_row(store, source, hash, text, id, error) && add_pages(store, *id, source, error) &&
           add_sections(store, *id, source, error);
}

bool store_document_add(struct store *store, const struct store_source *source, int64_t *id,
                        struct error *error) {
    uint8_t hash[HASH_BYTES];
    int64_t made = 0;
    if (source->text.size > STORE_TEXT_MAX) {
        return error_set(error, ERROR_USAGE, "a text of %zu bytes; at most %llu can be stored",
                         source->text.size, (unsigned long long)STORE_TEXT_MAX);
    }
    if (!offsets_ascend(source)) {
        return error_set(error, ERROR_USAGE,
                         "pages, sections and passages must ascend inside the text");
    }
    if (!hash_of(source->text.data, source->text.size, hash)) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    if (!store_begin(store, error)) {
        return false;
    }
    bool ok = store_end(store, add(store, source, hash, &made, error), error);
    if (id) {
        *id = ok ? made : 0;
    }
    return ok;
}

bool store_document_begin_reading(struct store *store, int64_t id, int64_t position, int64_t tokens,
                                  struct error *error) {
    if (!store_begin(store, error)) {
        return false;
    }
    struct statement s =
        statement_of(store, "UPDATE document SET first_position = ?2, tokens = ?3 WHERE id = ?1");
    statement_bind_integer(&s, 1, id);
    statement_bind_integer(&s, 2, position);
    statement_bind_integer(&s, 3, tokens);
    bool ok = statement_run(&s, error) &&
              (sqlite3_changes(store->db) == 1 || not_found(store, id, error));
    return store_end(store, ok, error);
}

bool store_document_read(struct store *store, int64_t id, uint64_t begin, uint64_t end,
                         struct blob *text, struct error *error) {
    *text = (struct blob){0};
    if (!db_read_begin(store, error)) {
        return false;
    }
    int64_t text_id;
    bool ok = present_text_of(store, id, &text_id, error) &&
              text_read(store, text_id, begin, end, text, error);
    db_read_end(store);
    return ok;
}

bool store_document_place(struct store *store, int64_t id, struct store_span span,
                          struct store_place *place, struct error *error) {
    *place = (struct store_place){0};
    if (!db_read_begin(store, error)) {
        return false;
    }
    int64_t text;
    uint64_t last = span.end > span.begin ? span.end - 1 : span.begin;
    bool ok = present_text_of(store, id, &text, error) &&
              text_line_at(store, text, span.begin, &place->first_line, error) &&
              text_line_at(store, text, last, &place->last_line, error);
    if (ok) {
        struct statement s =
            statement_of(store, "SELECT max(number) FROM page WHERE document = ?1 AND begin <= ?2");
        statement_bind_integer(&s, 1, id);
        statement_bind_integer(&s, 2, (int64_t)span.begin);
        if (statement_next(&s)) {
            place->page = (uint64_t)statement_integer(&s, 0);
        }
        ok = statement_end(&s, error);
    }
    db_read_end(store);
    return ok;
}

bool store_document_line(struct store *store, int64_t id, uint64_t line, struct store_span *span,
                         struct error *error) {
    *span = (struct store_span){0};
    if (!db_read_begin(store, error)) {
        return false;
    }
    int64_t text;
    bool ok = present_text_of(store, id, &text, error) &&
              text_line(store, text, line, &span->begin, &span->end, error);
    db_read_end(store);
    return ok;
}

bool store_document_page(struct store *store, int64_t id, uint64_t page, struct store_span *span,
                         struct error *error) {
    *span = (struct store_span){0};
    struct statement s = statement_of(
        store, "SELECT p.begin, coalesce((SELECT begin FROM page WHERE document = ?1"
               " AND number = ?2 + 1), d.size) FROM page p JOIN document d ON d.id = p.document"
               " WHERE p.document = ?1 AND p.number = ?2");
    statement_bind_integer(&s, 1, id);
    statement_bind_integer(&s, 2, (int64_t)page);
    bool found = statement_next(&s);
    if (found) {
        *span = (struct store_span){(uint64_t)statement_integer(&s, 0),
                                    (uint64_t)statement_integer(&s, 1)};
    }
    return statement_end(&s, error) &&
           (found || error_set(error, ERROR_NOT_FOUND, "'%s': document %lld has no page %llu",
                               store->path, (long long)id, (unsigned long long)page));
}
