/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing and thinning out snapshots. The digest of a snapshot is the SHA-256 of what seal() puts
 * together: its numbers, what it was made with, and name, layer, size and hash of each part in
 * order. So a snapshot is either exactly what was saved, but for its mark, or refused.
 */
#include "storage/snapshots.h"

#include <stdlib.h>
#include <string.h>

#include "storage/part.h"
#include "storage/rows.h"
#include "storage/statement.h"

static void put_blob(struct bytes *out, struct blob blob) {
    bytes_put_u64(out, blob.size);
    bytes_put(out, blob.data ? blob.data : "", blob.size);
}

void part_seal_snapshot(struct bytes *out, const struct store_snapshot *snapshot) {
    bytes_put_u64(out, (uint64_t)snapshot->generation);
    bytes_put_u64(out, (uint64_t)snapshot->position);
    bytes_put_u64(out, (uint64_t)snapshot->document);
    bytes_put_u64(out, snapshot->byte);
    bytes_put_u64(out, (uint64_t)snapshot->time);
    put_blob(out, snapshot->maker.model);
    put_blob(out, snapshot->maker.model_print);
    put_blob(out, snapshot->maker.adapter);
    put_blob(out, snapshot->maker.adapter_print);
    bytes_put_u64(out, (uint64_t)snapshot->maker.spec);
}

void part_seal(struct bytes *out, struct blob name, int64_t layer, uint64_t size,
               const uint8_t *hash) {
    put_blob(out, name);
    bytes_put_u64(out, (uint64_t)layer);
    bytes_put_u64(out, size);
    bytes_put(out, hash, HASH_BYTES);
}

static bool insert_snapshot(struct store *store, struct store_snapshot *snapshot,
                            struct error *error) {
    struct statement s;
    if (snapshot->mark.data) {
        s = statement_of(store, "UPDATE snapshot SET mark = NULL WHERE mark = ?1");
        statement_bind_blob(&s, 1, snapshot->mark);
        if (!statement_run(&s, error)) {
            return false;
        }
    }
    s = statement_of(store, "INSERT INTO snapshot(position, document, byte, mark, time, model,"
                            " model_print, adapter, adapter_print, spec, digest)"
                            " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, x'')");
    statement_bind_integer(&s, 1, snapshot->position);
    statement_bind_integer(&s, 2, snapshot->document);
    statement_bind_integer(&s, 3, (int64_t)snapshot->byte);
    if (snapshot->mark.data) {
        statement_bind_blob(&s, 4, snapshot->mark);
    }
    statement_bind_integer(&s, 5, snapshot->time);
    statement_bind_blob(&s, 6, snapshot->maker.model);
    statement_bind_blob(&s, 7, snapshot->maker.model_print);
    statement_bind_blob(&s, 8, snapshot->maker.adapter);
    statement_bind_blob(&s, 9, snapshot->maker.adapter_print);
    statement_bind_integer(&s, 10, snapshot->maker.spec);
    if (!statement_run(&s, error)) {
        return false;
    }
    snapshot->generation = sqlite3_last_insert_rowid(store->db);
    return true;
}

/* The payload's id; stores it when no equal one is there. */
static bool put_payload(struct store *store, const struct store_part *part, const uint8_t *hash,
                        int64_t *id, struct error *error) {
    *id = 0;
    struct statement s = statement_of(store, "SELECT id FROM payload WHERE hash = ?1");
    statement_bind_hash(&s, 1, hash);
    if (statement_next(&s)) {
        *id = statement_integer(&s, 0);
    }
    if (!statement_end(&s, error)) {
        return false;
    }
    if (*id) {
        return true;
    }
    s = statement_of(store, "INSERT INTO payload(hash, size, body) VALUES(?1, ?2, ?3)");
    statement_bind_hash(&s, 1, hash);
    statement_bind_integer(&s, 2, (int64_t)part->size);
    statement_bind_blob(&s, 3, (struct blob){part->data, part->size});
    if (!statement_run(&s, error)) {
        return false;
    }
    *id = sqlite3_last_insert_rowid(store->db);
    return true;
}

