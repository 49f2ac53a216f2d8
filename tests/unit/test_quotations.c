/* SPDX-License-Identifier: Apache-2.0
 *
 * Quotation marks in an answer: kept around words of the passages, dropped around others, whatever
 * the pieces in which the answer comes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "app/quotations.h"

static char first[] = "The keeper said: \"The lamp\nis lit at  dusk.\" Then he left.";
static char second[] = "Il dit \xC2\xAB bonsoir \xC2\xBB et partit.";
static struct retrieved passages[] = {{.text = first}, {.text = second}};
static const struct retrieval retrieval = {.items = passages, .count = 2};

static const struct {
    const char *text, *expected;
} cases[] = {
    {"", ""},
    {"No marks, it's plain.", "No marks, it's plain."},
    {"He said \"The lamp is lit at dusk.\"", "He said \"The lamp is lit at dusk.\""},
    {"He said \"the lamp is lit at dusk.\"", "He said the lamp is lit at dusk."},
    {"\"lit  at\ndusk,\" he said", "\"lit  at\ndusk,\" he said"},
    {"\"lit at dawn\" and \"lit at dusk\"", "lit at dawn and \"lit at dusk\""},
    {"\xE2\x80\x9Clit at dusk\xE2\x80\x9D, \xE2\x80\x9Clit at dawn\xE2\x80\x9D",
     "\xE2\x80\x9Clit at dusk\xE2\x80\x9D, lit at dawn"},
    {"\xC2\xAB"
     "bonsoir\xC2\xBB \xC2\xAB bonjour \xC2\xBB",
     "\xC2\xAB"
     "bonsoir\xC2\xBB  bonjour "},
    {"asked of the \"zeppelin\"", "asked of the \"zeppelin\""}, /* a word of the question */
    {"\"he left. Il dit\"", "he left. Il dit"},                 /* spans two passages */
    {"an empty \"\" one", "an empty \"\" one"},
    {"not ended \"lit at", "not ended lit at"},
    {"\"lit at\n\ndusk\" end", "lit at\n\ndusk\" end"}, /* a blank line is between */
    {"a 5\" pipe, \"at dawn\"", "a 5\" pipe, at dawn"},
    {"`printf(\"at dawn\")` \"at dawn\"", "`printf(\"at dawn\")` at dawn"},
    {"```\nputs(\"at dawn\");\n\nx\n``` \"at dawn\"", "```\nputs(\"at dawn\");\n\nx\n``` at dawn"},
    {"a stray ` here\n\"at dawn\"", "a stray ` here\nat dawn"},
};

static void check(const char *text, size_t piece, const char *expected) {
    struct quotations q = {0};
    struct bytes out = {0};
    size_t size = strlen(text);
    assert_true(quotations_know(&q, &retrieval, "Which zeppelin?", NULL));
    for (size_t at = 0; at < size;) {
        size_t n = piece < size - at ? piece : size - at;
        while (at + n < size && ((unsigned char)text[at + n] & 0xC0) == 0x80) {
            n++; /* whole characters */
        }
        quotations_put(&q, text + at, n, &out);
        at += n;
    }
    quotations_end(&q, &out);
    bytes_put_u8(&out, 0);
    assert_false(out.failed);
    assert_string_equal((const char *)out.data, expected);
    bytes_finish(&out);
    quotations_finish(&q);
}

static void test_marks(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check(cases[i].text, 1000, cases[i].expected);
        check(cases[i].text, 1, cases[i].expected);
        check(cases[i].text, 3, cases[i].expected);
    }
}

static void test_nothing_known(void **state) {
    (void)state;
    const struct retrieval none = {0};
    struct quotations q = {0};
    struct bytes out = {0};
    assert_true(quotations_know(&q, &none, "", NULL));
    quotations_put(&q, "\"x\"", 3, &out);
    quotations_end(&q, &out);
    assert_int_equal(out.size, 1);
    assert_memory_equal(out.data, "x", 1);
    bytes_finish(&out);
    quotations_finish(&q);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_nothing_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
