/* SPDX-License-Identifier: Apache-2.0
 *
 * Small file operations that must leave either the old state or the new one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"
#include "engine/base/hash.h"

/* Renames, or copies and removes where the two are on different file systems; the data and the
 * folder are on disk when it returns. With `replace` false an existing `to` is ERROR_FAILURE. */
bool file_move(const char *from, const char *to, bool replace, struct error *error);

/* ERROR_NO_SPACE with both numbers unless the file system of `path`'s folder has `bytes` free. */
bool file_check_space(const char *path, uint64_t bytes, struct error *error);

/* ERROR_NO_SPACE for ENOSPC, EDQUOT and EFBIG, else ERROR_FAILURE; "cannot write PATH: cause". */
bool file_write_error(const char *path, int cause, struct error *error);

/* Removes a folder and all in it; links are removed, not followed. */
void file_remove_folder(const char *path);

/* Writes a whole file beside itself and puts it into place: `path` has its old bytes or the new
 * ones, whatever happens. Links are not followed. */
bool file_write(const char *path, const void *data, size_t size, struct error *error);

/* SHA-256 of a file. `watch` is told after each MiB; false stops it (ERROR_INTERRUPTED). */
bool file_hash(const char *path, bool (*watch)(void *context, uint64_t done, uint64_t total),
               void *context, char hex[HASH_HEX], uint64_t *bytes, struct error *error);
