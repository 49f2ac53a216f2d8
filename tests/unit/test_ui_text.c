/* SPDX-License-Identifier: Apache-2.0
 *
 * Text for the screen: columns, wrapping, Markdown, the input line, names of keys.
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "app/ui/editor.h"
#include "app/ui/keys.h"
#include "app/ui/text.h"

/* Rows as one string: each with its indent as dots, then '|'. */
static void wrapped(const struct styled *s, int width, enum wrap wrap, char *out, size_t size) {
    struct rows rows = {0};
    assert_true(text_wrap(s, width, wrap, &rows));
    size_t n = 0;
    for (size_t i = 0; i < rows.count; i++) {
        const struct row *r = &rows.items[i];
        n += (size_t)snprintf(out + n, size - n, "%.*s%.*s|", r->indent, "................",
                              (int)(r->end - r->begin), (const char *)s->text.data + r->begin);
        assert_in_range(r->indent +
                            text_columns((const char *)s->text.data + r->begin, r->end - r->begin),
                        0, width);
    }
    rows_finish(&rows);
}

static void test_wrap(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int width;
        enum wrap wrap;
        const char *rows;
    } cases[] = {
        {"one two three", 20, WRAP_WORDS, "one two three|"},
        {"one two three", 8, WRAP_WORDS, "one two|three|"},
        {"one two three", 7, WRAP_WORDS, "one two|three|"},
        {"one two three", 3, WRAP_WORDS, "one|two|thr|ee|"},
        {"incomprehensible", 6, WRAP_WORDS, "incomp|rehens|ible|"},
        {"a\n\nb", 6, WRAP_WORDS, "a||b|"},
        {"", 6, WRAP_WORDS, "|"},
        {"- one two three", 9, WRAP_WORDS, "- one two|..three|"},
        {"12. one two three", 9, WRAP_WORDS, "12. one|....two|....three|"},
        {"[1] one two", 9, WRAP_WORDS, "[1] one|....two|"},
        {"\xE2\x80\xA2 one two", 6, WRAP_WORDS, "\xE2\x80\xA2 one|..two|"},
        {"  one two", 6, WRAP_WORDS, "  one|..two|"},
        {"a word", 2, WRAP_WORDS, "a|wo|rd|"},
        /* wide characters end a row anywhere, and are never cut */
        {"\xE4\xB8\x96\xE7\x95\x8C\xE4\xB8\x96\xE7\x95\x8C", 5, WRAP_WORDS,
         "\xE4\xB8\x96\xE7\x95\x8C|\xE4\xB8\x96\xE7\x95\x8C|"},
        {"a \xE4\xB8\x96", 3, WRAP_WORDS, "a|\xE4\xB8\x96|"},
        /* every byte has a place */
        {"one two", 4, WRAP_ANYWHERE, "one |two|"},
        {"ab\ncd", 4, WRAP_ANYWHERE, "ab|cd|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct styled s = {0};
        char out[200];
        styled_puts(&s, cases[i].text, STYLE_PLAIN);
        wrapped(&s, cases[i].width, cases[i].wrap, out, sizeof out);
        assert_string_equal(out, cases[i].rows);
        styled_finish(&s);
    }
}

static void test_characters(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t first; /* bytes of the first visible character */
        int columns;  /* of all */
    } cases[] = {
        {"ab", 1, 2},
        {"e\xCC\x81x", 3, 2},
        {"\xE4\xB8\x96x", 3, 3},
        {"\xF0\x9F\x98\x80", 4, 2},
        {"\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9", 11, 4},
        {"\xFFz", 1, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *t = cases[i].text;
        int columns;
        assert_int_equal(text_next(t, strlen(t), 0, &columns), cases[i].first);
        assert_int_equal(text_columns(t, strlen(t)), cases[i].columns);
        assert_int_equal(text_previous(t, cases[i].first), 0);
    }
}

