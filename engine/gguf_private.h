/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parser of GGUF files (gguf.c) and the look-up in what it found (gguf_find.c) share.
 */
#pragma once

#include "engine/gguf.h"

struct gguf_entry {
    struct gguf_text name;
    size_t place; /* in pairs or tensors */
};

struct gguf_index {
    struct gguf_entry *pairs, *tensors; /* sorted by gguf_compare_entries */
};

/* For qsort and bsearch: bytewise by name. */
int gguf_compare_entries(const void *a, const void *b);

struct gguf_type_info {
    const char *name;
    uint32_t size; /* bytes; 0 where the value itself tells */
};
extern const struct gguf_type_info gguf_types[GGUF_TYPES];

/* Arguments for "%.*s": a name or value of the file, cut to a length that fits a message. */
enum { GGUF_SHOWN_MAX = 100 };
#define SHOWN(text) (int)((text).size < GGUF_SHOWN_MAX ? (text).size : GGUF_SHOWN_MAX), (text).data
