/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns and their citations.
 */
#include "storage/transcript.h"

#include <string.h>

#include "storage/rows.h"
#include "storage/statement.h"

static bool add_citations(struct store *store, int64_t id, const struct store_turn *turn,
                          struct error *error) {
    struct statement s = statement_of(
        store, "INSERT INTO citation(turn, number, document, begin, end, first_line, last_line,"
               " page) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    for (size_t i = 0; i < turn->citations_count && s.code == SQLITE_OK; i++) {
        const struct store_citation *c = &turn->citations[i];
        statement_bind_integer(&s, 1, id);
        statement_bind_integer(&s, 2, (int64_t)i + 1);
        statement_bind_integer(&s, 3, c->document);
        statement_bind_integer(&s, 4, (int64_t)c->span.begin);
        statement_bind_integer(&s, 5, (int64_t)c->span.end);
        statement_bind_integer(&s, 6, (int64_t)c->place.first_line);
        statement_bind_integer(&s, 7, (int64_t)c->place.last_line);
        statement_bind_integer(&s, 8, (int64_t)c->place.page);
        statement_next(&s);
        if (s.code == SQLITE_CONSTRAINT_FOREIGNKEY) {
            statement_end(&s, NULL);
            return error_set(error, ERROR_USAGE, "citation %zu names document %lld, not in '%s'",
                             i + 1, (long long)c->document, store->path);
        }
    }
    return statement_end(&s, error);
}

bool store_turn_add(struct store *store, const struct store_turn *turn, int64_t *id,
                    struct error *error) {
    uint8_t hash[HASH_BYTES];
    int64_t made = 0;
    if (!hash_of(turn->body.data ? turn->body.data : "", turn->body.size, hash)) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    if (!store_begin(store, error)) {
        return false;
    }
    struct statement s =
        statement_of(store, "INSERT INTO turn(role, body, hash, time, prefill_tokens, complete)"
                            " VALUES(?1, ?2, ?3, ?4, ?5, ?6)");
    statement_bind_blob(&s, 1, turn->role);
    statement_bind_blob(&s, 2, turn->body);
    statement_bind_hash(&s, 3, hash);
    statement_bind_integer(&s, 4, turn->time);
    statement_bind_integer(&s, 5, turn->prefill_tokens);
    statement_bind_integer(&s, 6, turn->complete);
    bool ok = statement_run(&s, error);
    made = ok ? sqlite3_last_insert_rowid(store->db) : 0;
    ok = store_end(store, ok && add_citations(store, made, turn, error), error);
    if (id) {
        *id = ok ? made : 0;
    }
    return ok;
}

static bool read_citations(struct store *store, struct store_turn *turn, struct error *error) {
    struct statement s =
        statement_of(store, "SELECT document, begin, end, first_line, last_line, page FROM citation"
                            " WHERE turn = ?1 ORDER BY number");
    statement_bind_integer(&s, 1, turn->id);
    bool ok = true;
    while (ok && statement_next(&s)) {
        ok = rows_grow(&turn->citations, turn->citations_count, sizeof *turn->citations, error);
        if (ok) {
            turn->citations[turn->citations_count++] = (struct store_citation){
                .document = statement_integer(&s, 0),
                .span = {(uint64_t)statement_integer(&s, 1), (uint64_t)statement_integer(&s, 2)},
                .place = {(uint64_t)statement_integer(&s, 3), (uint64_t)statement_integer(&s, 4),
                          (uint64_t)statement_integer(&s, 5)},
            };
        }
    }
    return statement_end(&s, ok ? error : NULL) && ok;
}

/* The row's copies belong to `turn` also when this fails. */
static bool read_turn(struct store *store, struct statement *s, struct store_turn *turn,
                      struct error *error) {
    uint8_t stored[HASH_BYTES], found[HASH_BYTES];
    *turn = (struct store_turn){.id = statement_integer(s, 0)};
    statement_copy(s, 1, &turn->role);
    statement_copy(s, 2, &turn->body);
    statement_fixed(s, 3, stored, HASH_BYTES);
    turn->time = statement_integer(s, 4);
    turn->prefill_tokens = statement_integer(s, 5);
    turn->complete = statement_integer(s, 6) != 0;
    if (s->code != SQLITE_OK) {
        return false; /* told by statement_end */
    }
    if (!hash_of(turn->body.data ? turn->body.data : "", turn->body.size, found) ||
        memcmp(stored, found, HASH_BYTES) != 0) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "'%s' is damaged: turn %lld does not have the hash it was stored with",
                         store->path, (long long)turn->id);
    }
    return read_citations(store, turn, error);
}

bool store_turns_list(struct store *store, size_t limit, struct store_turns *turns,
                      struct error *error) {
    *turns = (struct store_turns){0};
    if (!db_read_begin(store, error)) {
        return false;
    }
    struct statement s = statement_of(
        store, "SELECT * FROM (SELECT id, role, body, hash, time, prefill_tokens, complete"
               " FROM turn ORDER BY id DESC LIMIT ?1) ORDER BY id");
    statement_bind_integer(&s, 1, limit == 0 || limit > INT64_MAX ? -1 : (int64_t)limit);
    bool ok = true;
    while (ok && statement_next(&s)) {
        ok = rows_grow(&turns->rows, turns->count, sizeof *turns->rows, error) &&
             read_turn(store, &s, &turns->rows[turns->count++], error);
    }
    ok = statement_end(&s, ok || s.code != SQLITE_OK ? error : NULL) && ok;
    db_read_end(store);
    if (!ok) {
        store_turns_finish(turns);
    }
    return ok;
}

void store_turns_finish(struct store_turns *turns) {
    for (size_t i = 0; i < turns->count; i++) {
        blob_free(&turns->rows[i].role);
        blob_free(&turns->rows[i].body);
        free(turns->rows[i].citations);
    }
    free(turns->rows);
    *turns = (struct store_turns){0};
}
