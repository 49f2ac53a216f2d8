/* SPDX-License-Identifier: Apache-2.0
 *
 * Cutting documents: whatever the text, the passages cover it without gap or overlap, never divide
 * a character, and name the lines and page that a reader would count; and they end where a reader
 * would end them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/import/import.h"
#include "app/passages.h"

/* The document of a text, through the text importer, so that headings are marked. */
static struct document document_of(const char *name, const char *text, size_t size) {
    struct document d = {0};
    struct skips skips = {0};
    struct error error = {0};
    struct import_limits limits = import_limits_default();
    assert_int_equal(import_bytes(text, size, name, &limits, &d, &skips, &error), IMPORT_TAKEN);
    skips_finish(&skips);
    return d;
}

static size_t line_of(const char *text, size_t offset) {
    size_t line = 1;
    for (size_t i = 0; i < offset; i++) {
        line += text[i] == '\n';
    }
    return line;
}

static void check_invariants(const struct document *d, const struct passages *p) {
    assert_true((p->count == 0) == (d->size == 0));
    size_t at = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct passage *q = &p->items[i];
        assert_int_equal(q->begin, at);
        assert_true(q->end > q->begin && q->end <= d->size);
        assert_true(q->end - q->begin <= 1100);
        assert_true(q->end == d->size || ((unsigned char)d->text[q->end] & 0xC0) != 0x80);
        size_t first = q->begin + strspn(d->text + q->begin, " \t\n\f\v"), last = q->end;
        first = first < q->end ? first : q->end;
        while (last > first && strchr(" \t\n\f\v", d->text[last - 1])) {
            last--;
        }
        assert_int_equal(q->first_line, line_of(d->text, first));
        assert_int_equal(q->last_line, line_of(d->text, last));
        assert_int_equal(q->page, document_page_at(d, q->begin));
        assert_true(q->page == 0 || document_page_at(d, q->end - 1) == q->page);
        at = q->end;
    }
    assert_int_equal(at, d->size);
}

static struct passages cut(const struct document *d) {
    struct passages p = {0};
    assert_true(passages_cut(d, &p, NULL));
    check_invariants(d, &p);
    return p;
}

/* A text of `count` copies of a piece. */
static char *repeat(const char *piece, size_t count) {
    size_t n = strlen(piece);
    char *text = malloc(n * count + 1);
    for (size_t i = 0; i < count; i++) {
        memcpy(text + i * n, piece, n);
    }
    text[n * count] = '\0';
    return text;
}

struct shape {
    const char *what, *name, *piece;
    size_t count;
    size_t fewest, most; /* passages expected */
};

static const struct shape shapes[] = {
    {"nothing", "a.txt", "", 0, 0, 0},
    {"one letter", "a.txt", "a", 1, 1, 1},
    {"blank lines only", "a.txt", "\n", 5000, 1, 20},
    {"no border at all", "a.txt", "a", 20000, 19, 25},
    {"wide characters without border", "a.txt", "\xE2\x82\xAC", 6000, 17, 25},
    {"four-byte characters", "a.txt", "\xF0\x9F\x90\xB3", 3000, 11, 16},
    {"words", "a.txt", "word ", 4000, 19, 40},
    {"sentences", "a.txt", "This is a sentence of some length, is it not. ", 400, 18, 35},
    {"lines", "a.txt", "a line of words\n", 1000, 15, 30},
    {"paragraphs", "a.txt",
     "A paragraph of two sentences. It has this one as its second, not long.\n\n", 200, 14, 30},
    {"code", "a.c", "int f(int x) {\n    int y = x;\n\n    return y + 1;\n}\n\n", 200, 11, 25},
    {"tabs", "a.txt", "\t", 3000, 1, 5},
    {"headings only", "a.md", "# Title\n", 500, 4, 20},
};

static void shapes_are_covered(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct shape *s = &shapes[i];
        char *text = repeat(s->piece, s->count);
        struct document d = document_of(s->name, text, strlen(text));
        struct passages p = cut(&d);
        if (p.count < s->fewest || p.count > s->most) {
            fail_msg("%s: %zu passages, expected %zu to %zu", s->what, p.count, s->fewest, s->most);
        }
        passages_finish(&p);
        document_finish(&d);
        free(text);
    }
}

