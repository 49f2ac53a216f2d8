/* SPDX-License-Identifier: Apache-2.0
 *
 * Sources that the user took out of a session. Their text, passages and index entries are gone from
 * the file; their names stay in the setting "withdrawn", strings that end with NUL, so that reading
 * the folder they are in does not bring them back. Naming one of them does.
 */
#pragma once

#include "app/library.h"
#include "storage/session.h"

/* Takes the present document `name` out, in one transaction. ERROR_NOT_FOUND when there is none. */
bool withdrawn_add(struct store *store, const char *name, struct error *error);

/* Leaves withdrawn documents out of what was just read, as skips; those that `paths` name are taken
 * in, and off the list. */
bool withdrawn_filter(struct store *store, struct library *library, const char *const *paths,
                      size_t count, struct error *error);

/* Removed documents that the memory has read: it cannot unlearn them, only be made anew. */
bool withdrawn_in_memory(struct store *store, struct skips *names, struct error *error);
