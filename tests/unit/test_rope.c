/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/rope: frequencies against the formulas of the papers in long double, turns of positions up
 * to a million against turns of complex numbers, and the way back.
 */
#include <complex.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/rope.h"

enum { DIMS = 64 };

static struct rope_config config_of(enum rope_scaling scaling, float factor) {
    return (struct rope_config){.dims = DIMS,
                                .base = 10000,
                                .scaling = scaling,
                                .factor = factor,
                                .original_context = 4096,
                                .yarn_beta_fast = 32,
                                .yarn_beta_slow = 1,
                                .yarn_attn_factor = 1};
}

/* The frequency of pair i, from the definitions: a wavelength that fits beta_fast times or more
 * into the original context is kept, one that fits beta_slow times or fewer is stretched by the
 * factor, with a ramp over the pairs between. */
static long double expected_frequency(const struct rope_config *c, int i) {
    long double f = powl(c->base, -2.0L * i / c->dims);
    if (c->scaling == ROPE_LINEAR) {
        return f / c->factor;
    }
    if (c->scaling == ROPE_PLAIN) {
        return f;
    }
    long double corner[2];
    const float rotations[2] = {c->yarn_beta_fast, c->yarn_beta_slow};
    for (int j = 0; j < 2; j++) { /* the real-valued pair that turns so often */
        long double wavelength = c->original_context / (long double)rotations[j];
        corner[j] = c->dims / 2.0L * logl(wavelength / (2 * acosl(-1))) / logl(c->base);
    }
    long double low = floorl(corner[0]), high = ceill(corner[1]);
    low = low < 0 ? 0 : low;
    high = high > c->dims - 1 ? c->dims - 1 : high;
    long double stretched = (i - low) / (high - low);
    stretched = stretched < 0 ? 0 : stretched > 1 ? 1 : stretched;
    return (1 - stretched) * f + stretched * f / c->factor;
}

static void frequencies_follow_the_formulas(void **state) {
    (void)state;
    struct rope_config cases[] = {
        config_of(ROPE_PLAIN, 1), config_of(ROPE_LINEAR, 4), config_of(ROPE_LINEAR, 1.5f),
        config_of(ROPE_YARN, 4),  config_of(ROPE_YARN, 40),  config_of(ROPE_YARN, 8),
        config_of(ROPE_PLAIN, 1), config_of(ROPE_YARN, 16),
    };
    cases[5].yarn_beta_fast = 16;
    cases[5].yarn_beta_slow = 2;
    cases[5].yarn_attn_factor = 1.25f;
    cases[5].original_context = 32768;
    cases[6].base = 1000000;
    cases[7].original_context = 64; /* the low corner is below the first pair */
    for (size_t n = 0; n < sizeof cases / sizeof *cases; n++) {
        struct rope r;
        assert_true(rope_init(&r, &cases[n], NULL));
        assert_int_equal(r.dims, DIMS);
        for (int i = 0; i < DIMS / 2; i++) {
            long double expected = expected_frequency(&cases[n], i);
            if (fabsl(r.frequency[i] - expected) > 1e-12L * expected) {
                fail_msg("case %zu, pair %d: %.15g, expected %.15Lg", n, i, r.frequency[i],
                         expected);
            }
        }
        float magnitude = cases[n].scaling == ROPE_YARN
                              ? cases[n].yarn_attn_factor * (0.1f * logf(cases[n].factor) + 1)
                              : 1;
        assert_true(fabsf(r.magnitude - magnitude) < 1e-6f);
        rope_finish(&r);
    }
}

/* Known values, so that the formula above is not its own witness: frequencies of YaRN with factor
 * 4, beta 32 and 1, context 4096, base 10000, 64 dimensions, at the kept end, in the ramp (pairs 10
 * to 23) and at the stretched end. */
static void yarn_has_known_values(void **state) {
    (void)state;
    const struct rope_config c = config_of(ROPE_YARN, 4);
    struct rope r;
    assert_true(rope_init(&r, &c, NULL));
    assert_true(r.frequency[0] == 1);
    assert_true(fabs(r.frequency[10] - pow(10000, -20.0 / 64)) < 1e-12);
    double middle = pow(10000, -32.0 / 64); /* pair 16: 6 of 13 steps up the ramp */
    assert_true(fabs(r.frequency[16] - middle * (7.0 / 13 + 6.0 / 13 / 4)) < 1e-12);
    assert_true(fabs(r.frequency[23] - pow(10000, -46.0 / 64) / 4) < 1e-12);
    assert_true(fabs(r.frequency[31] - pow(10000, -62.0 / 64) / 4) < 1e-12);
    rope_finish(&r);
}

