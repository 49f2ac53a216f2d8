/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading snapshots: lists, and parts with verification.
 */
#include <stdlib.h>
#include <string.h>

#include "storage/part.h"
#include "storage/rows.h"
#include "storage/snapshots.h"
#include "storage/statement.h"

#define COLUMNS                                                                                    \
    "generation, position, document, byte, mark, time, model, model_print, adapter,"               \
    " adapter_print, spec, (SELECT total(size) FROM part JOIN payload ON id = payload"             \
    " WHERE part.generation = snapshot.generation), digest"

static void read_row(struct statement *s, struct store_snapshot *snapshot) {
    *snapshot = (struct store_snapshot){
        .generation = statement_integer(s, 0),
        .position = statement_integer(s, 1),
        .document = statement_integer(s, 2),
        .byte = (uint64_t)statement_integer(s, 3),
        .time = statement_integer(s, 5),
        .maker.spec = statement_integer(s, 10),
        .size = (uint64_t)statement_integer(s, 11),
    };
    statement_copy(s, 4, &snapshot->mark);
    statement_copy(s, 6, &snapshot->maker.model);
    statement_copy(s, 7, &snapshot->maker.model_print);
    statement_copy(s, 8, &snapshot->maker.adapter);
    statement_copy(s, 9, &snapshot->maker.adapter_print);
}

void store_snapshot_finish(struct store_snapshot *snapshot) {
    blob_free(&snapshot->mark);
    store_maker_finish(&snapshot->maker);
}

void store_snapshots_finish(struct store_snapshots *snapshots) {
    for (size_t i = 0; i < snapshots->count; i++) {
        store_snapshot_finish(&snapshots->rows[i]);
    }
    free(snapshots->rows);
    *snapshots = (struct store_snapshots){0};
}

bool store_snapshots_list(struct store *store, struct store_snapshots *snapshots,
                          struct error *error) {
    *snapshots = (struct store_snapshots){0};
    struct statement s =
        statement_of(store, "SELECT " COLUMNS " FROM snapshot ORDER BY generation");
    bool ok = true;
    while (ok && statement_next(&s)) {
        ok = rows_grow(&snapshots->rows, snapshots->count, sizeof *snapshots->rows, error);
        if (ok) {
            read_row(&s, &snapshots->rows[snapshots->count++]);
        }
    }
    ok = statement_end(&s, ok ? error : NULL) && ok;
    if (!ok) {
        store_snapshots_finish(snapshots);
    }
    return ok;
}

/* Takes the statement's first row, and the digest if `digest` is not NULL. */
static bool read_one(struct statement *s, struct store_snapshot *snapshot, uint8_t *digest,
                     bool *found, struct error *error) {
    *snapshot = (struct store_snapshot){0};
    *found = statement_next(s);
    if (*found) {
        read_row(s, snapshot);
        if (digest) {
            statement_fixed(s, 12, digest, HASH_BYTES);
        }
    }
    if (!statement_end(s, error)) {
        store_snapshot_finish(snapshot);
        return false;
    }
    return true;
}

bool store_snapshot_newest(struct store *store, struct store_snapshot *snapshot,
                           struct error *error) {
    struct statement s =
        statement_of(store, "SELECT " COLUMNS " FROM snapshot ORDER BY generation DESC LIMIT 1");
    bool found;
    return read_one(&s, snapshot, NULL, &found, error) &&
           (found || error_set(error, ERROR_NOT_FOUND, "'%s' holds no memory yet", store->path));
}

