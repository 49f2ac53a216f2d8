/* SPDX-License-Identifier: Apache-2.0
 *
 * Which files a list of paths stands for, in a fixed order: roots as given, below each root by the
 * bytes of the path. Inside a git work tree exactly what `git ls-files -co --exclude-standard`
 * names; elsewhere all regular files but those in hidden folders. Nothing is opened but folders.
 */
#pragma once

#include <stdint.h>

#include "app/import/import.h"

struct walk_options {
    const char *const *include; /* globs; NULL: everything. One without a slash is held against */
    size_t include_count;       /* each part of the path below the root, one with a slash */
    const char *const *exclude; /* against the whole of it or its leading folders */
    size_t exclude_count;
    bool no_ignore; /* do not ask git */
    bool hidden;    /* outside git: also folders whose name starts with a dot */
    uint64_t file_bytes, total_bytes;
    size_t files;
    unsigned depth;       /* folders below a root */
    bool (*stop)(void *); /* NULL: never */
    void *stop_context;
};

/* Everything; 256 MiB a file, 10 GiB and 100,000 files in all, depth 64. */
struct walk_options walk_options_default(void);

struct walked_file {
    char *path;    /* the root as given, a slash, the path below it */
    uint64_t size; /* when it was listed; 0 of standard input */
    bool named;    /* the user named this very file, or "-": take it, follow links */
    size_t root;   /* index into the paths given */
    size_t below;  /* where in `path` the part below the root starts */
};

/* Starts as {0}. */
struct walk {
    struct walked_file *files;
    size_t count;
    struct skips skips;
    size_t excluded; /* files that the globs left out; not skips, the user asked for it */
};

void walk_finish(struct walk *w);

/* Takes files, folders and "-" (standard input, path "-"). What cannot be read is a skip; a path
 * that does not exist is an error, ERROR_NOT_FOUND, as is being stopped, ERROR_INTERRUPTED. */
bool walk_paths(struct walk *w, const char *const *paths, size_t count,
                const struct walk_options *options, struct error *error);
