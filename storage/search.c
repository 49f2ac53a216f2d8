/* SPDX-License-Identifier: Apache-2.0
 *
 * Search. FTS5 ranks; which document a passage stands in, and its page, is looked up row by row
 * until enough passages are found.
 */
#include "storage/search.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/bytes.h"
#include "storage/passages.h"
#include "storage/rows.h"
#include "storage/statement.h"
#include "storage/terms.h"

/* A string of FTS5: in double quotes, with those inside doubled. It ends at a NUL, so none goes in.
 */
static void put_string(struct bytes *out, struct blob text) {
    bytes_put_u8(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '"') {
            bytes_put_u8(out, '"');
        }
        bytes_put_u8(out, c ? (uint8_t)c : ' ');
    }
    bytes_put_u8(out, '"');
}

static void put_term(const struct store *store, struct bytes *out, struct blob term) {
    struct bytes parts = {0};
    if (!store->words.put) {
        terms_split(term, &parts);
    }
    bytes_put_u8(out, '(');
    put_string(out, term);
    if (parts.size > 0) {
        bytes_put(out, " OR ", 4);
        put_string(out, (struct blob){(const char *)parts.data, parts.size});
    }
    bytes_put_u8(out, ')');
    out->failed = out->failed || parts.failed;
    bytes_finish(&parts);
}

static struct blob as_blob(const struct bytes *b) {
    return (struct blob){(const char *)b->data, b->size};
}

bool store_use_words(struct store *store, const struct store_words *words, struct error *error) {
    if (strlen(words->name) >= sizeof store->words_name) {
        return error_set(error, ERROR_USAGE, "the name '%s' of a rule for words is too long",
                         words->name);
    }
    strcpy(store->words_name, words->name);
    store->words = *words;
    struct error other = {0};
    if (passages_check_rule(store, &other)) {
        return true;
    }
    if (other.code == ERROR_INCOMPATIBLE && store->writing) {
        return passages_rebuild(store, error);
    }
    uint64_t passages = 0;
    if (other.code == ERROR_INCOMPATIBLE && store_passages_count(store, &passages, NULL) &&
        passages == 0) {
        return true; /* there is no index yet that could differ */
    }
    if (error) {
        *error = other;
    }
    return false;
}

bool store_passages_count(struct store *store, uint64_t *passages, struct error *error) {
    int64_t count;
    bool ok = db_integer(store, "SELECT count(*) FROM passage", &count, error);
    *passages = (uint64_t)count;
    return ok;
}

