/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks everything that a session holds: SQLite's own integrity_check, the hash of every text,
 * turn and snapshot, and, when the store is open for writing, the index.
 */
#pragma once

#include "storage/store.h"

/* One sentence per damage. */
typedef void store_tell_damage(void *context, const char *sentence);

/* Goes on after the first damage, telling each; `tell` may be NULL. Returns false when there was
 * any, with the first in `error` (ERROR_INCOMPATIBLE), and on other failures at once. */
bool store_verify(struct store *store, store_tell_damage *tell, void *context, struct error *error);
