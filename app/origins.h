/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a session's documents came from: the paths that were given to ingest, with the folder they
 * were given in, so that they can be read again. Kept in the session's setting "origins" as strings
 * that end with NUL: "folder=/home/me", then "path=P", "include=G", "exclude=G" and "all=" (also
 * what git ignores) as often as needed, and "end=". Paths are any bytes.
 */
#pragma once

#include "app/import/walk.h"
#include "storage/session.h"

struct origin_texts {
    const char **text; /* [count]; the strings are in origins.data */
    size_t count;
};

struct origin {
    const char *folder;
    struct origin_texts paths, include, exclude;
    bool no_ignore;
};

/* Starts as {0}. */
struct origins {
    struct blob data;
    struct origin *items;
    size_t count;
};

bool origins_read(struct origins *origins, struct store *store, struct error *error);
void origins_finish(struct origins *origins);

/* Notes that these paths were read from the present folder; once for equal ones. */
bool origins_add(struct store *store, const char *const *paths, size_t count,
                 const struct walk_options *walk, struct error *error);
