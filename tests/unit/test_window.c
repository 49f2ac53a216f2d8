/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/window: where a token is, at every position, for many shapes; against tokens that are
 * counted one by one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/window.h"

static struct window_shape shape_of(uint32_t window, uint32_t chunk, uint32_t sinks,
                                    uint32_t keep) {
    return (struct window_shape){.layers = 2,
                                 .heads = 4,
                                 .kv_heads = 2,
                                 .head_dim = 16,
                                 .window = window,
                                 .chunk = chunk,
                                 .sinks = sinks,
                                 .keep = keep,
                                 .clip = 100,
                                 .memory_width = 32};
}

static const struct {
    uint32_t window, chunk, sinks, keep;
} shapes[] = {
    {64, 64, 4, 0},   {128, 64, 4, 100}, {16, 16, 0, 0}, {16, 16, 16, 0}, {16, 16, 16, 40},
    {48, 16, 4, 1},   {48, 16, 0, 5},    {1, 1, 1, 1},   {1, 1, 0, 0},    {5, 1, 1, 3},
    {12, 4, 3, 1000}, {4, 4, 4, 4},      {7, 7, 2, 6},   {6, 3, 0, 3},
};

/* Moves every token by hand and compares the counts at every position. */
static void counts_add_up_at_every_position(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct window_shape s =
            shape_of(shapes[i].window, shapes[i].chunk, shapes[i].sinks, shapes[i].keep);
        s.merge = (uint32_t)(i % 3 * 21); /* 0, 21 or 42 */
        assert_true(window_check(&s, NULL));
        uint64_t ring = 0, sinks = 0, kept = 0, written = 0, merged = 0;
        for (uint64_t p = 0; p < 700; p++) {
            bool leaves = p % s.chunk == 0 && ring == s.window + s.chunk;
            for (uint32_t j = 0; leaves && j < s.chunk; j++) {
                ring--;
                if (sinks < s.sinks) {
                    sinks++;
                } else if (kept < s.keep) {
                    kept++;
                } else {
                    written++;
                    merged += s.merge > 0;
                    merged -= merged > s.merge ? (s.merge + 1) / 2 : 0;
                }
            }
            uint64_t t = p - p % s.chunk;
            if (p % s.chunk == 0) {
                assert_int_equal(window_leaves(&s, p), leaves);
            } else {
                assert_false(window_leaves(&s, p));
            }
            assert_int_equal(window_sinks_at(&s, t), sinks);
            assert_int_equal(window_kept_at(&s, t), kept);
            assert_int_equal(window_written_at(&s, t), written);
            assert_int_equal(ring + sinks + kept + written, p);
            ring++;
            assert_true(ring <= window_ring(&s));
            /* A prefix of the slots holds all that p sees; in a full ring also the hidden slots of
             * p's chunk. */
            uint64_t hidden = t >= window_ring(&s) ? t + s.chunk - p - 1 : 0;
            assert_int_equal(window_merged_at(&s, t), merged);
            assert_int_equal(window_visible(&s, p), ring + sinks + kept + merged + hidden);
            assert_true(window_visible(&s, p) <= window_slots(&s));
        }
    }
}

static void layers_have_their_share(void **state) {
    (void)state;
    static const struct {
        uint32_t mean;
        float share;
        uint32_t kept, merged;
    } cases[] = {{0, 1, 0, 0},
                 {1024, 1, 1024, 1024},
                 {1024, 0, 0, 1},
                 {1024, 0.25f, 256, 256},
                 {3, 0.5f, 2, 2},
                 {1, 0.49f, 0, 1},
                 {1024, 1.8765f, 1922, 1922},
                 {1 << 20, 2, 1 << 21, WINDOW_MAX_MERGE},
                 {100, 1.3f, 130, 130}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct window_shape mean = shape_of(128, 64, 4, cases[i].mean);
        mean.merge = cases[i].mean;
        struct window_shape layer = window_of_layer(&mean, cases[i].share);
        assert_int_equal(layer.keep, cases[i].kept);
        assert_int_equal(layer.merge, cases[i].merged);
        layer.keep = layer.merge = mean.merge;
        assert_memory_equal(&layer, &mean, sizeof mean); /* nothing else differs */
    }
}

static void numbers_far_out_still_add_up(void **state) {
    (void)state;
    struct window_shape s = shape_of(2048, 64, 4, 512);
    const uint64_t positions[] = {1000000, 4294967296u, (uint64_t)1 << 52};
    for (size_t i = 0; i < 3; i++) {
        uint64_t t = positions[i] - positions[i] % 64;
        assert_true(window_leaves(&s, t));
        assert_int_equal(window_written_at(&s, t), t - 2048 - 4 - 512);
        assert_int_equal(window_visible(&s, t), 2048 + 64 + 4 + 512);
    }
}