static void headings_start_passages(void **state) {
    (void)state;
    struct bytes text = {0};
    for (int i = 0; i < 20; i++) {
        char heading[64];
        int n = snprintf(heading, sizeof heading, "## Part %d\n\n", i);
        bytes_put(&text, heading, (size_t)n);
        for (int j = 0; j < 8; j++) {
            bytes_put(&text, "Some words that fill the part up to a passage.\n", 47);
        }
        bytes_put(&text, "\n", 1);
    }
    struct document d = document_of("a.md", (char *)text.data, text.size);
    assert_int_equal(d.section_count, 20);
    struct passages p = cut(&d);
    assert_int_equal(p.count, 20);
    for (size_t i = 0; i < p.count; i++) {
        assert_int_equal(p.items[i].section, i);
        assert_int_equal(p.items[i].begin, d.sections[i].begin);
    }
    passages_finish(&p);
    document_finish(&d);
    bytes_finish(&text);
}

/* Functions of some 300 bytes: no passage begins inside one. */
static void functions_stay_whole(void **state) {
    (void)state;
    static const char function[] = "static int count(const char *text) {\n"
                                   "    int n = 0;\n"
                                   "\n"
                                   "    for (const char *at = text; *at; at++) {\n"
                                   "        n += *at == 'x';\n"
                                   "    }\n"
                                   "\n"
                                   "    if (n > 100) {\n"
                                   "        return 100;\n"
                                   "    }\n"
                                   "    return n;\n"
                                   "}\n"
                                   "\n";
    char *text = repeat(function, 30);
    struct document d = document_of("a.c", text, strlen(text));
    struct passages p = cut(&d);
    for (size_t i = 0; i < p.count; i++) {
        assert_memory_equal(d.text + p.items[i].begin, "static", 6);
    }
    passages_finish(&p);
    document_finish(&d);
    free(text);
}

static void sentences_are_not_torn(void **state) {
    (void)state;
    char *text = repeat("The whale was white and it swam on through the night. ", 300);
    struct document d = document_of("a.txt", text, strlen(text));
    struct passages p = cut(&d);
    for (size_t i = 0; i < p.count; i++) {
        assert_memory_equal(d.text + p.items[i].begin, "The whale", 9);
    }
    passages_finish(&p);
    document_finish(&d);
    free(text);
}

static void pages_are_kept_apart(void **state) {
    (void)state;
    char *text = repeat("Words on a page of a paper document. ", 300);
    struct document d = document_of("a.txt", text, strlen(text));
    d.kind = DOCUMENT_PDF;
    for (size_t at = 0; at < d.size; at += 1234) {
        assert_true(document_add_page(&d, at));
    }
    struct passages p = cut(&d);
    assert_int_equal(p.items[p.count - 1].page, d.page_count);
    passages_finish(&p);
    document_finish(&d);
    free(text);
}

static uint32_t next_random(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void random_texts_are_covered(void **state) {
    (void)state;
    static const char *const pieces[] = {
        "word", " ",  "\n",       "\n\n", ". ",    "}\n",         "    ",
        "# ",   "\t", "\xC3\xA9", "x_y",  "===\n", "CHAPTER I\n", "\xF0\x9F\x90\xB3",
        "12",   "\f"};
    static const char *const names[] = {"a.txt", "a.md", "a.c"};
    uint32_t seed = 2463534242u;
    for (int turn = 0; turn < 300; turn++) {
        struct bytes text = {0};
        size_t count = next_random(&seed) % 3000;
        for (size_t i = 0; i < count; i++) {
            const char *piece = pieces[next_random(&seed) % (sizeof pieces / sizeof *pieces)];
            bytes_put(&text, piece, strlen(piece));
        }
        struct document d = document_of(names[turn % 3], (char *)text.data, text.size);
        struct passages p = cut(&d);
        passages_finish(&p);
        document_finish(&d);
        bytes_finish(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_covered),   cmocka_unit_test(headings_start_passages),
        cmocka_unit_test(functions_stay_whole), cmocka_unit_test(sentences_are_not_torn),
        cmocka_unit_test(pages_are_kept_apart), cmocka_unit_test(random_texts_are_covered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
