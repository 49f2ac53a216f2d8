/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass over the lines with the one before and the one after at hand.
 */
#include "app/import/sections.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { HEADING_MAX = 120 }; /* bytes; longer lines are sentences */

struct line {
    const char *at;
    size_t size; /* without \n and without white space at the end */
};

static struct line line_at(const struct document *d, size_t begin, size_t *next) {
    if (begin >= d->size) {
        *next = d->size;
        return (struct line){.at = d->text + d->size};
    }
    const char *at = d->text + begin;
    const char *end = memchr(at, '\n', d->size - begin);
    size_t size = end ? (size_t)(end - at) : d->size - begin;
    *next = begin + size + (end != NULL);
    while (size && isspace((unsigned char)at[size - 1])) {
        size--;
    }
    return (struct line){.at = at, .size = size};
}

/* A line of one punctuation character, as is drawn under a title of `title` bytes. */
static bool is_underline(struct line l, size_t title) {
    if (l.size < 3 || l.size + 2 < title || !strchr("=-~^*", l.at[0])) {
        return false;
    }
    for (size_t i = 1; i < l.size; i++) {
        if (l.at[i] != l.at[0]) {
            return false;
        }
    }
    return true;
}

static bool is_fence(struct line l) {
    return l.size >= 3 && (memcmp(l.at, "```", 3) == 0 || memcmp(l.at, "~~~", 3) == 0);
}

/* Bytes of "## " before the title; 0: no such heading. */
static size_t hashes(struct line l) {
    size_t n = 0;
    while (n < l.size && l.at[n] == '#') {
        n++;
    }
    return n >= 1 && n <= 6 && n < l.size && l.at[n] == ' ' ? n + 1 : 0;
}

static bool is_number_word(const char *at, size_t size) {
    static const char *const words[] = {"one",   "two",    "three", "four", "five",  "six",
                                        "seven", "eight",  "nine",  "ten",  "first", "second",
                                        "third", "fourth", "fifth", "last", "the"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i]) == size && strncasecmp(at, words[i], size) == 0) {
            return true;
        }
    }
    size_t digits = 0, roman = 0;
    for (size_t i = 0; i < size; i++) {
        digits += isdigit((unsigned char)at[i]) != 0;
        roman += strchr("IVXLCivxlc", at[i]) != NULL;
    }
    return size > 0 && (digits == size || roman == size);
}

/* "CHAPTER 12", "Part Two: ...", "BOOK IV." */
static bool is_chapter(struct line l) {
    static const char *const words[] = {"chapter", "part",   "book",   "letter",
                                        "canto",   "volume", "section"};
    size_t word = 0, at = 0;
    while (at < l.size && l.at[at] == ' ') {
        at++;
    }
    for (size_t i = 0; i < sizeof words / sizeof *words && word == 0; i++) {
        size_t n = strlen(words[i]);
        /* Upper case or capitalised; a sentence may well begin with a small "part one". */
        if (l.size - at > n && strncasecmp(l.at + at, words[i], n) == 0 &&
            isupper((unsigned char)l.at[at]) && l.at[at + n] == ' ') {
            word = at + n + 1;
        }
    }
    if (word == 0 || l.size > HEADING_MAX) {
        return false;
    }
    size_t end = word;
    while (end < l.size && isalnum((unsigned char)l.at[end])) {
        end++;
    }
    return is_number_word(l.at + word, end - word);
}

bool sections_find(struct document *d) {
    bool markdown = d->kind == DOCUMENT_MARKDOWN, fenced = false;
    struct line before = {0};
    for (size_t begin = 0, next; begin < d->size; begin = next) {
        size_t beyond;
        struct line here = line_at(d, begin, &next), after = line_at(d, next, &beyond);
        fenced ^= markdown && is_fence(here);
        size_t skip = markdown && !fenced ? hashes(here) : 0;
        bool heading =
            !fenced && here.size > 0 &&
            (skip ||
             (here.size <= HEADING_MAX && before.size == 0 && is_underline(after, here.size) &&
              !ispunct((unsigned char)here.at[strspn(here.at, " \t\"'`*([{<")])) ||
             (before.size == 0 && is_chapter(here) && (after.size == 0 || after.size <= 60)));
        /* A table of contents is a run of chapter lines; only a lone one opens a chapter. */
        heading = heading && !(is_chapter(here) && is_chapter(after));
        if (heading && !document_add_section(d, begin, here.at + skip, here.size - skip)) {
            return false;
        }
        before = here;
    }
    return true;
}
