/* SPDX-License-Identifier: Apache-2.0
 *
 * Damages GGUF files at places that are found by the name of a key or tensor, so that a table of
 * hostile files needs no byte offsets.
 */
#pragma once

#include <stdint.h>

#include "engine/base/bytes.h"

/* One change. Place 0 is the first byte after `name`: there begins the type of a key (its value 4
 * bytes later) or the number of dimensions of a tensor. Without a name it is the file's start. */
struct poke {
    const char *name;
    int place; /* in bytes; before the name's end where negative */
    int width; /* bytes of `value`, written little-endian */
    uint64_t value;
    const char *text; /* written instead of `value` unless NULL */
};

#define POKE(name, place, width, value)                                                            \
    { name, place, width, value, NULL }
#define POKE_TEXT(name, place, text)                                                               \
    { name, place, 0, 0, text }

/* Makes up to `count` changes; stops at the first without width and text. The names must exist. */
void poke_all(struct bytes *file, const struct poke *pokes, int count);
