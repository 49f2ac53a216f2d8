/* SPDX-License-Identifier: Apache-2.0
 *
 * What counts as a word when texts are searched: runs of letters and digits, case and accents
 * removed, reduced to the English stem. An identifier gives its parts as well as itself
 * (get_line_end, getLineEnd: "get", "line", "end", and the whole); scripts that do not part their
 * words give pairs of characters.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct words;

/* NULL when memory runs out. Not for two threads at once. */
struct words *words_create(void);
void words_destroy(struct words *w); /* accepts NULL */

enum { WORD_MAX = 64 }; /* bytes of a stem; longer ones are cut */

struct word {
    const char *stem; /* ended by NUL; valid during the call */
    size_t size;
    size_t begin, end; /* the bytes of the text that it stands for */
    bool stop;         /* one of the small words that say nothing about the subject */
    bool capital;      /* starts with a capital letter, or has a digit or capital within */
    bool part;         /* a piece of an identifier, of which the whole was given before */
};

/* Calls `each` for every word of the text in order, until it returns false. */
typedef bool word_function(void *context, const struct word *word);
void words_of(struct words *w, const char *text, size_t size, word_function *each, void *context);