static void frequency_factors_divide(void **state) {
    (void)state;
    float divisors[DIMS / 2];
    for (int i = 0; i < DIMS / 2; i++) {
        divisors[i] = 1 + 0.25f * (float)i;
    }
    const struct gguf_tensor tensor = {.dims = 1,
                                       .ne = {DIMS / 2, 1, 1, 1},
                                       .type = QUANT_F32,
                                       .data = (const void *)divisors,
                                       .size = sizeof divisors};
    for (int linear = 0; linear <= 1; linear++) {
        struct rope_config c = config_of(linear ? ROPE_LINEAR : ROPE_PLAIN, linear ? 2 : 1);
        c.frequencies = &tensor;
        struct rope r;
        assert_true(rope_init(&r, &c, NULL));
        for (int i = 0; i < DIMS / 2; i++) {
            double expected = pow(10000, -2.0 * i / DIMS) / (double)divisors[i] / (1 + linear);
            assert_true(fabs(r.frequency[i] - expected) < 1e-12 * expected);
        }
        rope_finish(&r);
    }
}

/* A pair is a complex number that is multiplied by e^(i position frequency). */
static void turns_are_complex_products(void **state) {
    (void)state;
    static const uint64_t positions[] = {0, 1, 63, 4095, 131071, 999999, 1000000, 16777217};
    for (int interleaved = 0; interleaved <= 1; interleaved++) {
        struct rope_config c = config_of(ROPE_PLAIN, 1);
        c.interleaved = interleaved;
        struct rope r;
        assert_true(rope_init(&r, &c, NULL));
        for (size_t n = 0; n < sizeof positions / sizeof *positions; n++) {
            float row[DIMS], x[DIMS + 2], back[DIMS + 2];
            for (int i = 0; i < DIMS + 2; i++) {
                x[i] = back[i] = sinf((float)(i * i + 1));
            }
            rope_row(&r, positions[n], row);
            rope_turn(&r, row, false, back);
            for (int i = 0; i < DIMS / 2; i++) {
                int a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : i + DIMS / 2;
                long double angle = (long double)positions[n] * expected_frequency(&c, i);
                complex long double z =
                    ((long double)x[a] + I * (long double)x[b]) * (cosl(angle) + I * sinl(angle));
                /* The angle is known to 53 bits: 1e7 radians to 2e-9. */
                if (fabsl(back[a] - creall(z)) > 5e-7L || fabsl(back[b] - cimagl(z)) > 5e-7L) {
                    fail_msg("position %llu, pair %d", (unsigned long long)positions[n], i);
                }
            }
            /* What lies past the rotated values stays. */
            assert_true(back[DIMS] == x[DIMS] && back[DIMS + 1] == x[DIMS + 1]);
            rope_turn(&r, row, true, back);
            for (int i = 0; i < DIMS; i++) {
                assert_true(fabsf(back[i] - x[i]) < 5e-7f);
            }
        }
        rope_finish(&r);
    }
}

/* Scores depend on the distance alone, near the start as a million tokens on. */
static void only_the_distance_counts(void **state) {
    (void)state;
    struct rope_config c = config_of(ROPE_PLAIN, 1);
    struct rope r;
    float row[DIMS], q[DIMS], k[DIMS];
    double first = 0;
    assert_true(rope_init(&r, &c, NULL));
    for (uint64_t at = 0; at <= 1000000; at += 250000) {
        for (int i = 0; i < DIMS; i++) {
            q[i] = cosf((float)i);
            k[i] = sinf((float)(3 * i));
        }
        rope_row(&r, at + 777, row);
        rope_turn(&r, row, false, q);
        rope_row(&r, at, row);
        rope_turn(&r, row, false, k);
        double score = 0;
        for (int i = 0; i < DIMS; i++) {
            score += (double)q[i] * (double)k[i];
        }
        first = at ? first : score;
        assert_true(fabs(score - first) < 1e-5);
    }
    rope_finish(&r);
}

static void the_mean_row_is_the_mean_of_the_rows(void **state) {
    (void)state;
    static const uint64_t spans[][2] = {{0, 1}, {7, 8}, {0, 2}, {256, 1024}, {1000, 1000000}};
    const struct rope_config config = {.dims = 64, .base = 10000, .factor = 1};
    struct rope r;
    assert_true(rope_init(&r, &config, NULL));
    r.frequency[5] = 0; /* a pair that does not turn at all */
    for (size_t n = 0; n < sizeof spans / sizeof *spans; n++) {
        double mean[64] = {0};
        float row[64];
        for (uint64_t p = spans[n][0]; p < spans[n][1]; p++) {
            rope_row(&r, p, row);
            for (int i = 0; i < 64; i++) {
                mean[i] += (double)row[i] / (double)(spans[n][1] - spans[n][0]);
            }
        }
        rope_mean_row(&r, spans[n][0], spans[n][1], row);
        for (int i = 0; i < 64; i++) {
            assert_float_equal(row[i], mean[i], 1e-5);
        }
    }
    rope_finish(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frequencies_follow_the_formulas),
        cmocka_unit_test(yarn_has_known_values),
        cmocka_unit_test(frequency_factors_divide),
        cmocka_unit_test(turns_are_complex_products),
        cmocka_unit_test(only_the_distance_counts),
        cmocka_unit_test(the_mean_row_is_the_mean_of_the_rows),
    };
    return cmocka_run_group_tests_name("rope", tests, NULL, NULL);
}
