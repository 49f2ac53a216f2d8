/* SPDX-License-Identifier: Apache-2.0
 *
 * What was asked and answered. A turn is on the disk when store_turn_add has returned.
 */
#pragma once

#include "storage/documents.h"

struct store_citation {
    int64_t document;
    struct store_span span;
    struct store_place place;
};

struct store_turn {
    int64_t id;       /* given by store_turn_add; ascends */
    struct blob role; /* "user", "assistant", "system" */
    struct blob body;
    int64_t time;                     /* seconds since 1970 */
    int64_t prefill_tokens;           /* that the model read for it */
    bool complete;                    /* false: the answer was interrupted */
    struct store_citation *citations; /* numbered from 1 in this order */
    size_t citations_count;
};

/* `id` may be NULL. Errors: ERROR_USAGE when a citation names no document. */
bool store_turn_add(struct store *store, const struct store_turn *turn, int64_t *id,
                    struct error *error);

struct store_turns {
    struct store_turn *rows; /* oldest first */
    size_t count;
};

/* The last `limit` turns, or all when it is 0, each checked against its hash: ERROR_INCOMPATIBLE
 * names the one that is damaged. */
bool store_turns_list(struct store *store, size_t limit, struct store_turns *turns,
                      struct error *error);
void store_turns_finish(struct store_turns *turns);