static void test_short_names(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int most;
        const char *brief;
    } cases[] = {
        {"", 0, ""},
        {"book.txt", 8, "book.txt"},
        {"lighthouse.txt", 13, "lig...use.txt"},
        {"lighthouse.txt", 6, "l...xt"},
        {"lighthouse.txt", 3, "..."},
        /* neither a wide character nor one with a mark is divided */
        {"\xE7\x81\xAF\xE5\x8F\xB0\xE5\xAE\x88\xE3\x81\x8C", 8,
         "\xE7\x81\xAF\xE5\x8F\xB0\xE5\xAE\x88"
         "\xE3\x81\x8C"},
        {"\xE7\x81\xAF\xE5\x8F\xB0\xE5\xAE\x88\xE3\x81\x8C", 7, "...\xE5\xAE\x88\xE3\x81\x8C"},
        {"\xE7\x81\xAF\xE5\x8F\xB0\xE5\xAE\x88\xE3\x81\x8C", 6, "...\xE3\x81\x8C"},
        {"abcde\xCC\x81"
         "f",
         5,
         "...e\xCC\x81"
         "f"},
        {"abcdefe\xCC\x81", 4, "...e\xCC\x81"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *brief = text_short_name(cases[i].name, cases[i].most);
        assert_string_equal(brief, cases[i].brief);
        assert_true(text_columns(brief, strlen(brief)) <= cases[i].most);
        free(brief);
    }
}

static void test_tabs_and_filter(void **state) {
    (void)state;
    struct styled s = {0};
    styled_put_safe(&s, "a\tb\x1B[31m\n\tc", 11, SAFE_PROSE, STYLE_BOLD);
    assert_int_equal(s.text.size, s.styles.size);
    assert_memory_equal(s.text.data, "a   b^[[31m\n    c", s.text.size);
    styled_finish(&s);
}

static void test_markdown(void **state) {
    (void)state;
    static const struct {
        const char *markdown, *text;
    } cases[] = {
        {"plain", "plain"},
        {"# Title\ntext", "Title\n\ntext"},
        {"one\ntwo\n\nthree", "one\ntwo\n\nthree"},
        {"a\n\n- one\n- two\n\nb", "a\n\n\xE2\x80\xA2 one\n\xE2\x80\xA2 two\n\nb"},
        {"3. one\n4. two", "3. one\n4. two"},
        {"- a\n  - b", "\xE2\x80\xA2 a\n  \xE2\x80\xA2 b"},
        {"**bold** and *em*", "bold and em"},
        {"```\nx = 1\n  y\n```", "    x = 1\n      y"},
        {"> said", "> said"},
        {"[text](http://h/x)", "text (http://h/x)"},
        {"a &lt; b &#27; c", "a < b &#27; c"},
        {"<b>raw</b>", "<b>raw</b>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct styled s = {0};
        styled_put_markdown(&s, cases[i].markdown, strlen(cases[i].markdown));
        bytes_put_u8(&s.text, 0);
        assert_string_equal((const char *)s.text.data, cases[i].text);
        styled_finish(&s);
    }
    struct styled s = {0};
    styled_put_markdown(&s, "a **b** c", 9);
    assert_int_equal(s.styles.data[0], STYLE_PLAIN);
    assert_int_equal(s.styles.data[2], STYLE_BOLD);
    assert_int_equal(s.styles.data[4], STYLE_PLAIN);
    styled_finish(&s);
}

static void test_search(void **state) {
    (void)state;
    assert_int_equal(text_search("One two ONE", 11, 0, "one"), 0);
    assert_int_equal(text_search("One two ONE", 11, 1, "one"), 8);
    assert_true(text_search("One two", 7, 0, "three") == TEXT_NOWHERE);
    assert_true(text_search("On", 2, 0, "One") == TEXT_NOWHERE);
    assert_true(text_search("One", 3, 0, "") == TEXT_NOWHERE);
}

static void test_editor(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum action actions[8];
        const char *after;
        size_t at;
    } cases[] = {
        {"abc", {ACTION_LEFT, ACTION_ERASE}, "ac", 1},
        {"abc", {ACTION_LINE_START, ACTION_DELETE}, "bc", 0},
        {"one two", {ACTION_ERASE_WORD, ACTION_LINE_START, ACTION_YANK}, "twoone ", 3},
        {"a/b c/d", {ACTION_ERASE_WORD}, "a/b ", 4},
        {"one two", {ACTION_WORD_LEFT, ACTION_KILL_START}, "two", 0},
        {"one two", {ACTION_LINE_START, ACTION_WORD_RIGHT, ACTION_KILL_END}, "one", 3},
        {"one two", {ACTION_LINE_START, ACTION_DELETE_WORD}, " two", 0},
        {"e\xCC\x81", {ACTION_ERASE}, "", 0},
        {"x\xE4\xB8\x96", {ACTION_LEFT}, "x\xE4\xB8\x96", 1},
        {"", {ACTION_ERASE, ACTION_DELETE, ACTION_LEFT, ACTION_RIGHT, ACTION_ERASE_WORD}, "", 0},
        {"ab\ncd", {ACTION_HISTORY_BACK}, "ab\ncd", 2},
        {"ab\nc", {ACTION_LINE_START, ACTION_ERASE}, "abc", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct editor e = {0};
        editor_set(&e, cases[i].text);
        for (size_t j = 0; j < 8 && cases[i].actions[j]; j++) {
            assert_true(editor_act(&e, cases[i].actions[j]));
        }
        assert_string_equal(editor_text(&e), cases[i].after);
        assert_int_equal(e.at, cases[i].at);
        editor_finish(&e);
    }
}

static void test_history(void **state) {
    (void)state;
    struct editor e = {0};
    editor_remember(&e, "one");
    editor_remember(&e, "two");
    editor_remember(&e, "two");
    editor_remember(&e, "");
    editor_set(&e, "draft");
    editor_act(&e, ACTION_HISTORY_BACK);
    assert_string_equal(editor_text(&e), "two");
    editor_act(&e, ACTION_HISTORY_BACK);
    editor_act(&e, ACTION_HISTORY_BACK);
    assert_string_equal(editor_text(&e), "one");
    editor_act(&e, ACTION_HISTORY_ON);
    editor_act(&e, ACTION_HISTORY_ON);
    editor_act(&e, ACTION_HISTORY_ON);
    assert_string_equal(editor_text(&e), "draft");
    editor_finish(&e);
}

/* No two actions that can be meant at the same place have the same key. */
static void test_keys_are_distinct(void **state) {
    (void)state;
    static const unsigned places[] = {IN_TYPING,
                                      IN_BROWSING | IN_ASK,
                                      IN_BROWSING | IN_SOURCES,
                                      IN_BROWSING | IN_READER,
                                      IN_BROWSING | IN_SESSIONS,
                                      IN_BROWSING | IN_MODELS,
                                      IN_BROWSING | IN_HELP,
                                      IN_BROWSING | IN_WELCOME};
    struct keys keys;
    keys_init(&keys);
    for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
        for (size_t i = 0; i < key_table_count; i++) {
            for (size_t j = 0; j < KEYS_EACH && key_table[i].contexts & places[p]; j++) {
                if (key_table[i].keys[j]) {
                    assert_int_not_equal(keys.codes[i][j], 0);
                    assert_int_equal(keys_find(&keys, keys.codes[i][j], places[p]),
                                     key_table[i].action);
                }
            }
        }
    }
}

