/* SPDX-License-Identifier: Apache-2.0
 *
 * What a person means by --as-of: which of a session's saved states.
 */
#pragma once

#include "storage/search.h"
#include "storage/snapshots.h"

/* `text` is a mark in full, a part of just one mark (letters a-z in either case), or a share of
 * what was read ("50 %" or "50%"): the newest state at or before that share of `position`. Of
 * several marks that hold `text`, one that ends with it as its whole title is meant.
 * ERROR_NOT_FOUND lists what could have been meant. */
bool as_of_find(const struct store_snapshots *states, int64_t position, const char *text,
                size_t *index, struct error *error);
/* What had been read at that state: for a search that is to find no more. */
bool as_of_horizon(struct store *store, const char *text, struct store_horizon *horizon,
                   struct error *error);