static bool no_mark(struct store *store, struct blob mark, struct error *error) {
    struct store_snapshots list;
    if (!store_snapshots_list(store, &list, error)) {
        return false;
    }
    struct bytes names = {0};
    for (size_t i = 0; i < list.count; i++) {
        if (list.rows[i].mark.data) {
            bytes_put(&names, names.size ? ", " : "", names.size ? 2 : 0);
            bytes_put(&names, list.rows[i].mark.data, list.rows[i].mark.size);
        }
    }
    error_set(error, ERROR_NOT_FOUND, "'%s' has no memory marked '%.*s'; there are: %.*s",
              store->path, (int)(mark.size < 200 ? mark.size : 200), mark.size ? mark.data : "",
              names.size ? (int)(names.size < 500 ? names.size : 500) : 4,
              names.size ? (const char *)names.data : "none");
    bytes_finish(&names);
    store_snapshots_finish(&list);
    return false;
}

bool store_snapshot_by_mark(struct store *store, struct blob mark, struct store_snapshot *snapshot,
                            struct error *error) {
    struct statement s = statement_of(
        store, "SELECT " COLUMNS " FROM snapshot WHERE mark = ?1 ORDER BY generation DESC LIMIT 1");
    statement_bind_blob(&s, 1, mark);
    bool found;
    return read_one(&s, snapshot, NULL, &found, error) && (found || no_mark(store, mark, error));
}

static bool damaged(struct store *store, const struct store_snapshot *snapshot, const char *what,
                    struct blob name, int64_t layer, struct error *error) {
    return error_set(error, ERROR_INCOMPATIBLE,
                     "'%s': the memory of generation %lld (token %lld) is damaged in %s '%.*s', "
                     "layer %lld",
                     store->path, (long long)snapshot->generation, (long long)snapshot->position,
                     what, (int)(name.size < 100 ? name.size : 100), name.size ? name.data : "",
                     (long long)layer);
}

