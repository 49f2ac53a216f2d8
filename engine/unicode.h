/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8, one character at a time, with the classes of characters that pre-tokenisers tell apart.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum unicode_class {
    UNICODE_OTHER, /* marks, punctuation, symbols, control characters, unassigned, invalid bytes */
    UNICODE_LETTER,
    UNICODE_NUMBER,
    UNICODE_SPACE, /* the property White_Space, line ends included */
};

#define UNICODE_INVALID UINT32_MAX

struct unicode_char {
    uint32_t code; /* UNICODE_INVALID for a byte that begins no valid UTF-8 sequence */
    uint32_t size; /* bytes; 1 for an invalid one */
    enum unicode_class class;
};

/* The first character of text[0..size); size > 0. */
struct unicode_char unicode_first(const char *text, size_t size);
