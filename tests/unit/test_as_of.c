/* SPDX-License-Identifier: Apache-2.0
 *
 * app/as_of.h: what a person types against the states there are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/as_of.h"

static void resolution(void **state) {
    (void)state;
    struct store_snapshot rows[] = {
        {.position = 100, .mark = {"a.md: Chapter 1", 15}},  {.position = 250},
        {.position = 400, .mark = {"a.md: Chapter 10", 16}}, {.position = 500, .mark = {"a.md", 4}},
        {.position = 800, .mark = {"b\xff.md", 5}},          {.position = 900, .mark = {"100%", 4}},
        {.position = 1000, .mark = {"B\xff.MD", 5}},
    };
    const struct store_snapshots all = {rows, sizeof rows / sizeof *rows};
    static const struct {
        const char *text;
        int64_t position; /* -1: none */
        const char *message;
    } cases[] = {
        {"a.md", 500, NULL},
        {"A.MD", 500, NULL},
        {"a.md: Chapter 10", 400, NULL},
        {"chapter 1", 100, NULL}, /* a whole title before a part of one */
        {"hapter 10", 400, NULL},
        {"chapter", -1, "may mean several saved states: 'a.md: Chapter 1', 'a.md: Chapter 10'"},
        {"b\xff.md", 800, NULL}, /* exactly before in either case */
        {"B\xff.Md", -1, "may mean several"},
        {"c.md", -1, "there are: 'a.md: Chapter 1', 'a.md: Chapter 10', 'a.md'"},
        {"", -1, "no saved state"},
        {"10%", 100, NULL},
        {"9.99 %", -1, "at or before 9.99 %; the first is at 10 %"},
        {"25 %", 250, NULL},
        {"50%", 500, NULL},
        {"79   %", 500, NULL},
        {"100 %", 1000, NULL},
        {"100%", 900, NULL}, /* a mark of that name */
        {"101 %", -1, "no saved state of the memory is marked '101 %'"},
        {"50 % of it", -1, "marked '50 % of it'"},
        {"-5 %", -1, "marked"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {0};
        size_t index = 99;
        bool ok = as_of_find(&all, 1000, cases[i].text, &index, &error);
        if (ok != (cases[i].position >= 0)) {
            fail_msg("'%s': %s", cases[i].text, ok ? "found" : error.text);
        }
        if (ok) {
            assert_int_equal(rows[index].position, cases[i].position);
        } else {
            assert_int_equal(error.code, ERROR_NOT_FOUND);
            if (!strstr(error.text, cases[i].message)) {
                fail_msg("'%s': \"%s\" lacks \"%s\"", cases[i].text, error.text, cases[i].message);
            }
        }
    }
}

static void without_states(void **state) {
    (void)state;
    const struct store_snapshots none = {0};
    static const char *const texts[] = {"a", "50 %", ""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct error error = {0};
        size_t index;
        assert_false(as_of_find(&none, 0, texts[i], &index, &error));
        assert_int_equal(error.code, ERROR_NOT_FOUND);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolution),
        cmocka_unit_test(without_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
