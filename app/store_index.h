/* SPDX-License-Identifier: Apache-2.0
 *
 * The passage index of a saved session: full-text search in its file. A document's number is its id
 * in the store.
 */
#pragma once

#include "app/passage_index.h"
#include "storage/search.h"

struct store_index;

/* Borrows both; from now on the store cuts texts into words by `words`. Errors: as
 * store_use_words. */
struct store_index *store_index_create(struct store *store, struct words *words,
                                       struct error *error);
void store_index_destroy(struct store_index *index); /* accepts NULL */
/* Searches only what a memory at this point had read; NULL: everything. Copied. */
void store_index_limit(struct store_index *index, const struct store_horizon *horizon);
struct passage_index store_index_view(struct store_index *index);
