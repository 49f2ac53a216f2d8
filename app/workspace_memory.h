/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory of a saved session: from the store into an engine session and back.
 */
#pragma once

#include "app/workspace.h"

/* Loads the model and the memory as it was at `mark`, or the newest; a session that has none yet
 * starts empty. Fills w->loaded, w->session, w->position. */
bool workspace_load_memory(struct workspace *w, const struct options *options, const char *mark,
                           struct error *error);

/* Whether the memory can no longer be used with the model that the session was made with: its
 * adapter is another one now, or this program's version of the mathematics. `*why` says so, to be
 * freed; NULL: it can be used. ERROR_INCOMPATIBLE when the model's file itself is another. */
bool workspace_memory_outdated(struct workspace *w, const struct options *options, char **why,
                               struct error *error);

/* Writes into the file with which model and adapter its memory is made. */
bool workspace_sign(struct workspace *w, struct error *error);

/* Writes the memory as a new generation. `document` and `byte`: what is being read, and up to
 * where; `mark` may be NULL. */
bool workspace_save_memory(struct workspace *w, int64_t document, uint64_t byte, const char *mark,
                           const struct store_budget *budget, struct error *error);