/* `match`: the term in the syntax of FTS5. */
static bool count_term(struct store *store, struct blob match, uint64_t *passages,
                       struct error *error) {
    struct bytes in_text = {0};
    bytes_put(&in_text, "words : ", 8);
    bytes_put(&in_text, match.data, match.size);
    *passages = 0;
    if (in_text.failed) {
        bytes_finish(&in_text);
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    struct statement s =
        statement_of(store, "SELECT count(*) FROM passage_index WHERE passage_index MATCH ?1");
    statement_bind_text(&s, 1, as_blob(&in_text));
    if (statement_next(&s)) {
        *passages = (uint64_t)statement_integer(&s, 0);
    }
    bool ok = statement_end(&s, error);
    bytes_finish(&in_text);
    return ok;
}

bool store_frequency(struct store *store, struct blob term, uint64_t *passages,
                     struct error *error) {
    struct bytes match = {0};
    *passages = 0;
    put_term(store, &match, term);
    bool ok = !match.failed || error_set(error, ERROR_NO_SPACE, "out of memory");
    ok = ok && count_term(store, as_blob(&match), passages, error);
    bytes_finish(&match);
    return ok;
}

/* Fills hits->frequency and hits->passages. */
static bool count_terms(struct store *store, const struct bytes *terms, size_t count,
                        struct store_hits *hits, struct error *error) {
    bool ok = store_passages_count(store, &hits->passages, error);
    for (size_t i = 0; ok && i < count; i++) {
        ok = count_term(store, as_blob(&terms[i]), &hits->frequency[i], error);
    }
    return ok;
}

static bool mark_matches(struct store *store, const struct bytes *terms, size_t count,
                         struct store_hits *hits, struct error *error) {
    struct statement s = statement_of(
        store, "SELECT 1 FROM passage_index WHERE passage_index MATCH ?1 AND rowid = ?2");
    for (size_t i = 0; i < count; i++) {
        for (size_t h = 0; h < hits->count && s.code == SQLITE_OK; h++) {
            statement_bind_text(&s, 1, as_blob(&terms[i]));
            statement_bind_integer(&s, 2, hits->rows[h].passage);
            while (statement_next(&s)) {
                hits->rows[h].matched |= (uint64_t)1 << i;
            }
        }
    }
    return statement_end(&s, error);
}

/* The passage's row and the first document that has it within the horizon. */
#define PLACE_SQL                                                                                  \
    "SELECT p.begin, p.end, p.first_line, p.last_line, d.id,"                                      \
    " (SELECT max(number) FROM page WHERE document = d.id AND begin <= p.begin)"                   \
    " FROM passage p JOIN document d ON d.text = p.text WHERE p.id = ?1 AND d.state = 0"

static bool rank(struct store *store, const struct store_query *query, struct blob match,
                 struct store_hits *hits, struct error *error) {
    const struct store_horizon *horizon = query->horizon;
    /* A word of the text weighs twice what one of the heading or the path does. */
    struct statement ranked =
        statement_of(store, "SELECT rowid, rank FROM passage_index WHERE passage_index MATCH ?1"
                            " AND rank MATCH 'bm25(1.0, 0.5)' ORDER BY rank");
    struct statement place = horizon
                                 ? statement_of(store, PLACE_SQL " AND d.first_position >= 0"
                                                                 " AND d.first_position < ?2"
                                                                 " AND (d.id <> ?3 OR p.begin < ?4)"
                                                                 " ORDER BY d.id LIMIT 1")
                                 : statement_of(store, PLACE_SQL " ORDER BY d.id LIMIT 1");
    bool ok = true;
    statement_bind_text(&ranked, 1, match);
    while (ok && hits->count < query->limit && place.code == SQLITE_OK && statement_next(&ranked)) {
        int64_t id = statement_integer(&ranked, 0);
        statement_bind_integer(&place, 1, id);
        if (horizon) {
            statement_bind_integer(&place, 2, horizon->position);
            statement_bind_integer(&place, 3, horizon->document);
            statement_bind_integer(&place, 4, (int64_t)horizon->byte);
        }
        while (ok && statement_next(&place)) {
            ok = rows_grow(&hits->rows, hits->count, sizeof *hits->rows, error);
            if (ok) {
                hits->rows[hits->count++] = (struct store_hit){
                    .passage = id,
                    .document = statement_integer(&place, 4),
                    .span = {(uint64_t)statement_integer(&place, 0),
                             (uint64_t)statement_integer(&place, 1)},
                    .place = {(uint64_t)statement_integer(&place, 2),
                              (uint64_t)statement_integer(&place, 3),
                              (uint64_t)statement_integer(&place, 5)},
                    .score = -statement_real(&ranked, 1), /* FTS5: the lower, the better */
                };
            }
        }
    }
    ok = statement_end(&place, ok ? error : NULL) && ok;
    return statement_end(&ranked, ok ? error : NULL) && ok;
}

bool store_search(struct store *store, const struct store_query *query, struct store_hits *hits,
                  struct error *error) {
    *hits = (struct store_hits){0};
    if (query->count < 1 || query->count > STORE_TERMS_MAX) {
        return error_set(error, ERROR_USAGE, "a search takes 1 to %d terms, not %zu",
                         STORE_TERMS_MAX, query->count);
    }
    struct bytes terms[STORE_TERMS_MAX] = {0}, match = {0};
    for (size_t i = 0; i < query->count; i++) {
        put_term(store, &terms[i], query->terms[i]);
        if (i > 0) {
            bytes_put(&match, query->all ? " AND " : " OR ", query->all ? 5 : 4);
        }
        bytes_put(&match, terms[i].data, terms[i].size);
        match.failed = match.failed || terms[i].failed;
    }
    bool ok = !match.failed || error_set(error, ERROR_NO_SPACE, "out of memory");
    ok = ok && db_read_begin(store, error);
    if (ok) {
        ok = (store->words.put || passages_check_rule(store, error)) &&
             rank(store, query, as_blob(&match), hits, error) &&
             count_terms(store, terms, query->count, hits, error) &&
             mark_matches(store, terms, query->count, hits, error);
        db_read_end(store);
    }
    for (size_t i = 0; i < query->count; i++) {
        bytes_finish(&terms[i]);
    }
    bytes_finish(&match);
    if (!ok) {
        store_hits_finish(hits);
    }
    return ok;
}

void store_hits_finish(struct store_hits *hits) {
    free(hits->rows);
    *hits = (struct store_hits){0};
}

bool store_passages_list(struct store *store, int64_t document, struct store_span within,
                         struct store_passages *passages, struct error *error) {
    *passages = (struct store_passages){0};
    struct statement s =
        statement_of(store, "SELECT p.id, p.begin, p.end, p.first_line, p.last_line FROM document d"
                            " JOIN passage p ON p.text = d.text WHERE d.id = ?1 AND p.begin < ?3"
                            " AND p.end > ?2 ORDER BY p.begin");
    statement_bind_integer(&s, 1, document);
    statement_bind_integer(&s, 2, (int64_t)within.begin);
    statement_bind_integer(&s, 3, within.end > INT64_MAX ? INT64_MAX : (int64_t)within.end);
    bool ok = true;
    while (ok && statement_next(&s)) {
        ok = rows_grow(&passages->rows, passages->count, sizeof *passages->rows, error);
        if (ok) {
            passages->rows[passages->count++] = (struct store_passage){
                .id = statement_integer(&s, 0),
                .span = {(uint64_t)statement_integer(&s, 1), (uint64_t)statement_integer(&s, 2)},
                .first_line = (uint64_t)statement_integer(&s, 3),
                .last_line = (uint64_t)statement_integer(&s, 4),
            };
        }
    }
    ok = statement_end(&s, ok ? error : NULL) && ok;
    if (!ok) {
        store_passages_finish(passages);
    }
    return ok;
}

void store_passages_finish(struct store_passages *passages) {
    free(passages->rows);
    *passages = (struct store_passages){0};
}
