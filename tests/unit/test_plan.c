/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/plan: what fits, what is refused, and which smaller window is offered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/plan.h"

static const size_t MIB = 1024 * 1024;

/* A state of 1 KiB per slot: keys and values of 2 heads of 32, and 5 numbers per head and slot. */
static struct window_shape shape_of(uint32_t window) {
    return (struct window_shape){.layers = 4,
                                 .heads = 4,
                                 .kv_heads = 2,
                                 .head_dim = 32,
                                 .window = window,
                                 .chunk = 64,
                                 .sinks = 4};
}

static void plans_are_weighed(void **state) {
    (void)state;
    static const struct {
        size_t weights, adapter, activations, working, state; /* all in MiB */
        size_t taken, available;
        bool fits;
    } cases[] = {
        {100, 10, 20, 5, 15, 0, 150, true},   {100, 10, 20, 5, 15, 0, 149, false},
        {100, 10, 20, 5, 15, 0, 1000, true},  {100, 10, 20, 5, 15, 135, 15, true},
        {100, 10, 20, 5, 15, 135, 14, false}, {100, 0, 0, 0, 0, 0, 0, false},
        {0, 0, 0, 0, 0, 0, 0, true},          {10, 0, 0, 0, 5, 100, 0, true},
        {0, 0, 0, 0, 1, 0, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct plan p = {cases[i].weights * MIB, cases[i].adapter * MIB,
                               cases[i].activations * MIB, cases[i].working * MIB,
                               cases[i].state * MIB};
        struct window_shape s = shape_of(64);
        struct error error = {0};
        bool fits = plan_check(&p, cases[i].taken * MIB, cases[i].available * MIB, &s, &error);
        if (fits != cases[i].fits) {
            fail_msg("case %zu: %s", i, error.text);
        }
        assert_int_equal(error.code, fits ? ERROR_NONE : ERROR_NO_SPACE);
        assert_int_equal(plan_check(&p, cases[i].taken * MIB, cases[i].available * MIB, &s, NULL),
                         fits);
    }
    const struct plan p = {1, 1, 1, 1, 1};
    struct window_shape s = shape_of(64);
    assert_true(plan_check(&p, 0, SIZE_MAX, &s, NULL)); /* a system that does not say */
}

static void a_refusal_has_every_number(void **state) {
    (void)state;
    const struct plan p = {100 * MIB, 11 * MIB, 22 * MIB, 3 * MIB, 44 * MIB};
    struct window_shape s = shape_of(64);
    struct error error = {0};
    assert_false(plan_check(&p, 7 * MIB, 99 * MIB, &s, &error));
    assert_string_equal(error.text,
                        "not enough memory: needs 173 MiB more (weights 100, adapter 11, "
                        "activations 22, scratch 3, state of the session 44, in use already 7), "
                        "99 MiB are free");
}

/* The window offered fits, and is the first of the halves that does. */
static void a_smaller_window_is_offered(void **state) {
    (void)state;
    struct window_shape s = shape_of(1 << 16);
    size_t full = window_layout(&s).bytes * s.layers;
    for (size_t percent = 1; percent < 100; percent++) {
        const struct plan p = {.weights = MIB, .state = full};
        size_t available = MIB + full * percent / 100;
        struct error error = {0};
        assert_false(plan_check(&p, 0, available, &s, &error));
        const char *words = strstr(error.text, "--window ");
        unsigned window = 0;
        struct window_shape smaller = s, larger = s;
        if (words) {
            assert_int_equal(sscanf(words, "--window %u would fit", &window), 1);
            assert_int_equal(window % s.chunk, 0);
            smaller.window = window;
            larger.window = window * 2;
            assert_true(window_layout(&smaller).bytes * s.layers <= full * percent / 100);
            assert_true(larger.window == s.window ||
                        window_layout(&larger).bytes * s.layers > full * percent / 100);
        } else {
            smaller.window = s.chunk;
            assert_true(window_layout(&smaller).bytes * s.layers > full * percent / 100);
        }
    }
    const struct plan p = {.weights = 10 * MIB, .state = MIB}; /* the weights alone are too much */
    struct error error = {0};
    assert_false(plan_check(&p, 0, 9 * MIB, &s, &error));
    assert_null(strstr(error.text, "--window"));
}

static void free_memory_is_plausible(void **state) {
    (void)state;
    assert_true(plan_free_memory() > MIB);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_weighed),
        cmocka_unit_test(a_refusal_has_every_number),
        cmocka_unit_test(a_smaller_window_is_offered),
        cmocka_unit_test(free_memory_is_plausible),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