static void test_bind(void **state) {
    (void)state;
    static const struct {
        const char *name, *value, *trouble; /* NULL: it is bound */
    } cases[] = {
        {"send", "F5", NULL},
        {"newline", "M-n C-x", NULL},
        {"quit", "", NULL},
        {"quit", "C-q", "cannot be bound safely"},
        {"quit", "C-b", "cannot be bound safely"},
        {"quit", "C-c", "cannot be bound safely"},
        {"quit", "C-xx", "expected a key"},
        {"quit", "F13", "expected a key"},
        {"quit", "j", "is that of 'down'"},
        {"quit", "x z M-x M-z", "more than"},
        {"jump", "x", "there is no action"},
        {"stop", "x", "there is no action"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct keys keys;
        struct error error = {0};
        keys_init(&keys);
        bool ok = keys_bind(&keys, cases[i].name, cases[i].value, &error);
        assert_int_equal(ok, cases[i].trouble == NULL);
        if (!ok) {
            assert_int_equal(error.code, ERROR_USAGE);
            assert_non_null(strstr(error.text, cases[i].trouble));
        }
    }
    struct keys keys;
    char text[KEY_TEXT];
    keys_init(&keys);
    keys_hint(&keys, ACTION_NEWLINE, IN_TYPING, text);
    assert_string_equal(text, "M-Enter");
}

int main(void) {
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_characters),
        cmocka_unit_test(test_short_names),
        cmocka_unit_test(test_tabs_and_filter),
        cmocka_unit_test(test_markdown),
        cmocka_unit_test(test_search),
        cmocka_unit_test(test_editor),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_keys_are_distinct),
        cmocka_unit_test(test_bind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
