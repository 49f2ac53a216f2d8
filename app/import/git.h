/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks git which files of a folder belong to the project.
 */
#pragma once

#include "app/import/import.h"

enum git_answer {
    GIT_FILES,  /* `list` holds the names, relative to the folder, each ended by NUL */
    GIT_NONE,   /* not a work tree, or one that ignores this folder: walk it */
    GIT_FAILED, /* a work tree, but git could not say: `error` tells why */
};

enum git_answer git_list(const char *folder, bool (*stop)(void *), void *stop_context,
                         struct bytes *list, struct error *error);
