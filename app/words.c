/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes to words. ASCII, nearly all there is in code and English, is handled byte by byte; the
 * rest by utf8proc. Stems are Snowball's for English (libstemmer), which leaves words of other
 * languages mostly as they are; text and question get the same treatment, so that does no harm.
 */
#include "app/words.h"

#include <ctype.h>
#include <libstemmer.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "app/word_forms.h"

struct words {
    struct sb_stemmer *stemmer;
};

struct words *words_create(void) {
    struct words *w = malloc(sizeof *w);
    if (w) {
        w->stemmer = sb_stemmer_new("english", NULL);
    }
    if (w && !w->stemmer) {
        free(w);
        return NULL;
    }
    return w;
}

void words_destroy(struct words *w) {
    if (w) {
        sb_stemmer_delete(w->stemmer);
        free(w);
    }
}

/* Sorted. */
static const char *const stop_words[] = {
    "a",       "about",   "above",    "according", "after",    "again",      "against", "all",
    "also",    "am",      "an",       "and",       "any",      "are",        "aren",    "around",
    "as",      "at",      "author",   "be",        "because",  "been",       "before",  "being",
    "below",   "between", "book",     "both",      "but",      "by",         "can",     "cannot",
    "could",   "couldn",  "d",        "describe",  "did",      "didn",       "do",      "document",
    "does",    "doesn",   "doing",    "don",       "done",     "down",       "during",  "each",
    "either",  "else",    "ever",     "every",     "explain",  "few",        "for",     "from",
    "further", "gave",    "get",      "give",      "given",    "go",         "got",     "had",
    "hadn",    "happen",  "happened", "happens",   "has",      "hasn",       "have",    "haven",
    "having",  "he",      "her",      "here",      "hers",     "herself",    "him",     "himself",
    "his",     "how",     "however",  "i",         "if",       "in",         "into",    "is",
    "isn",     "it",      "its",      "itself",    "just",     "kind",       "know",    "let",
    "like",    "ll",      "m",        "made",      "make",     "many",       "may",     "me",
    "mean",    "means",   "mention",  "mentioned", "might",    "more",       "most",    "much",
    "must",    "my",      "myself",   "name",      "named",    "names",      "no",      "nor",
    "not",     "of",      "off",      "on",        "once",     "one",        "only",    "or",
    "other",   "our",     "ours",     "ourselves", "out",      "over",       "own",     "per",
    "please",  "re",      "s",        "said",      "same",     "say",        "says",    "she",
    "should",  "so",      "some",     "such",      "t",        "tell",       "text",    "than",
    "that",    "the",     "their",    "theirs",    "them",     "themselves", "then",    "there",
    "these",   "they",    "thing",    "things",    "this",     "those",      "through", "to",
    "too",     "under",   "until",    "up",        "upon",     "us",         "use",     "used",
    "uses",    "using",   "ve",       "very",      "was",      "wasn",       "we",      "were",
    "what",    "when",    "where",    "whether",   "which",    "while",      "who",     "whom",
    "whose",   "why",     "will",     "with",      "within",   "without",    "won",     "would",
    "yet",     "you",     "your",     "yours",     "yourself",
};

static int compare_words(const void *key, const void *item) {
    return strcmp(key, *(const char *const *)item);
}

static bool is_stop_word(const char *word) {
    return bsearch(word, stop_words, sizeof stop_words / sizeof *stop_words, sizeof *stop_words,
                   compare_words) != NULL;
}

enum character { SPACE, LETTER, CAPITAL, DIGIT, JOINER, PAIRED };

/* Han, kana and the scripts of South-East Asia, written without spaces. */
static bool is_unparted(utf8proc_int32_t c) {
    return (c >= 0x0E00 && c <= 0x0EFF) || (c >= 0x1000 && c <= 0x109F) ||
           (c >= 0x1780 && c <= 0x17FF) || (c >= 0x3040 && c <= 0x30FF) ||
           (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x20000 && c <= 0x3FFFF);
}

static enum character kind_of_wide(utf8proc_int32_t c) {
    if (is_unparted(c)) {
        return PAIRED;
    }
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
        return CAPITAL;
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
        return LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return DIGIT;
    default:
        return SPACE;
    }
}

/* The kind of the character at `at`, and its size. */
static enum character next_character(const char *text, size_t size, size_t at, size_t *bytes) {
    unsigned char c = (unsigned char)text[at];
    *bytes = 1;
    if (c < 0x80) {
        return islower(c)   ? LETTER
               : isupper(c) ? CAPITAL
               : isdigit(c) ? DIGIT
               : c == '_'   ? JOINER
                            : SPACE;
    }
    utf8proc_int32_t wide;
    size_t left = size - at;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                          left < 4 ? (utf8proc_ssize_t)left : 4, &wide);
    if (n <= 0) {
        return SPACE;
    }
    *bytes = (size_t)n;
    return kind_of_wide(wide);
}