static void parts_of_the_state_do_not_overlap(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        for (uint32_t f = 0; f <= 32; f += 32) {
            struct window_shape s =
                shape_of(shapes[i].window, shapes[i].chunk, shapes[i].sinks, shapes[i].keep);
            s.memory_width = f;
            s.merge = f / 2;
            struct window_layout l = window_layout(&s);
            const size_t M = s.kv_heads, e = s.head_dim, slots = window_slots(&s);
            assert_int_equal(slots, s.window + s.chunk + s.sinks + s.keep + s.merge);
            const struct {
                size_t at, bytes;
            } parts[] = {
                {l.keys, M * slots * e * 2},
                {l.values, M * slots * e * 2},
                {l.far_keys, M * (s.sinks + s.keep) * e * 2},
                {l.scores, M * slots * 4},
                {l.rates, M * slots * 8},
                {l.kept_at, M * s.keep * 4},
                {l.merged, M * s.merge * 2 * e * 4},
                {l.counts, M * s.merge * 4},
                {l.weights, M * s.merge * 4},
                {l.fast, M * f * e * 4},
                {l.evidence, f ? M * 2 * e * 4 : 0},
                {l.bytes, 0},
            };
            for (size_t j = 0; j + 1 < sizeof parts / sizeof *parts; j++) {
                assert_int_equal(parts[j].at % 64, 0);
                assert_true(parts[j].at + parts[j].bytes <= parts[j + 1].at);
                assert_true(parts[j + 1].at < parts[j].at + parts[j].bytes + 64);
            }
        }
    }
}

static void shapes_without_sense_are_refused(void **state) {
    (void)state;
    static const struct {
        uint32_t window, chunk, sinks, keep;
        const char *words; /* NULL: fine */
    } cases[] = {
        {64, 64, 4, 0, NULL},
        {64, 64, 64, 1 << 20, NULL},
        {1 << 24, 64, 4, 0, NULL},
        {1, 1, 0, 0, NULL},
        {64, 0, 0, 0, "write chunk is 0"},
        {192, 192, 4, 0, NULL},
        {193, 193, 4, 0, "write chunk is 193"},
        {UINT32_MAX, UINT32_MAX, 4, 0, "write chunk is 4294967295"},
        {0, 64, 4, 0, "window is 0"},
        {100, 64, 4, 0, "window is 100"},
        {32, 64, 4, 0, "window is 32"},
        {(1 << 24) + 64, 64, 4, 0, "window is 16777280"},
        {UINT32_MAX - 63, 64, 4, 0, "window is 4294967232"},
        {64, 64, 65, 0, "65 sinks"},
        {64, 64, UINT32_MAX, 0, "4294967295 sinks"},
        {64, 64, 4, (1 << 20) + 1, "1048577 kept"},
        {64, 64, 4, UINT32_MAX, "4294967295 kept"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct window_shape s =
            shape_of(cases[i].window, cases[i].chunk, cases[i].sinks, cases[i].keep);
        struct error error = {0};
        assert_int_equal(window_check(&s, &error), cases[i].words == NULL);
        if (cases[i].words) {
            assert_int_equal(error.code, ERROR_USAGE);
            assert_non_null(strstr(error.text, cases[i].words));
            assert_non_null(strstr(error.text, "expected"));
        }
    }
}

static void rates_stay_within_their_limits(void **state) {
    (void)state;
    static const struct {
        float raw, step, decay;
    } cases[] = {
        {-1000, 0, 0},
        {-5, 0.00671535f, 0.00669285f},
        {0, 0.6931472f, 0.5f},
        {3, 3.0485874f, 0.9525741f},
        {15.9f, 15.9000001f, 0.9999999f},
        {16, 16, 1},
        {80, 16, 1},
        {3e38f, 16, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_float_equal(window_step(cases[i].raw), cases[i].step, 1e-5f);
        assert_float_equal(window_decay(cases[i].raw), cases[i].decay, 1e-6f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_add_up_at_every_position),
        cmocka_unit_test(layers_have_their_share),
        cmocka_unit_test(numbers_far_out_still_add_up),
        cmocka_unit_test(parts_of_the_state_do_not_overlap),
        cmocka_unit_test(rates_stay_within_their_limits),
        cmocka_unit_test(shapes_without_sense_are_refused),
    };
    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
