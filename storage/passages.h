/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside storage/ only: the passages of a text and their entries in the full-text index. All run
 * inside a transaction of the caller.
 */
#pragma once

#include "storage/documents.h"

/* The passages that `source` names, or those of split.h. */
bool passages_add(struct store *store, int64_t text, const struct store_source *source,
                  struct error *error);
bool passages_drop(struct store *store, int64_t text, struct error *error);

/* False, with an error, unless the store has the rule by which its index was made. */
bool passages_check_rule(struct store *store, struct error *error);
/* Makes the whole index again by the store's present rule, and notes that. */
bool passages_rebuild(struct store *store, struct error *error);

/* Compares the index with itself; needs a store that is open for writing. */
bool passages_check_index(struct store *store, struct error *error);
