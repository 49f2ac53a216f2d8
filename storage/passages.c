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

static struct blob as_blob(const struct bytes *b) {
    return (struct blob){b->size ? (const char *)b->data : "", b->size};
}

/* Storage's own rule: the text as it is, and what terms.h makes of it. */
static bool put_own(struct blob text, struct bytes *out) {
    bytes_put_u8(out, ' ');
    bytes_put(out, text.data ? text.data : "", text.size);
    terms_split(text, out);
    return !out->failed;
}

static bool put_words(const struct store *store, struct blob text, struct bytes *out) {
    return store->words.put ? store->words.put(store->words.context, text, out) && !out->failed
                            : put_own(text, out);
}

/* Puts entries into the index or takes them out, one after the other. */
struct entries {
    struct statement statement;
    struct bytes words, names;
    bool failed; /* out of memory */
};

static struct entries entries_start(struct store *store, bool remove) {
    return (struct entries){
        .statement = statement_of(
            store, remove ? "INSERT INTO passage_index(passage_index, rowid, words, names)"
                            " VALUES('delete', ?1, ?2, ?3)"
                          : "INSERT INTO passage_index(rowid, words, names) VALUES(?1, ?2, ?3)")};
}

static bool entries_next(struct entries *e, int64_t id, struct blob passage, struct blob label,
                         struct blob heading) {
    const struct store *store = e->statement.store;
    e->words.size = e->names.size = 0;
    e->failed = !put_words(store, passage, &e->words) || !put_words(store, label, &e->names) ||
                !put_words(store, heading, &e->names);
    if (!e->failed) {
        statement_bind_integer(&e->statement, 1, id);
        statement_bind_text(&e->statement, 2, as_blob(&e->words));
        statement_bind_text(&e->statement, 3, as_blob(&e->names));
        statement_next(&e->statement);
    }
    return !e->failed && e->statement.code == SQLITE_OK;
}

static bool entries_end(struct entries *e, struct error *error) {
    bytes_finish(&e->words);
    bytes_finish(&e->names);
    bool ok = statement_end(&e->statement, error);
    return ok && (!e->failed || error_set(error, ERROR_NO_SPACE, "out of memory"));
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

/* The title of the section in which byte `at` stands; `*next` moves on with it. */
static struct blob heading_at(const struct store_source *source, uint64_t at, size_t *next) {
    while (*next < source->sections_count && source->sections[*next].begin <= at) {
        ++*next;
    }
    return *next ? source->sections[*next - 1].title : (struct blob){0};
}

bool passages_add(struct store *store, int64_t text_id, const struct store_source *source,
                  struct error *error) {
    if (!passages_check_rule(store, error)) {
        return false;
    }
    struct blob text = source->text;
    struct statement row =
        statement_of(store, "INSERT INTO passage(text, begin, end, first_line, last_line, heading)"
                            " VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
    struct entries entries = entries_start(store, false);
    struct spans spans = {.source = source};
    struct store_span span;
    size_t counted = 0, section = 0;
    uint64_t line = 1;
    bool ok = true, stopped = false;
    while (ok && !stopped && next_span(&spans, &span)) {
        struct blob passage = {text.data + span.begin, span.end - span.begin};
        struct blob heading = heading_at(source, span.begin, &section);
        line += count_lines(text, counted, span.begin);
        counted = span.begin;
        statement_bind_integer(&row, 1, text_id);
        statement_bind_integer(&row, 2, (int64_t)span.begin);
        statement_bind_integer(&row, 3, (int64_t)span.end);
        statement_bind_integer(&row, 4, (int64_t)line);
        statement_bind_integer(&row, 5,
                               (int64_t)(line + count_lines(text, span.begin, span.end - 1)));
        statement_bind_blob(&row, 6, heading);
        statement_next(&row);
        ok = row.code == SQLITE_OK && entries_next(&entries, sqlite3_last_insert_rowid(store->db),
                                                   passage, source->path, heading);
        stopped = db_stop_wanted(store);
    }
    ok = entries_end(&entries, error);
    return statement_end(&row, ok ? error : NULL) && ok && (!stopped || db_stopped(error));
}

/* All passages of a text, or with 0 of every text, in or out of the index. */
static bool index_all(struct store *store, int64_t text_id, bool remove, struct error *error) {
    struct statement row = statement_of(
        store, "SELECT p.id, p.text, p.begin, p.end, p.heading, t.label FROM passage p"
               " JOIN text t ON t.id = p.text WHERE ?1 = 0 OR p.text = ?1 ORDER BY p.id");
    struct entries entries = entries_start(store, remove);
    bool ok = true, stopped = false;
    statement_bind_integer(&row, 1, text_id);
    while (ok && !stopped && statement_next(&row)) {
        struct blob passage;
        if (!text_read(store, statement_integer(&row, 1), (uint64_t)statement_integer(&row, 2),
                       (uint64_t)statement_integer(&row, 3), &passage, error)) {
            entries_end(&entries, NULL);
            statement_end(&row, NULL);
            return false;
        }
        struct blob heading = statement_blob(&row, 4), label = statement_blob(&row, 5);
        ok = entries_next(&entries, statement_integer(&row, 0), passage, label, heading);
        blob_free(&passage);
        stopped = db_stop_wanted(store);
    }
    ok = entries_end(&entries, error);
    return statement_end(&row, ok ? error : NULL) && ok && (!stopped || db_stopped(error));
}

bool passages_drop(struct store *store, int64_t text_id, struct error *error) {
    if (!passages_check_rule(store, error) || !index_all(store, text_id, true, error)) {
        return false;
    }
    struct statement s = statement_of(store, "DELETE FROM passage WHERE text = ?1");
    statement_bind_integer(&s, 1, text_id);
    return statement_run(&s, error);
}

bool passages_check_rule(struct store *store, struct error *error) {
    struct blob made = {0};
    struct statement s = statement_of(store, "SELECT words FROM session");
    if (statement_next(&s)) {
        statement_copy(&s, 0, &made);
    }
    if (!statement_end(&s, error)) {
        return false;
    }
    bool same = made.size == strlen(store->words_name) &&
                (made.size == 0 || memcmp(made.data, store->words_name, made.size) == 0);
    if (!same) {
        error_set(error, ERROR_INCOMPATIBLE,
                  "the index of '%s' was made by the rule '%.64s' for words, not by '%s': any "
                  "command that writes to the session makes it again",
                  store->path, made.size ? made.data : "", store->words_name);
    }
    blob_free(&made);
    return same;
}

bool passages_rebuild(struct store *store, struct error *error) {
    if (!store_begin(store, error)) {
        return false;
    }
    struct statement s = statement_of(store, "UPDATE session SET words = ?1");
    statement_bind_blob(&s, 1, blob_of(store->words_name));
    bool ok =
        statement_run(&s, error) &&
        db_run(store, "INSERT INTO passage_index(passage_index) VALUES('delete-all')", error) &&
        index_all(store, 0, false, error);
    return store_end(store, ok, error);
}

bool passages_check_index(struct store *store, struct error *error) {
    return db_run(store, "INSERT INTO passage_index(passage_index) VALUES('integrity-check')",
                  error);
}
