/* SPDX-License-Identifier: Apache-2.0
 *
 * States of the memory. A snapshot is a generation: where the session's timeline stood, what the
 * memory was made with, and its parts, opaque bytes by name and layer. It is written whole or not
 * at all. Kept are the newest two generations, and those with a mark within a budget.
 */
#pragma once

#include "engine/base/hash.h"
#include "storage/session.h"

#define STORE_PART_MAX ((uint64_t)512 << 20)
enum { STORE_GENERATIONS = 2, STORE_MARKS = 8 };

struct store_part {
    struct blob name;
    int64_t layer; /* -1: of no layer */
    const void *data;
    size_t size; /* at most STORE_PART_MAX */
};

struct store_snapshot {
    int64_t generation; /* given by store_snapshot_save; ascends */
    int64_t position;   /* tokens of the timeline that went into it */
    int64_t document;   /* that was being read, and up to which byte; 0: none */
    uint64_t byte;
    struct blob mark; /* name for --as-of: a chapter, a file, "50 %"; NULL data: none */
    int64_t time;     /* seconds since 1970 */
    struct store_maker maker;
    uint64_t size; /* of its parts; those it shares count in full. Not read by save */
};

/* How many marked snapshots to keep besides the newest generations, and of how many bytes in all.
 * When there are too many, the one goes whose neighbours are nearest to each other (by position,
 * counting the start; of equals the earlier): what stays covers the whole read evenly. */
struct store_budget {
    size_t marks;
    uint64_t bytes;
};

/* Writes the snapshot and thins out, in one transaction. An earlier snapshot with the same mark
 * loses it. Parts that equal stored ones are not stored again. `budget` NULL: STORE_MARKS, any
 * size. `generation` may be NULL. ERROR_NO_SPACE leaves the generations that were there. */
bool store_snapshot_save(struct store *store, const struct store_snapshot *snapshot,
                         const struct store_part *parts, size_t count,
                         const struct store_budget *budget, int64_t *generation,
                         struct error *error);

struct store_snapshots {
    struct store_snapshot *rows; /* oldest first */
    size_t count;
};
bool store_snapshots_list(struct store *store, struct store_snapshots *snapshots,
                          struct error *error);
void store_snapshots_finish(struct store_snapshots *snapshots);

/* The newest, or the one with the mark. ERROR_NOT_FOUND when there is none; for a mark the message
 * lists those there are. */
bool store_snapshot_newest(struct store *store, struct store_snapshot *snapshot,
                           struct error *error);
bool store_snapshot_by_mark(struct store *store, struct blob mark, struct store_snapshot *snapshot,
                            struct error *error);
void store_snapshot_finish(struct store_snapshot *snapshot);

/* Gives each part, verified, in the order in which they were saved; its bytes live until `take`
 * returns. `take` NULL only verifies. A part that is damaged or missing is ERROR_INCOMPATIBLE; the
 * message names it and the newest earlier generation that is sound, if any, whose number goes into
 * `sound` (else 0; may be NULL). What `take` was given before then is of no use. */
typedef bool store_take_part(void *context, const struct store_part *part, struct error *error);
bool store_snapshot_read(struct store *store, int64_t generation, store_take_part *take,
                         void *context, int64_t *sound, struct error *error);

/* SHA-256 over the names, layers, sizes and hashes of the generation's parts: equal for equal
 * memories, whenever and by whatever way they were saved. Reads no payload. ERROR_NOT_FOUND. */
bool store_snapshot_hash(struct store *store, int64_t generation, uint8_t hash[HASH_BYTES],
                         struct error *error);

/* Goes back: removes every generation after this one, so that it is the newest; documents begun
 * since are unread again. 0: as if nothing had ever been read. */
bool store_snapshot_rewind(struct store *store, int64_t generation, struct error *error);
