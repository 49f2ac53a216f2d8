/* SPDX-License-Identifier: Apache-2.0
 *
 * The file that a download is collected in, NAME.part, and what must be known to go on with it, in
 * NAME.part.json: {"url", "etag", "modified", "total", "sha256"}. The hash is taken while bytes
 * come in; of a part that was left by an earlier run it is taken when that is opened.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/download.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"

#define PART_UNKNOWN UINT64_MAX

struct download_part {
    char *path, *state_path;
    const char *url, *sha256; /* the caller's; sha256 may be NULL */
    int fd;                   /* locked, so that two programs never write one part */
    uint64_t size;            /* bytes there and in `hash` */
    uint64_t total;           /* of the whole file, or PART_UNKNOWN */
    struct hash *hash;
    /* What If-Range may say: a strong ETag, or the date when there is no ETag at all. */
    char etag[256], modified[64];
};

/* Opens or makes the part. What is there is kept only when its state belongs to this URL and hash
 * and it can be resumed. `watch` is asked to stop while it is hashed. */
bool part_open(struct download_part *part, const char *path, const char *url, const char *sha256,
               const struct download_watch *watch, struct error *error);
/* Closes and leaves everything on disk; a part without a byte is removed. */
void part_close(struct download_part *part);

/* Begins at byte 0 and remembers what the server said. */
bool part_restart(struct download_part *part, const char *etag, const char *modified,
                  uint64_t total, struct error *error);
bool part_write(struct download_part *part, const void *data, size_t size, struct error *error);
/* "\"etag\"" or a date: what to send in If-Range; NULL when the part cannot be resumed. */
const char *part_validator(const struct download_part *part);
/* Everything is there: flushes, and gives the hash. */
bool part_complete(struct download_part *part, char hex[HASH_HEX], struct error *error);
/* Forgets the state file, once the part has been renamed. */
void part_forget(struct download_part *part);
