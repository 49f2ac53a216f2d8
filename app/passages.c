/* SPDX-License-Identifier: Apache-2.0
 *
 * Greedy: from where the last passage ended, look at every border up to the longest length allowed
 * and take the best one; among equals the last. Page starts, and headings once there is enough
 * before them, end a passage whatever its length.
 */
#include "app/passages.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHORT = 250, /* bytes; a heading after less than this does not start a new passage */
    AIM = 600,   /* from here on a weaker border is as good as a stronger one further back */
    LONG = 900,
    LONGEST = 1100, /* only to take in the whole rest up to a heading, a page or the end */
};

/* Rising: how good it is to cut here. */
enum border { BORDER_NONE, BORDER_BYTE, BORDER_WORD, BORDER_SENTENCE, BORDER_LINE, BORDER_BLOCK };

void passages_finish(struct passages *p) {
    free(p->items);
    *p = (struct passages){0};
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\v';
}

/* Whether the line before `at`, which starts a line, is blank. */
static bool after_blank_line(const char *text, size_t at) {
    size_t i = at - 1;
    while (i > 0 && text[i - 1] != '\n') {
        i--;
        if (!is_space(text[i])) {
            return false;
        }
    }
    return true;
}

/* What kind of border lies between text[at - 1] and text[at]; 0 < at < size. */
static enum border border_at(const struct document *d, size_t at) {
    const char *text = d->text;
    char before = text[at - 1], here = text[at];
    if (before == '\n') {
        bool block = after_blank_line(text, at) && here != '\n';
        /* In code what is indented belongs to the function above it. */
        if (block && d->kind == DOCUMENT_CODE && is_space(here)) {
            return BORDER_LINE;
        }
        return block ? BORDER_BLOCK : here == '\n' ? BORDER_WORD : BORDER_LINE;
    }
    if (before == ' ' && here != ' ') {
        bool stop = at >= 2 && strchr(".!?", text[at - 2]);
        return stop ? BORDER_SENTENCE : BORDER_WORD;
    }
    return ((unsigned char)here & 0xC0) == 0x80 ? BORDER_NONE : BORDER_BYTE;
}

/* Prose: a sentence's end is better than a line's, which mostly is where the text was wrapped. */
static int value(enum border border, enum document_kind kind) {
    static const int prose[] = {-1, 0, 1, 3, 2, 4}, code[] = {-1, 0, 1, 1, 3, 4};
    bool lines = kind == DOCUMENT_CODE || kind == DOCUMENT_TREE;
    return lines ? code[border] : prose[border];
}

/* The best border behind `begin`; more than LONGEST bytes follow it. */
static size_t choose(const struct document *d, size_t begin) {
    size_t best = begin + LONG;
    int best_value = -1;
    for (size_t at = begin + SHORT; at <= begin + LONG; at++) {
        int v = value(border_at(d, at), d->kind);
        /* A paragraph's end far from the aim is not worth a passage of half the length. */
        v -= at < begin + AIM / 2 + SHORT / 2 ? 2 : 0;
        if (v >= best_value) {
            best_value = v;
            best = at;
        }
    }
    return best;
}

static size_t count_lines(const char *text, size_t begin, size_t end) {
    size_t n = 0;
    for (const char *at = text + begin; (at = memchr(at, '\n', (size_t)(text + end - at)));) {
        n++;
        at++;
    }
    return n;
}

struct cutter {
    const struct document *d;
    struct passages *out;
    size_t line; /* of the byte where the next passage begins */
};

static bool add(struct cutter *c, size_t begin, size_t end) {
    struct passages *out = c->out;
    const struct document *d = c->d;
    if ((out->count & (out->count - 1)) == 0) {
        size_t capacity = out->count ? 2 * out->count : 1;
        struct passage *items = reallocarray(out->items, capacity, sizeof *items);
        if (!items) {
            return false;
        }
        out->items = items;
    }
    size_t first = begin, last = end;
    while (first < end && is_space(d->text[first])) {
        first++;
    }
    while (last > first && is_space(d->text[last - 1])) {
        last--;
    }
    size_t first_line = c->line + count_lines(d->text, begin, first);
    out->items[out->count++] = (struct passage){
        .begin = begin,
        .end = end,
        .first_line = first_line,
        .last_line = first_line + count_lines(d->text, first, last),
        .page = document_page_at(d, begin),
        .section = document_section_at(d, first < end ? first : begin),
    };
    c->line += count_lines(d->text, begin, end);
    return true;
}

/* Cuts [begin, end), which no heading and no page start divides. */
static bool cut_span(struct cutter *c, size_t begin, size_t end) {
    while (end - begin > LONGEST) {
        size_t at = choose(c->d, begin);
        if (!add(c, begin, at)) {
            return false;
        }
        begin = at;
    }
    return begin == end || add(c, begin, end);
}

bool passages_cut(const struct document *d, struct passages *out, struct error *error) {
    struct cutter c = {.d = d, .out = out, .line = 1};
    size_t begin = 0, page = 0, section = 0;
    while (begin < d->size) {
        size_t end = d->size;
        while (page < d->page_count && d->pages[page] <= begin) {
            page++;
        }
        if (page < d->page_count && d->pages[page] < end) {
            end = d->pages[page];
        }
        while (section < d->section_count && d->sections[section].begin < begin + SHORT) {
            section++;
        }
        if (section < d->section_count && d->sections[section].begin < end) {
            end = d->sections[section].begin;
        }
        if (!cut_span(&c, begin, end)) {
            passages_finish(out);
            return error_set(error, ERROR_NO_SPACE, "%s: out of memory", d->name);
        }
        begin = end;
    }
    return true;
}