/* The row and the list of parts against the digest. */
static bool check_seal(struct store *store, const struct store_snapshot *snapshot,
                       const uint8_t *digest, struct error *error) {
    struct bytes sealed = {0};
    uint8_t found[HASH_BYTES];
    part_seal_snapshot(&sealed, snapshot);
    struct statement s = statement_of(
        store, "SELECT name, layer, size, hash FROM part LEFT JOIN payload ON id = payload"
               " WHERE generation = ?1 ORDER BY number");
    statement_bind_integer(&s, 1, snapshot->generation);
    while (statement_next(&s)) {
        uint8_t hash[HASH_BYTES];
        statement_fixed(&s, 3, hash, HASH_BYTES);
        part_seal(&sealed, statement_blob(&s, 0), statement_integer(&s, 1),
                  (uint64_t)statement_integer(&s, 2), hash);
    }
    bool ok = statement_end(&s, error);
    if (ok && (sealed.failed || !hash_of(sealed.data, sealed.size, found))) {
        ok = error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    bytes_finish(&sealed);
    return ok &&
           (memcmp(found, digest, HASH_BYTES) == 0 ||
            error_set(error, ERROR_INCOMPATIBLE,
                      "'%s': the memory of generation %lld (token %lld) is damaged in its "
                      "list of parts",
                      store->path, (long long)snapshot->generation, (long long)snapshot->position));
}

bool store_snapshot_hash(struct store *store, int64_t generation, uint8_t hash[HASH_BYTES],
                         struct error *error) {
    struct bytes sealed = {0};
    struct statement s =
        statement_of(store, "SELECT name, layer, size, hash FROM part JOIN payload ON id = payload"
                            " WHERE generation = ?1 ORDER BY number");
    statement_bind_integer(&s, 1, generation);
    while (statement_next(&s)) {
        uint8_t of_part[HASH_BYTES];
        if (statement_fixed(&s, 3, of_part, HASH_BYTES)) {
            part_seal(&sealed, statement_blob(&s, 0), statement_integer(&s, 1),
                      (uint64_t)statement_integer(&s, 2), of_part);
        }
    }
    bool ok = statement_end(&s, error);
    if (ok && sealed.size == 0 && !sealed.failed) {
        ok = error_set(error, ERROR_NOT_FOUND, "'%s' has no generation %lld", store->path,
                       (long long)generation);
    }
    ok = ok && ((!sealed.failed && hash_of(sealed.data, sealed.size, hash)) ||
                error_set(error, ERROR_NO_SPACE, "out of memory"));
    bytes_finish(&sealed);
    return ok;
}

static bool read_parts(struct store *store, const struct store_snapshot *snapshot,
                       store_take_part *take, void *context, struct error *error) {
    struct statement s = statement_of(
        store, "SELECT name, layer, size, hash, body FROM part JOIN payload ON id = payload"
               " WHERE generation = ?1 ORDER BY number");
    statement_bind_integer(&s, 1, snapshot->generation);
    bool ok = true;
    while (ok && statement_next(&s)) {
        uint8_t stored[HASH_BYTES], found[HASH_BYTES];
        struct blob body = statement_blob(&s, 4), name = statement_blob(&s, 0);
        const struct store_part part = {
            .name = name,
            .layer = statement_integer(&s, 1),
            .data = body.data,
            .size = body.size,
        };
        ok = statement_fixed(&s, 3, stored, HASH_BYTES) &&
             body.size == (uint64_t)statement_integer(&s, 2) &&
             hash_of(body.data, body.size, found) && memcmp(stored, found, HASH_BYTES) == 0;
        if (s.code != SQLITE_OK) {
            break;
        }
        ok = ok ? !take || take(context, &part, error)
                : damaged(store, snapshot, "part", name, part.layer, error);
    }
    return statement_end(&s, ok || s.code != SQLITE_OK ? error : NULL) && ok;
}

/* One generation; leaves the view over the reads to the caller. */
static bool read_generation(struct store *store, int64_t generation, store_take_part *take,
                            void *context, struct error *error) {
    struct store_snapshot snapshot;
    uint8_t digest[HASH_BYTES];
    bool found;
    struct statement s =
        statement_of(store, "SELECT " COLUMNS " FROM snapshot WHERE generation = ?1");
    statement_bind_integer(&s, 1, generation);
    if (!read_one(&s, &snapshot, digest, &found, error)) {
        return false;
    }
    if (!found) {
        return error_set(error, ERROR_NOT_FOUND, "'%s' has no generation %lld", store->path,
                         (long long)generation);
    }
    bool ok = check_seal(store, &snapshot, digest, error) &&
              read_parts(store, &snapshot, take, context, error);
    store_snapshot_finish(&snapshot);
    return ok;
}

/* The newest sound generation before this one, or 0. */
static int64_t find_sound(struct store *store, int64_t generation) {
    while (generation > 0) {
        struct statement s =
            statement_of(store, "SELECT max(generation) FROM snapshot WHERE generation < ?1");
        statement_bind_integer(&s, 1, generation);
        generation = statement_next(&s) ? statement_integer(&s, 0) : 0;
        statement_end(&s, NULL);
        if (generation > 0 && read_generation(store, generation, NULL, NULL, NULL)) {
            return generation;
        }
    }
    return 0;
}

bool store_snapshot_read(struct store *store, int64_t generation, store_take_part *take,
                         void *context, int64_t *sound, struct error *error) {
    struct error found = {0};
    if (sound) {
        *sound = 0;
    }
    if (!db_read_begin(store, error)) {
        return false;
    }
    bool ok = read_generation(store, generation, take, context, &found);
    if (!ok && found.code == ERROR_INCOMPATIBLE) {
        int64_t earlier = find_sound(store, generation);
        if (sound) {
            *sound = earlier;
        }
        struct error damage = found;
        if (earlier) {
            error_set(&found, ERROR_INCOMPATIBLE, "%.900s; generation %lld is sound", damage.text,
                      (long long)earlier);
        } else {
            error_set(&found, ERROR_INCOMPATIBLE, "%.900s; no earlier one is sound", damage.text);
        }
    }
    db_read_end(store);
    if (!ok && error) {
        *error = found;
    }
    return ok;
}
