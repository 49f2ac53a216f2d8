/* SPDX-License-Identifier: Apache-2.0
 *
 * What ingest takes: files, folders, "-" and addresses on the web.
 */
#pragma once

#include "app/library.h"

/* "http://..." or "https://..." */
bool source_is_url(const char *path);

/* Like library_read; addresses come after the rest, each as one document with the address as its
 * name. It is fetched into the cache, where a broken download stays and is gone on with, and
 * removed from there when it has been read. ERROR_NETWORK when it cannot be fetched, or `offline`.
 */
bool sources_read(struct library *library, const char *const *paths, size_t count,
                  const struct walk_options *options, bool offline, struct error *error);
