/* SPDX-License-Identifier: Apache-2.0
 *
 * The one filter between text from outside (documents, names, models, servers, errors that quote
 * them) and a terminal. What comes out is printable UTF-8, \n and \t and nothing else: a control
 * character shows as ^[ or \u{9B}, an invalid byte as U+FFFD. It keeps no more than an unfinished
 * character, so a stream cut anywhere gives the same bytes as in one piece.
 */
#pragma once

#include "engine/base/bytes.h"

enum safe_text_kind {
    /* Prose and answers. Characters that reorder or hide what stands around them show as escapes,
     * but joiners, which many scripts and emoji need, pass. */
    SAFE_PROSE,
    /* Names, paths, messages of one line: \n, \t and every invisible character show too. */
    SAFE_NAME,
};

/* Starts as {.kind = ...}. */
struct safe_text {
    enum safe_text_kind kind;
    unsigned char held[4]; /* the bytes so far of an unfinished character */
    unsigned held_size;
    unsigned marks; /* combining marks since the last base character */
};

/* Appends the filtered form of `data` to `out`. */
void safe_text_put(struct safe_text *s, const char *data, size_t size, struct bytes *out);
/* What is held of an unfinished character becomes U+FFFD; the filter can be used again. */
void safe_text_end(struct safe_text *s, struct bytes *out);

/* All at once, ended by NUL; the caller frees. NULL when memory runs out. */
char *safe_text_of(const char *data, size_t size, enum safe_text_kind kind);
