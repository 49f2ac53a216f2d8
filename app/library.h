/* SPDX-License-Identifier: Apache-2.0
 *
 * The documents that a list of paths stands for, read into memory, and what was not taken.
 */
#pragma once

#include "app/import/document.h"
#include "app/import/walk.h"

/* Starts as {0}. */
struct library {
    struct document *documents; /* in the order of the walk */
    size_t count;
    struct skips skips;
};

/* ERROR_NOT_FOUND when a path does not exist, ERROR_INTERRUPTED when the user stopped it. */
bool library_read(struct library *library, const char *const *paths, size_t count,
                  const struct walk_options *options, struct error *error);
void library_finish(struct library *library);
