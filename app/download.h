/* SPDX-License-Identifier: Apache-2.0
 *
 * Fetching one file over https: collected in a part file that survives any interruption, resumed
 * where it stopped, checked, and only then given its name. The server is not trusted: not its
 * redirects, lengths, names, nor that the rest which it sends belongs to what is there.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/error.h"
#include "engine/base/hash.h"

/* Milliseconds, except where named otherwise. */
struct download_patience {
    unsigned connect; /* until a connection stands */
    unsigned stall;   /* a stretch in which fewer than stall_bytes came is a stall */
    unsigned stall_bytes;
    unsigned retries;              /* in a row without progress */
    unsigned delay, longest_delay; /* before the first retry; doubles up to the longest */
    unsigned longest_retry_after;  /* a server that wants more is taken at its word: an error */
};
extern const struct download_patience download_patience;

/* How a caller looks on. Any of these may be NULL. */
struct download_watch {
    void *context;
    void (*progress)(void *context, uint64_t done, uint64_t total); /* `done` never falls; `total`
                                                                       is 0 while unknown */
    void (*message)(void *context, const char *text);               /* a retry, a new beginning */
    bool (*stop)(void *context);                                    /* polled ten times a second */
};

struct download {
    const char *url;    /* as the user typed it: https, or http when that was typed */
    const char *part;   /* ".../NAME.part"; a file with a wrong hash is kept as ".../NAME.bad" */
    const char *path;   /* where the complete file goes */
    const char *sha256; /* 64 lower-case digits, or NULL: whatever comes is trusted */
    uint64_t bytes;     /* exact size, or 0 when unknown */
    bool replace;       /* an existing `path` may be overwritten */
    const struct download_patience *patience;
    struct download_watch watch;
};

struct download_result {
    char sha256[HASH_HEX];
    uint64_t bytes;   /* of the file */
    uint64_t fetched; /* that came over the network now */
};

/* Errors: ERROR_USAGE (URL), ERROR_NETWORK, ERROR_CHECKSUM, ERROR_NO_SPACE, ERROR_INTERRUPTED; all
 * but a wrong hash leave the part for the next run. `result` is filled on failure too, as far as
 * it is known. */
bool download_run(const struct download *d, struct download_result *result, struct error *error);

/* Keeps a file whose hash is wrong as ".../NAME.bad", tells both hashes, and returns false. */
bool download_reject(const char *part, const char *found, const char *expected,
                     struct error *error);