static bool insert_parts(struct store *store, const struct store_snapshot *snapshot,
                         const struct store_part *parts, const uint8_t *hashes, size_t count,
                         struct error *error) {
    struct bytes sealed = {0};
    uint8_t digest[HASH_BYTES];
    bool ok = true;
    part_seal_snapshot(&sealed, snapshot);
    for (size_t i = 0; ok && i < count; i++) {
        const uint8_t *hash = hashes + i * HASH_BYTES;
        int64_t payload;
        ok = put_payload(store, &parts[i], hash, &payload, error);
        if (ok) {
            struct statement s =
                statement_of(store, "INSERT INTO part(generation, number, name, layer, payload)"
                                    " VALUES(?1, ?2, ?3, ?4, ?5)");
            statement_bind_integer(&s, 1, snapshot->generation);
            statement_bind_integer(&s, 2, (int64_t)i);
            statement_bind_blob(&s, 3, parts[i].name);
            statement_bind_integer(&s, 4, parts[i].layer);
            statement_bind_integer(&s, 5, payload);
            ok = statement_run(&s, error);
            part_seal(&sealed, parts[i].name, parts[i].layer, parts[i].size, hash);
        }
    }
    if (ok) {
        ok = (!sealed.failed && hash_of(sealed.data, sealed.size, digest)) ||
             error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    bytes_finish(&sealed);
    if (!ok) {
        return false;
    }
    struct statement s = statement_of(store, "UPDATE snapshot SET digest = ?2"
                                             " WHERE generation = ?1");
    statement_bind_integer(&s, 1, snapshot->generation);
    statement_bind_hash(&s, 2, digest);
    return statement_run(&s, error);
}

static bool remove_one(struct store *store, int64_t generation, struct error *error) {
    static const char *const sql[] = {"DELETE FROM part WHERE generation = ?1",
                                      "DELETE FROM snapshot WHERE generation = ?1"};
    for (size_t i = 0; i < 2; i++) {
        struct statement s = statement_of(store, sql[i]);
        statement_bind_integer(&s, 1, generation);
        if (!statement_run(&s, error)) {
            return false;
        }
    }
    return true;
}

static bool remove_unused_payloads(struct store *store, struct error *error) {
    return db_run(store,
                  "DELETE FROM payload WHERE NOT EXISTS"
                  " (SELECT 1 FROM part WHERE payload = payload.id)",
                  error);
}

/* Of the first `old` snapshots the marked one to drop, or `old` when none has a mark. Position
 * rises with the generation: time runs forward only. */
static size_t least_needed(const struct store_snapshots *list, size_t old) {
    const struct store_snapshot *rows = list->rows;
    size_t least = old, before = list->count, last = list->count;
    int64_t smallest = INT64_MAX;
    for (size_t i = 0; i < list->count; i++) {
        if (!rows[i].mark.data) {
            continue;
        }
        if (last < old) {
            int64_t gap = rows[i].position - (before < old ? rows[before].position : 0);
            if (gap < smallest) {
                smallest = gap;
                least = last;
            }
        }
        before = last;
        last = i;
    }
    /* The last of all is needed most, and dropped only when it is alone. */
    return least == old && last < old ? last : least;
}

static bool thin_out(struct store *store, const struct store_budget *budget, struct error *error) {
    struct store_snapshots list;
    if (!store_snapshots_list(store, &list, error)) {
        return false;
    }
    size_t old = list.count > STORE_GENERATIONS ? list.count - STORE_GENERATIONS : 0;
    size_t marks = 0;
    uint64_t bytes = 0;
    bool ok = true;
    for (size_t i = 0; i < list.count; i++) {
        if (list.rows[i].mark.data) {
            marks++;
            bytes += list.rows[i].size;
        }
    }
    for (size_t i = 0; ok && i < old; i++) {
        if (!list.rows[i].mark.data) {
            ok = remove_one(store, list.rows[i].generation, error);
        }
    }
    while (ok && (marks > budget->marks || bytes > budget->bytes)) {
        size_t drop = least_needed(&list, old);
        if (drop == old) {
            break; /* only the newest generations have marks */
        }
        ok = remove_one(store, list.rows[drop].generation, error);
        blob_free(&list.rows[drop].mark);
        marks--;
        bytes -= list.rows[drop].size;
    }
    store_snapshots_finish(&list);
    return ok && remove_unused_payloads(store, error);
}

static uint8_t *hash_parts(const struct store_part *parts, size_t count, struct error *error) {
    uint8_t *hashes = malloc(count * HASH_BYTES + 1);
    bool ok = hashes || error_set(error, ERROR_NO_SPACE, "out of memory");
    for (size_t i = 0; ok && i < count; i++) {
        if (parts[i].size > STORE_PART_MAX) {
            ok = error_set(error, ERROR_USAGE, "part %zu of the memory has %zu bytes, at most %llu",
                           i, parts[i].size, (unsigned long long)STORE_PART_MAX);
        } else {
            ok = hash_of(parts[i].size ? parts[i].data : "", parts[i].size,
                         hashes + i * HASH_BYTES) ||
                 error_set(error, ERROR_NO_SPACE, "out of memory");
        }
    }
    if (!ok) {
        free(hashes);
        return NULL;
    }
    return hashes;
}

bool store_snapshot_save(struct store *store, const struct store_snapshot *snapshot,
                         const struct store_part *parts, size_t count,
                         const struct store_budget *budget, int64_t *generation,
                         struct error *error) {
    static const struct store_budget usual = {STORE_MARKS, UINT64_MAX};
    struct store_snapshot made = *snapshot;
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += parts[i].size;
    }
    uint8_t *hashes = hash_parts(parts, count, error); /* slow, so before the lock is taken */
    if (!hashes) {
        return false;
    }
    /* Old states need not be wiped from the disk, unlike the text of removed documents. */
    bool ok = db_run(store, "PRAGMA secure_delete = OFF", error) && store_begin(store, error);
    if (ok) {
        ok = insert_snapshot(store, &made, error) &&
             insert_parts(store, &made, parts, hashes, count, error) &&
             thin_out(store, budget ? budget : &usual, error);
        ok = store_end(store, ok, error);
    }
    db_run(store, "PRAGMA secure_delete = ON", NULL);
    free(hashes);
    if (!ok) {
        return error_prefix(error, "saving a memory of %llu bytes", (unsigned long long)size);
    }
    if (generation) {
        *generation = made.generation;
    }
    return true;
}

bool store_snapshot_rewind(struct store *store, int64_t generation, struct error *error) {
    if (!store_begin(store, error)) {
        return false;
    }
    struct statement s = statement_of(store, "SELECT 1 FROM snapshot WHERE generation = ?1");
    statement_bind_integer(&s, 1, generation);
    bool found = statement_next(&s) || generation == 0;
    bool ok = statement_end(&s, error) &&
              (found || error_set(error, ERROR_NOT_FOUND, "'%s' has no generation %lld",
                                  store->path, (long long)generation));
    static const char *const sql[] = {
        "DELETE FROM part WHERE generation > ?1",
        "DELETE FROM snapshot WHERE generation > ?1",
        "UPDATE document SET first_position = -1 WHERE first_position >="
        " coalesce((SELECT position FROM snapshot WHERE generation = ?1), 0)",
    };
    for (size_t i = 0; ok && i < sizeof sql / sizeof *sql; i++) {
        s = statement_of(store, sql[i]);
        statement_bind_integer(&s, 1, generation);
        ok = statement_run(&s, error);
    }
    return store_end(store, ok && remove_unused_payloads(store, error), error);
}
