/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts in pieces. Piece n holds the bytes from n * TEXT_PIECE on; all but the last are full.
 */
#include "storage/text.h"

#include <stdlib.h>
#include <string.h>

#include "storage/statement.h"

static uint64_t count_newlines(const char *data, size_t size) {
    uint64_t count = 0;
    for (const char *at = data, *end = data + size;
         at < end && (at = memchr(at, '\n', (size_t)(end - at))); at++) {
        count++;
    }
    return count;
}

bool text_find(struct store *store, const uint8_t *hash, int64_t *id, struct error *error) {
    *id = 0;
    struct statement s = statement_of(store, "SELECT id FROM text WHERE hash = ?1");
    statement_bind_hash(&s, 1, hash);
    if (statement_next(&s)) {
        *id = statement_integer(&s, 0);
    }
    return statement_end(&s, error);
}

bool text_put(struct store *store, struct blob text, const uint8_t *hash, struct blob label,
              int64_t *id, struct error *error) {
    struct statement s =
        statement_of(store, "INSERT INTO text(hash, size, label) VALUES(?1, ?2, ?3)");
    statement_bind_hash(&s, 1, hash);
    statement_bind_integer(&s, 2, (int64_t)text.size);
    statement_bind_blob(&s, 3, label);
    if (!statement_run(&s, error)) {
        return false;
    }
    *id = sqlite3_last_insert_rowid(store->db);
    uint64_t newlines = 0;
    bool stopped = false;
    s = statement_of(store, "INSERT INTO piece(text, number, newlines, hash, body)"
                            " VALUES(?1, ?2, ?3, ?4, ?5)");
    for (size_t at = 0; at < text.size && s.code == SQLITE_OK && !stopped; at += TEXT_PIECE) {
        size_t size = text.size - at < TEXT_PIECE ? text.size - at : TEXT_PIECE;
        uint8_t piece_hash[HASH_BYTES];
        if (!hash_of(text.data + at, size, piece_hash)) {
            s.code = SQLITE_NOMEM;
            break;
        }
        statement_bind_integer(&s, 1, *id);
        statement_bind_integer(&s, 2, (int64_t)(at / TEXT_PIECE));
        statement_bind_integer(&s, 3, (int64_t)newlines);
        statement_bind_hash(&s, 4, piece_hash);
        statement_bind_blob(&s, 5, (struct blob){text.data + at, size});
        statement_next(&s);
        newlines += count_newlines(text.data + at, size);
        stopped = db_stop_wanted(store);
    }
    return statement_end(&s, error) && (!stopped || db_stopped(error));
}

bool text_drop(struct store *store, int64_t id, struct error *error) {
    static const char *const sql[] = {"DELETE FROM piece WHERE text = ?1",
                                      "DELETE FROM text WHERE id = ?1"};
    for (size_t i = 0; i < 2; i++) {
        struct statement s = statement_of(store, sql[i]);
        statement_bind_integer(&s, 1, id);
        if (!statement_run(&s, error)) {
            return false;
        }
    }
    return true;
}

static bool damaged(struct store *store, int64_t id, uint64_t piece, struct error *error) {
    return error_set(error, ERROR_INCOMPATIBLE,
                     "'%s' is damaged: text %lld, bytes from %llu on, do not have the hash they "
                     "were stored with: restore an exported copy",
                     store->path, (long long)id, (unsigned long long)(piece * TEXT_PIECE));
}

/* Columns of the row: number, body, hash. */
static bool piece_is_sound(struct statement *s, struct blob *body) {
    uint8_t stored[HASH_BYTES], found[HASH_BYTES];
    *body = statement_blob(s, 1);
    return statement_fixed(s, 2, stored, HASH_BYTES) && body->size <= TEXT_PIECE &&
           hash_of(body->data, body->size, found) && memcmp(stored, found, HASH_BYTES) == 0;
}

static bool text_size(struct store *store, int64_t id, uint64_t *size, struct error *error) {
    struct statement s = statement_of(store, "SELECT size FROM text WHERE id = ?1");
    statement_bind_integer(&s, 1, id);
    bool found = statement_next(&s);
    *size = found ? (uint64_t)statement_integer(&s, 0) : 0;
    return statement_end(&s, error) &&
           (found ||
            error_set(error, ERROR_NOT_FOUND, "'%s': no text %lld", store->path, (long long)id));
}

bool text_read(struct store *store, int64_t id, uint64_t begin, uint64_t end, struct blob *out,
               struct error *error) {
    *out = (struct blob){0};
    uint64_t size;
    if (!text_size(store, id, &size, error)) {
        return false;
    }
    if (begin > end || end > size) {
        return error_set(error, ERROR_USAGE, "'%s': bytes %llu to %llu asked for of a text of %llu",
                         store->path, (unsigned long long)begin, (unsigned long long)end,
                         (unsigned long long)size);
    }
    struct statement s =
        statement_of(store, "SELECT number, body, hash FROM piece WHERE text = ?1 AND number >= ?2"
                            " AND number <= ?3 ORDER BY number");
    uint64_t number = begin / TEXT_PIECE, done = begin;
    statement_bind_integer(&s, 1, id);
    statement_bind_integer(&s, 2, (int64_t)number);
    statement_bind_integer(&s, 3, (int64_t)(end / TEXT_PIECE));
    char *data = size <= (uint64_t)1 << 31 ? malloc(end - begin + 1) : NULL;
    bool ok = data || error_set(error, ERROR_NO_SPACE, "out of memory");
    for (; ok && done < end && statement_next(&s); number++) {
        struct blob body = {0};
        ok = statement_integer(&s, 0) == (int64_t)number && piece_is_sound(&s, &body);
        size_t from = done % TEXT_PIECE;
        if (!ok || body.size <= from) {
            ok = damaged(store, id, number, error);
            break;
        }
        size_t take = body.size - from < end - done ? body.size - from : end - done;
        memcpy(data + (done - begin), body.data + from, take);
        done += take;
        /* Only the last piece may be short. */
        ok = done == end || body.size == TEXT_PIECE || damaged(store, id, number, error);
    }
    ok = statement_end(&s, ok ? error : NULL) && ok;
    ok = ok && (done == end || damaged(store, id, number, error));
    if (!ok) {
        free(data);
        return false;
    }
    data[end - begin] = '\0';
    *out = (struct blob){data, end - begin};
    return true;
}

