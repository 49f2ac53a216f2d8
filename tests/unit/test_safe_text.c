/* SPDX-License-Identifier: Apache-2.0
 *
 * The filter before the terminal: what each kind of byte becomes, that cutting a stream anywhere
 * changes nothing, and that no input at all gets a control character through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "app/safe_text.h"

#define FFFD "\xEF\xBF\xBD"

struct row {
    const char *in, *prose, *name;
};

static const struct row rows[] = {
    {"plain text", "plain text", "plain text"},
    {"two\nlines\tand a tab", "two\nlines\tand a tab", "two^Jlines^Iand a tab"},
    {"carriage\rreturn", "carriage^Mreturn", "carriage^Mreturn"},
    /* Escape sequences: colour, title, clipboard, link, device control, paste end. */
    {"\x1b[31mred\x1b[0m", "^[[31mred^[[0m", "^[[31mred^[[0m"},
    {"\x1b]0;title\x07", "^[]0;title^G", "^[]0;title^G"},
    {"\x1b]52;c;cm0gLXJm\x1b\\", "^[]52;c;cm0gLXJm^[\\", "^[]52;c;cm0gLXJm^[\\"},
    {"\x1b]8;;http://a\x1b\\b", "^[]8;;http://a^[\\b", "^[]8;;http://a^[\\b"},
    {"\x1bP$qm\x1b\\", "^[P$qm^[\\", "^[P$qm^[\\"},
    {"\x1b[201~rm", "^[[201~rm", "^[[201~rm"},
    {"del\x7f", "del^?", "del^?"},
    /* C1 as characters and as raw bytes. */
    {"\xC2\x9B"
     "31m",
     "\\u{9B}31m", "\\u{9B}31m"},
    {"\x9B"
     "31m",
     FFFD "31m", FFFD "31m"},
    /* Good characters of two, three and four bytes. */
    {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\xB3", "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\xB3",
     "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\xB3"},
    /* Invalid: lone continuation, overlong, surrogate, above U+10FFFF, cut short, cut by ASCII. */
    {"\x80", FFFD, FFFD},
    {"\xC0\xAF", FFFD FFFD, FFFD FFFD},
    {"\xE0\x80\xAF", FFFD FFFD FFFD, FFFD FFFD FFFD},
    {"\xED\xA0\x80", FFFD FFFD FFFD, FFFD FFFD FFFD},
    {"\xF4\x90\x80\x80", FFFD FFFD FFFD FFFD, FFFD FFFD FFFD FFFD},
    {"\xF5", FFFD, FFFD},
    {"\xE2\x82", FFFD, FFFD},
    {"\xE2\x82"
     "a",
     FFFD "a", FFFD "a"},
    {"\xE2\xC3\xA9", FFFD "\xC3\xA9", FFFD "\xC3\xA9"},
    /* Right-to-left override and isolates; the line separator; a tag character; a noncharacter. */
    {"a\xE2\x80\xAE"
     "b",
     "a\\u{202E}b", "a\\u{202E}b"},
    {"\xE2\x81\xA6", "\\u{2066}", "\\u{2066}"},
    {"\xE2\x80\xA8", "\\u{2028}", "\\u{2028}"},
    {"\xF3\xA0\x81\x81", "\\u{E0041}", "\\u{E0041}"},
    {"\xEF\xBF\xBF", "\\u{FFFF}", "\\u{FFFF}"},
    /* Joiners are part of words in prose, but hide in names; a byte order mark hides in both. */
    {"a\xE2\x80\x8D"
     "b",
     "a\xE2\x80\x8D"
     "b",
     "a\\u{200D}b"},
    {"a\xE2\x80\x8B"
     "b",
     "a\xE2\x80\x8B"
     "b",
     "a\\u{200B}b"},
    {"\xEF\xBB\xBF", "\\u{FEFF}", "\\u{FEFF}"},
    /* Right-to-left text itself is text. */
    {"\xD7\xA9\xD7\x9C", "\xD7\xA9\xD7\x9C", "\xD7\xA9\xD7\x9C"},
};

