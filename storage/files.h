/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole session files: copy, import, rename, remove. A file that appears under its final name is
 * always complete and on the disk.
 */
#pragma once

#include "storage/store.h"

/* Writes a compact copy of the session as it is now to the new file `to`; works while another
 * process writes the session. Errors: ERROR_FAILURE when `to` exists and not `replace`. */
bool store_copy(struct store *store, const char *to, bool replace, struct error *error);

/* Copies a file from outside to the new session file `to`, after checking it: that it is a session
 * with exactly our tables, sound in structure, and that every hash in it agrees. */
bool store_import(const char *from, const char *to, struct error *error);

/* A copy under the title `title`, to go on from here on another way. */
bool store_fork(struct store *store, const char *to, struct blob title, struct error *error);

/* Both fail while anybody else has the session open for writing, and rename also while somebody
 * reads it. `to` must not exist. ERROR_NOT_FOUND when there is no such file. */
bool store_rename_file(const char *from, const char *to, struct error *error);
/* Puts the session file `from` in the place of the session that `store` has open for writing, in
 * one step: whoever opens the name sees the old session or the new one. Closes `store`, also on
 * failure. Fails, and leaves both files, while somebody else uses either of them. */
bool store_replace(struct store *store, const char *from, struct error *error);
bool store_remove_file(const char *path, struct error *error);
/* Removes what copies into the folder that were cut off, an hour ago or longer, left behind. What
 * cannot be removed stays. */
void store_tidy(const char *folder);
