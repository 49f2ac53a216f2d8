/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of which one is chosen: what Sources, Sessions, Models and Help show.
 */
#pragma once

#include "app/ui/keys.h"
#include "app/ui/screen.h"

struct list_item {
    struct row row;
    long value;                  /* the view's; -1: a heading, which cannot be chosen */
    size_t name_begin, name_end; /* bytes that lose their middle where the line is too narrow */
    size_t tail;                 /* what stands from here on begins in the same column everywhere */
};

/* Starts as {0}. */
struct list {
    struct styled styled; /* a line is written here, then list_end makes it an item */
    struct list_item *items;
    size_t count, capacity;
    size_t chosen, top;
    int height;            /* as last drawn */
    struct list_item line; /* that is being written */
    int widest,
        tail_columns; /* columns before the tails; and kept free for them, 0: there is none */
};

void list_finish(struct list *l);
void list_clear(struct list *l); /* keeps the place */
bool list_end(struct list *l, long value);
/* Pads the line that is being written to `columns`. */
void list_pad(struct list *l, int columns);
/* In the line that is being written: a name, filtered here; and that its tail begins, for which
 * `columns` are kept free. */
void list_name(struct list *l, const char *name, size_t size, unsigned style);
void list_tail(struct list *l, int columns);
long list_chosen(const struct list *l); /* its value, -1 when there is none */
void list_choose(struct list *l, long value);
void list_draw(struct list *l, struct area area, bool mark);
/* Moves; false when the action is no move. */
bool list_act(struct list *l, enum action action);
/* Goes to the next line with `words` in it; false when there is none. */
bool list_find(struct list *l, const char *words, bool backwards);