static void filter(enum safe_text_kind kind, const char *in, size_t size, size_t step,
                   struct bytes *out) {
    struct safe_text s = {.kind = kind};
    for (size_t i = 0; i < size; i += step) {
        safe_text_put(&s, in + i, size - i < step ? size - i : step, out);
    }
    safe_text_end(&s, out);
}

static void table(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t size = strlen(rows[i].in);
        char *prose = safe_text_of(rows[i].in, size, SAFE_PROSE);
        char *name = safe_text_of(rows[i].in, size, SAFE_NAME);
        assert_string_equal(prose, rows[i].prose);
        assert_string_equal(name, rows[i].name);
        free(prose);
        free(name);
    }
    char *nul = safe_text_of("a\0b", 3, SAFE_PROSE);
    assert_string_equal(nul, "a^@b");
    free(nul);
}

static void cut_anywhere(void **state) {
    (void)state;
    struct bytes all = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bytes_put(&all, rows[i].in, strlen(rows[i].in));
        bytes_put(&all, " ", 1);
    }
    for (int kind = SAFE_PROSE; kind <= SAFE_NAME; kind++) {
        struct bytes whole = {0};
        filter(kind, (char *)all.data, all.size, all.size, &whole);
        for (size_t step = 1; step < 8; step++) {
            struct bytes parts = {0};
            filter(kind, (char *)all.data, all.size, step, &parts);
            assert_int_equal(parts.size, whole.size);
            assert_memory_equal(parts.data, whole.data, whole.size);
            bytes_finish(&parts);
        }
        bytes_finish(&whole);
    }
    bytes_finish(&all);
}

static void towers_of_marks_are_cut(void **state) {
    (void)state;
    struct bytes in = {0}, out = {0};
    bytes_put(&in, "Z", 1);
    for (int i = 0; i < 1000; i++) {
        bytes_put(&in, "\xCC\x81", 2); /* combining acute */
    }
    bytes_put(&in, "a\xCC\x81", 3);
    filter(SAFE_PROSE, (char *)in.data, in.size, 7, &out);
    assert_int_equal(out.size, 1 + 8 * 2 + 3 + 3);
    assert_memory_equal(out.data + 1 + 8 * 2, FFFD "a\xCC\x81", 6);
    bytes_finish(&in);
    bytes_finish(&out);
}

static uint32_t next_random(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Random strings of the bytes that matter: only printable characters, \n and \t come out. */
static void nothing_gets_through(void **state) {
    (void)state;
    static const unsigned char pool[] = "\x1b\x9b\x9d\x90\xc2\xe2\x80\xae\xf0\x9f\xef\xbb\xbf\r\n\t"
                                        "\x07\x7f\x00[]0;m\\aZ\xcc\x81\xed\xa0\xf3\xa0\x81";
    uint32_t seed = 88172645;
    for (int turn = 0; turn < 200000; turn++) {
        char in[12];
        size_t size = next_random(&seed) % sizeof in;
        for (size_t i = 0; i < size; i++) {
            uint32_t r = next_random(&seed);
            in[i] = (char)(r & 1024 ? pool[r % (sizeof pool - 1)] : r >> 16);
        }
        struct bytes out = {0};
        filter(turn & 1 ? SAFE_NAME : SAFE_PROSE, in, size, 1 + turn % 3, &out);
        for (size_t i = 0; i < out.size;) {
            utf8proc_int32_t c;
            utf8proc_ssize_t n =
                utf8proc_iterate(out.data + i, (utf8proc_ssize_t)(out.size - i), &c);
            assert_true(n > 0);
            assert_true(c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7F) || c >= 0xA0);
            assert_false(c >= 0x202A && c <= 0x202E);
            i += (size_t)n;
        }
        bytes_finish(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(towers_of_marks_are_cut),
        cmocka_unit_test(nothing_gets_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