/* Lower case without accents into `out`, cut at WORD_MAX; returns the size. */
static size_t fold(const char *text, size_t size, char out[WORD_MAX + 1]) {
    size_t n = 0;
    bool ascii = true;
    for (size_t i = 0; i < size && ascii; i++) {
        ascii = (unsigned char)text[i] < 0x80;
    }
    if (ascii) {
        for (size_t i = 0; i < size && n < WORD_MAX; i++) {
            if (text[i] != ',') {
                out[n++] = (char)tolower((unsigned char)text[i]);
            }
        }
        out[n] = '\0';
        return n;
    }
    utf8proc_uint8_t *folded = NULL;
    utf8proc_ssize_t folded_size =
        utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &folded,
                     UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_STRIPMARK |
                         UTF8PROC_IGNORE);
    if (folded_size > 0) {
        n = (size_t)folded_size < WORD_MAX ? (size_t)folded_size : WORD_MAX;
        while (n > 0 && n < (size_t)folded_size && (folded[n] & 0xC0) == 0x80) {
            n--;
        }
        memcpy(out, folded, n);
    }
    free(folded);
    out[n] = '\0';
    return n;
}

struct scan {
    struct words *w;
    const char *text;
    size_t size;
    word_function *each;
    void *context;
};

/* Gives text[begin, end) as one word. */
static bool give(struct scan *s, size_t begin, size_t end, bool capital, bool stemmed, bool part) {
    char folded[WORD_MAX + 1];
    size_t n = fold(s->text + begin, end - begin, folded);
    if (n == 0) {
        return true;
    }
    struct word word = {.stem = folded,
                        .size = n,
                        .begin = begin,
                        .end = end,
                        .stop = is_stop_word(folded),
                        .capital = capital,
                        .part = part};
    if (stemmed) {
        const char *base = word_base(folded);
        n = base ? strlen(base) : word_american(folded, n);
        const sb_symbol *stem =
            sb_stemmer_stem(s->w->stemmer, (const sb_symbol *)(base ? base : folded), (int)n);
        if (stem) {
            word.stem = (const char *)stem;
            word.size = (size_t)sb_stemmer_length(s->w->stemmer);
        }
    }
    return word.size == 0 || s->each(s->context, &word);
}

/* A run of unparted script: pairs of neighbours, or the one character. */
static bool give_pairs(struct scan *s, size_t begin, size_t *end) {
    size_t previous = begin, at = begin, bytes;
    while (at < s->size && next_character(s->text, s->size, at, &bytes) == PAIRED) {
        if (at > begin && !give(s, previous, at + bytes, false, false, false)) {
            return false;
        }
        previous = at;
        at += bytes;
    }
    *end = at;
    return previous > begin || give(s, begin, at, false, false, false);
}

/* Digits with . , or : between them are one number: 1,234.5 and 3.40.1 and 12:30. */
static bool continues_number(const struct scan *s, size_t at) {
    return at + 1 < s->size && strchr(".,:", s->text[at]) && s->text[at] &&
           isdigit((unsigned char)s->text[at - 1]) && isdigit((unsigned char)s->text[at + 1]);
}

/* The pieces between joiners and at changes of case: HTTPServer_name gives http, server, name. */
static bool give_parts(struct scan *s, size_t begin, size_t end) {
    size_t from = begin;
    enum character before = SPACE;
    for (size_t at = begin, bytes; at < end; at += bytes) {
        enum character here = next_character(s->text, end, at, &bytes), after = SPACE;
        if (at + bytes < end) {
            size_t unused;
            after = next_character(s->text, end, at + bytes, &unused);
        }
        bool border = here == JOINER || before == JOINER || (before == LETTER && here == CAPITAL) ||
                      (before == CAPITAL && here == CAPITAL && after == LETTER);
        if (border && at > from) {
            if (before != JOINER && !give(s, from, at, true, true, true)) {
                return false;
            }
            from = at;
        }
        if (here == JOINER) {
            from = at + bytes;
        }
        before = here;
    }
    return from >= end || give(s, from, end, true, true, true);
}

/* A run of letters, digits and joiners that starts at `begin`; *end is set behind it. */
static bool give_run(struct scan *s, size_t begin, size_t *end) {
    bool digit = false, letter = false, joined = false, inner_capital = false;
    enum character before = SPACE, first = SPACE;
    size_t at = begin, bytes;
    for (; at < s->size; at += bytes) {
        enum character c = next_character(s->text, s->size, at, &bytes);
        if (c == SPACE && continues_number(s, at)) {
            c = DIGIT;
        }
        if (c == SPACE || c == PAIRED) {
            break;
        }
        first = first == SPACE ? c : first;
        digit |= c == DIGIT;
        letter |= c == LETTER || c == CAPITAL;
        joined |= c == JOINER;
        inner_capital |= c == CAPITAL && before == LETTER;
        before = c;
    }
    *end = at;
    size_t last = at;
    while (last > begin && s->text[last - 1] == '_') {
        last--;
    }
    while (begin < last && s->text[begin] == '_') {
        begin++;
    }
    if (begin == last) {
        return true;
    }
    bool whole = joined || inner_capital;
    bool capital = first == CAPITAL || digit || whole;
    return give(s, begin, last, capital, letter && !digit && !whole, false) &&
           (!whole || give_parts(s, begin, last));
}

void words_of(struct words *w, const char *text, size_t size, word_function *each, void *context) {
    struct scan s = {w, text, size, each, context};
    for (size_t at = 0, bytes; at < size;) {
        enum character c = next_character(text, size, at, &bytes);
        size_t end = at + bytes;
        bool go_on = c == SPACE    ? true
                     : c == PAIRED ? give_pairs(&s, at, &end)
                                   : give_run(&s, at, &end);
        if (!go_on) {
            return;
        }
        at = end;
    }
}
