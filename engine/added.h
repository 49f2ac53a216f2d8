/* SPDX-License-Identifier: Apache-2.0
 *
 * Added ("user defined") tokens: strings of a vocabulary that are looked for in the text as it
 * stands, before it is cut into words.
 */
#pragma once

#include "engine/vocabulary.h"

struct added {
    token *ids; /* the longest first, then the lowest id first: the order of the search */
    size_t count;
};

bool added_init(struct added *a, const struct vocabulary *v); /* false when memory runs out */
void added_finish(struct added *a);                           /* accepts a zeroed struct */

/* A piece of a text: an added token, or text without one (id == TOKEN_NONE). */
struct piece {
    size_t start, size;
    token id;
};

/* The pieces in order, none empty; owns `items`. Starts as {0}. */
struct pieces {
    struct piece *items;
    size_t count, capacity;
};
void pieces_finish(struct pieces *p);

/* Cuts text[0..size): a longer token wins over a shorter one, then an earlier place over a later.
 * False when memory runs out. */
bool added_cut(const struct added *a, const struct vocabulary *v, const char *text, size_t size,
               struct pieces *out);
