/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing the index. It is contentless: it holds words and where they stand, not the text, so an
 * entry is removed by telling the index once more what was put in.
 */
#include "storage/passages.h"

#include <string.h>

#include "engine/base/bytes.h"
#include "storage/split.h"
#include "storage/statement.h"
#include "storage/terms.h"
#include "storage/text.h"

/* The column `names` of a passage: see terms.h, and the words of the label. */
static void put_names(struct bytes *out, struct blob passage, struct blob label) {
    terms_split(passage, out);
    bytes_put_u8(out, ' ');
    bytes_put(out, label.data ? label.data : "", label.size);
    terms_split(label, out);
}

static uint64_t count_lines(struct blob text, size_t begin, size_t end) {
    uint64_t count = 0;
    for (size_t i = begin; i < end; i++) {
        count += text.data[i] == '\n';
    }
    return count;
}

/* Spans in turn: those given, or those cut here. */
struct spans {
    const struct store_source *source;
    size_t next, at;
};

static bool next_span(struct spans *spans, struct store_span *span) {
    if (!spans->source->passages) {
        return split_next(spans->source->text, &spans->at, span);
    }
    if (spans->next == spans->source->passages_count) {
        return false;
    }
    *span = spans->source->passages[spans->next++];
    return true;
}

bool passages_add(struct store *store, int64_t text_id, const struct store_source *source,
                  struct error *error) {
    struct blob text = source->text;
    struct statement row =
        statement_of(store, "INSERT INTO passage(text, begin, end, first_line, last_line)"
                            " VALUES(?1, ?2, ?3, ?4, ?5)");
    struct statement entry =
        statement_of(store, "INSERT INTO passage_index(rowid, words, names) VALUES(?1, ?2, ?3)");
    struct bytes names = {0};
    struct spans spans = {.source = source};
    struct store_span span;
    size_t counted = 0;
    uint64_t line = 1;
    while (row.code == SQLITE_OK && entry.code == SQLITE_OK && !names.failed &&
           next_span(&spans, &span)) {
        struct blob passage = {text.data + span.begin, span.end - span.begin};
        line += count_lines(text, counted, span.begin);
        counted = span.begin;
        statement_bind_integer(&row, 1, text_id);
        statement_bind_integer(&row, 2, (int64_t)span.begin);
        statement_bind_integer(&row, 3, (int64_t)span.end);
        statement_bind_integer(&row, 4, (int64_t)line);
        statement_bind_integer(&row, 5,
                               (int64_t)(line + count_lines(text, span.begin, span.end - 1)));
        statement_next(&row);
        names.size = 0;
        put_names(&names, passage, source->path);
        statement_bind_integer(&entry, 1, sqlite3_last_insert_rowid(store->db));
        statement_bind_text(&entry, 2, passage);
        statement_bind_text(&entry, 3, (struct blob){(const char *)names.data, names.size});
        statement_next(&entry);
    }
    bool ok = !names.failed || error_set(error, ERROR_NO_SPACE, "out of memory");
    bytes_finish(&names);
    ok = statement_end(&entry, ok ? error : NULL) && ok;
    return statement_end(&row, ok ? error : NULL) && ok;
}

/* Removes the entries; the rows are removed after it. */
static bool drop_entries(struct store *store, int64_t text_id, struct blob label,
                         struct error *error) {
    struct statement row =
        statement_of(store, "SELECT id, begin, end FROM passage WHERE text = ?1 ORDER BY begin");
    struct statement entry = statement_of(store, "INSERT INTO passage_index(passage_index, rowid,"
                                                 " words, names) VALUES('delete', ?1, ?2, ?3)");
    struct bytes names = {0};
    bool ok = true;
    statement_bind_integer(&row, 1, text_id);
    while (ok && entry.code == SQLITE_OK && statement_next(&row)) {
        struct blob passage;
        ok = text_read(store, text_id, (uint64_t)statement_integer(&row, 1),
                       (uint64_t)statement_integer(&row, 2), &passage, error);
        if (!ok) {
            break;
        }
        names.size = 0;
        put_names(&names, passage, label);
        statement_bind_integer(&entry, 1, statement_integer(&row, 0));
        statement_bind_text(&entry, 2, passage);
        statement_bind_text(&entry, 3, (struct blob){(const char *)names.data, names.size});
        statement_next(&entry);
        blob_free(&passage);
        ok = !names.failed || error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    bytes_finish(&names);
    ok = statement_end(&entry, ok ? error : NULL) && ok;
    return statement_end(&row, ok ? error : NULL) && ok;
}

bool passages_drop(struct store *store, int64_t text_id, struct error *error) {
    struct blob label = {0};
    struct statement s = statement_of(store, "SELECT label FROM text WHERE id = ?1");
    statement_bind_integer(&s, 1, text_id);
    if (statement_next(&s)) {
        statement_copy(&s, 0, &label);
    }
    bool ok = statement_end(&s, error) && drop_entries(store, text_id, label, error);
    blob_free(&label);
    if (!ok) {
        return false;
    }
    s = statement_of(store, "DELETE FROM passage WHERE text = ?1");
    statement_bind_integer(&s, 1, text_id);
    return statement_run(&s, error);
}

bool passages_check_index(struct store *store, struct error *error) {
    return db_run(store, "INSERT INTO passage_index(passage_index) VALUES('integrity-check')",
                  error);
}
