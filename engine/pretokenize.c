/* SPDX-License-Identifier: Apache-2.0
 *
 * Two scanners, each the hand-written form of a regular expression (L letter, N number, s space).
 * Alternatives are tried in the order given, each takes all that it can:
 *
 *   gpt2:   's|'t|'re|'ve|'m|'ll|'d | [ ]?L+ | [ ]?N+ | [ ]?[^sLN]+ | s+ but not the last | s+
 *   llama3: the same endings in either case | [^\r\nLN]?L+ | N{1,digits} | [ ]?[^sLN]+[\r\n]*
 *           | s*[\r\n]+ | s+ but not the last | s+
 *
 * "Not the last" leaves one space for the word after it, so at the end of text it does not apply.
 * With gpt2 and digits == 1 the text is first cut at every number, and a number counts as the end.
 */
#include "engine/pretokenize.h"

#include <string.h>

#include "engine/unicode.h"

/* A class of its own for what lies past the end. */
#define END ((enum unicode_class)(UNICODE_SPACE + 1))

static struct unicode_char char_at(const char *text, size_t size, size_t at) {
    return at < size ? unicode_first(text + at, size - at)
                     : (struct unicode_char){.code = UNICODE_INVALID, .size = 0, .class = END};
}

/* The end of the run of characters of `class` that starts at `at`. */
static size_t run_end(const char *text, size_t size, size_t at, enum unicode_class class) {
    for (;;) {
        struct unicode_char c = char_at(text, size, at);
        if (c.class != class) {
            return at;
        }
        at += c.size;
    }
}

static bool is_line_end(struct unicode_char c) {
    return c.code == '\r' || c.code == '\n';
}

/* Bytes of 's, 't, 're, 've, 'm, 'll or 'd at the start of the text; 0 when there is none. `fold`
 * adds 32 to the codes of upper-case letters. */
static size_t ending(const char *text, size_t size, bool fold) {
    char letters[2] = {0};
    for (size_t i = 0; i < 2 && i + 1 < size; i++) {
        char c = text[i + 1];
        letters[i] = fold && c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
    }
    if (letters[0] && strchr("stmd", letters[0])) {
        return 2;
    }
    bool two = !memcmp(letters, "re", 2) || !memcmp(letters, "ve", 2) || !memcmp(letters, "ll", 2);
    return two ? 3 : 0;
}

/* The word that a run of spaces at the start of the text makes. `digits_end`: a number after it
 * counts as the end of the text. */
static size_t spaces(const char *text, size_t size, bool digits_end) {
    size_t at = 0, last = 0;
    struct unicode_char c = char_at(text, size, 0);
    while (c.class == UNICODE_SPACE) {
        last = at;
        at += c.size;
        c = char_at(text, size, at);
    }
    bool at_end = c.class == END || (digits_end && c.class == UNICODE_NUMBER);
    return at_end || last == 0 ? at : last;
}

static size_t gpt2_first(const struct pretokenizer *p, const char *text, size_t size) {
    struct unicode_char first = char_at(text, size, 0);
    bool digits_end = p->digits == 1;
    if (digits_end && first.class == UNICODE_NUMBER) {
        return first.size;
    }
    size_t suffix = first.code == '\'' ? ending(text, size, false) : 0;
    if (suffix > 0) {
        return suffix;
    }
    size_t start = first.code == ' ' ? 1 : 0;
    struct unicode_char c = char_at(text, size, start);
    if (c.class == UNICODE_SPACE || c.class == END || (digits_end && c.class == UNICODE_NUMBER)) {
        return spaces(text, size, digits_end);
    }
    return run_end(text, size, start, c.class);
}

static size_t llama3_first(const struct pretokenizer *p, const char *text, size_t size) {
    struct unicode_char first = char_at(text, size, 0);
    size_t suffix = first.code == '\'' ? ending(text, size, true) : 0;
    if (suffix > 0) {
        return suffix;
    }
    if (first.class == UNICODE_NUMBER) {
        size_t at = first.size;
        for (size_t digits = 1; digits < p->digits; digits++) {
            struct unicode_char c = char_at(text, size, at);
            if (c.class != UNICODE_NUMBER) {
                break;
            }
            at += c.size;
        }
        return at;
    }
    struct unicode_char second = char_at(text, size, first.size);
    if (first.class == UNICODE_LETTER || (!is_line_end(first) && second.class == UNICODE_LETTER)) {
        return run_end(text, size, first.size, UNICODE_LETTER);
    }
    if (first.class == UNICODE_OTHER || (first.code == ' ' && second.class == UNICODE_OTHER)) {
        size_t at = run_end(text, size, first.size, UNICODE_OTHER);
        while (at < size && (text[at] == '\r' || text[at] == '\n')) {
            at++;
        }
        return at;
    }
    size_t end = run_end(text, size, 0, UNICODE_SPACE), line = end;
    while (line > 0 && text[line - 1] != '\r' && text[line - 1] != '\n') {
        line--;
    }
    return line > 0 ? line : spaces(text, size, false);
}

/* clang-format off */
static const struct pretokenizer table[] = {
    {.name = "gpt-2",     .first = gpt2_first},
    {.name = "smollm",    .first = gpt2_first,   .digits = 1},
    {.name = "qwen2",     .first = llama3_first, .digits = 1},
    {.name = "llama-bpe", .first = llama3_first, .digits = 3, .whole_words = true, .adds_bos = true},
    {.name = "llama3",    .first = llama3_first, .digits = 3, .whole_words = true, .adds_bos = true},
    {.name = "llama-v3",  .first = llama3_first, .digits = 3, .whole_words = true, .adds_bos = true},
};
/* clang-format on */

const struct pretokenizer *pretokenizer_find(const char *name, size_t size) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strlen(table[i].name) == size && memcmp(table[i].name, name, size) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

const char *pretokenizer_names(void) {
    return "gpt-2, smollm, qwen2, llama-bpe, llama3, llama-v3";
}

size_t pretokenize_first(const struct pretokenizer *p, const char *text, size_t size) {
    return p->first(p, text, size);
}