bool text_verify(struct store *store, int64_t id, struct error *error) {
    uint8_t stored[HASH_BYTES] = {0}, found[HASH_BYTES] = {0};
    uint64_t size = 0, number = 0, newlines = 0, done = 0;
    struct statement s = statement_of(store, "SELECT size, hash FROM text WHERE id = ?1");
    statement_bind_integer(&s, 1, id);
    if (statement_next(&s)) {
        size = (uint64_t)statement_integer(&s, 0);
        statement_fixed(&s, 1, stored, HASH_BYTES);
    }
    if (!statement_end(&s, error)) {
        return false;
    }
    struct hash *hash = hash_start();
    if (!hash) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    bool ok = true;
    s = statement_of(store, "SELECT number, body, hash, newlines FROM piece WHERE text = ?1"
                            " ORDER BY number");
    statement_bind_integer(&s, 1, id);
    for (; ok && statement_next(&s); number++) {
        struct blob body = {0};
        ok = (statement_integer(&s, 0) == (int64_t)number && piece_is_sound(&s, &body) &&
              done == number * TEXT_PIECE && (uint64_t)statement_integer(&s, 3) == newlines) ||
             damaged(store, id, number, error);
        if (ok) {
            hash_add(hash, body.data, body.size);
            newlines += count_newlines(body.data, body.size);
            done += body.size;
        }
    }
    hash_finish(hash, found);
    ok = statement_end(&s, ok ? error : NULL) && ok;
    return ok && ((done == size && memcmp(stored, found, HASH_BYTES) == 0) ||
                  damaged(store, id, 0, error));
}

bool text_line_at(struct store *store, int64_t id, uint64_t offset, uint64_t *line,
                  struct error *error) {
    *line = 1;
    struct statement s = statement_of(
        store, "SELECT number, body, hash, newlines FROM piece WHERE text = ?1 AND number = ?2");
    uint64_t number = offset / TEXT_PIECE;
    statement_bind_integer(&s, 1, id);
    statement_bind_integer(&s, 2, (int64_t)number);
    bool ok = true;
    if (statement_next(&s)) {
        struct blob body = {0};
        ok = piece_is_sound(&s, &body) && offset % TEXT_PIECE <= body.size;
        if (ok) {
            *line = 1 + (uint64_t)statement_integer(&s, 3) +
                    count_newlines(body.data, offset % TEXT_PIECE);
        }
    } else {
        ok = offset == 0;
    }
    ok = ok || damaged(store, id, number, error);
    return statement_end(&s, ok ? error : NULL) && ok;
}

/* The offset just behind the newline number `count`; 0 newlines: the start. */
static bool after_newline(struct store *store, int64_t id, uint64_t count, uint64_t *offset,
                          bool *found, struct error *error) {
    *offset = 0;
    *found = count == 0;
    if (count == 0) {
        return true;
    }
    struct statement s =
        statement_of(store, "SELECT number, body, hash, newlines FROM piece WHERE text = ?1"
                            " AND newlines < ?2 ORDER BY number DESC LIMIT 1");
    statement_bind_integer(&s, 1, id);
    statement_bind_integer(&s, 2, (int64_t)count);
    bool ok = true;
    if (statement_next(&s)) {
        struct blob body = {0};
        uint64_t number = (uint64_t)statement_integer(&s, 0);
        uint64_t seen = (uint64_t)statement_integer(&s, 3);
        ok = piece_is_sound(&s, &body) || damaged(store, id, number, error);
        const char *at = ok ? body.data : NULL, *end = ok ? body.data + body.size : NULL;
        while (at && at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
            at++;
            if (++seen == count) {
                *found = true;
                *offset = number * TEXT_PIECE + (uint64_t)(at - body.data);
                break;
            }
        }
    }
    return statement_end(&s, ok ? error : NULL) && ok;
}

bool text_line(struct store *store, int64_t id, uint64_t line, uint64_t *begin, uint64_t *end,
               struct error *error) {
    uint64_t size;
    bool begins = false, ends = false;
    if (!text_size(store, id, &size, error) ||
        (line > 0 && line <= INT64_MAX &&
         (!after_newline(store, id, line - 1, begin, &begins, error) ||
          !after_newline(store, id, line, end, &ends, error)))) {
        return false;
    }
    /* Behind a final '\n' there is no further line. */
    if (!begins || (*begin == size && size > 0)) {
        return error_set(error, ERROR_NOT_FOUND, "'%s': the text has no line %llu", store->path,
                         (unsigned long long)line);
    }
    *end = ends ? *end - 1 : size;
    return true;
}
