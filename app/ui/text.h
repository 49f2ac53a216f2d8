/* SPDX-License-Identifier: Apache-2.0
 *
 * Text as it will stand on the screen: filtered bytes, each with a style, cut into rows by columns.
 * A column is what the terminal makes of it: wide characters take two, combining marks none.
 */
#pragma once

#include "app/safe_text.h"

/* What a cell may look like; these add up. None of them is ever the only sign of something. */
enum style {
    STYLE_PLAIN = 0,
    STYLE_BOLD = 1,
    STYLE_DIM = 2,
    STYLE_ITALIC = 4,
    STYLE_UNDERLINE = 8,
    STYLE_REVERSE = 16,
    STYLE_ACCENT = 32, /* headings, numbers of citations */
    STYLE_WARN = 64,   /* what went wrong */
};

/* Starts as {0}. styles.data[i] is the style of text.data[i]; '\n' ends a line. */
struct styled {
    struct bytes text, styles;
    int column; /* at the end of the text, for tabs */
};

void styled_finish(struct styled *s);
void styled_clear(struct styled *s); /* empty, keeps its memory */
/* Appends text that is filtered already, or that we wrote; tabs become spaces. */
void styled_put(struct styled *s, const char *text, size_t size, unsigned style);
void styled_puts(struct styled *s, const char *text, unsigned style);
void styled_printf(struct styled *s, unsigned style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Appends text from outside through the filter. */
void styled_put_safe(struct styled *s, const char *text, size_t size, enum safe_text_kind kind,
                     unsigned style);
/* Where something stands: "book.txt p.3 lines 5-9". `path` as it is in the store, or NULL. */
struct store_place;
void styled_put_place(struct styled *s, const char *path, const struct store_place *place,
                      unsigned style);
/* Filtered, runs of white space as one space, and "..." behind at most `most` bytes, where a word
 * ends; to be freed.
 * NULL when memory runs out. */
char *text_one_line(const char *text, size_t size, size_t most);
/* Adds `style` to the bytes [begin, end). */
void styled_mark(struct styled *s, size_t begin, size_t end, unsigned style);
/* Lays out simple Markdown, filtered already: headings, lists, quotes, code, emphasis, links. */
void styled_put_markdown(struct styled *s, const char *text, size_t size);

/* Bytes [begin, end) of the text, on the screen after `indent` columns. */
struct row {
    size_t begin, end;
    int indent;
};

/* Starts as {0}. */
struct rows {
    struct row *items;
    size_t count, capacity;
};

enum wrap {
    WRAP_WORDS,    /* at spaces, later rows of a list item below its text */
    WRAP_ANYWHERE, /* every byte has a place in a row: for the input line */
};

/* Replaces `rows`. There is always at least one. False when memory runs out. */
bool text_wrap(const struct styled *s, int width, enum wrap wrap, struct rows *rows);
void rows_finish(struct rows *rows);

/* The end of the visible character (grapheme cluster) at `at` < size, and its columns, 0..2 for
 * each code point in it. */
size_t text_next(const char *text, size_t size, size_t at, int *columns);
/* The begin of the one before `at`, which is > 0. */
size_t text_previous(const char *text, size_t at);
int text_columns(const char *text, size_t size);

/* A name of more than `most` columns loses its middle, for its end tells it from others: without
 * the bytes [*begin, *end), and "..." in their place, it fits. False when it fits as it is. */
bool text_middle(const char *text, size_t size, int most, size_t *begin, size_t *end);
/* The name made so; to be freed. NULL when memory runs out. */
char *text_short_name(const char *text, int most);

/* Where `words` stand at or behind `from`, upper and lower case of ASCII alike; TEXT_NOWHERE. */
#define TEXT_NOWHERE ((size_t)-1)
size_t text_search(const char *text, size_t size, size_t from, const char *words);
