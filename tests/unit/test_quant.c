/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/quant: every tensor type against values computed elsewhere (tests/golden/quant.py), and
 * the 16-bit floats over all their values.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/quant.h"
#include "tests/golden/quant.h"

static uint32_t bits_of(float v) {
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static float of_bits(uint32_t u) {
    float v;
    memcpy(&v, &u, sizeof v);
    return v;
}

/* Three blocks in a row, at an odd address: the golden one between two of zeros. */
static void rows_have_the_golden_values(void **state) {
    (void)state;
    int seen = 0;
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        const struct golden *golden = &goldens[i];
        const struct quant_info *info = quant_info(golden->type);
        uint8_t row[1 + 3 * 256] = {0};
        float values[3 * 256];
        memcpy(row + 1 + info->block_bytes, golden->block, info->block_bytes);
        quant_row(golden->type, row + 1, values, 3 * info->block);
        for (uint32_t k = 0; k < info->block; k++) {
            if (bits_of(values[info->block + k]) != golden->values[k]) {
                fail_msg("%s, value %u: %.9g, expected %.9g", info->name, k,
                         (double)values[info->block + k], (double)of_bits(golden->values[k]));
            }
            assert_true(values[k] == 0 && values[2 * info->block + k] == 0);
        }
        seen++;
    }
    int readable = 0;
    for (uint32_t type = 0; type < QUANT_TYPES; type++) {
        readable += quant_info(type) != NULL;
    }
    assert_int_equal(seen, readable);
}

static void types_have_names_and_sizes(void **state) {
    (void)state;
    static const struct {
        uint32_t type;
        const char *name;
        size_t bytes; /* of 512 values; 0: not readable */
    } cases[] = {
        {0, "F32", 2048},  {1, "F16", 1024},  {30, "BF16", 1024}, {2, "Q4_0", 288},
        {3, "Q4_1", 320},  {6, "Q5_0", 352},  {7, "Q5_1", 384},   {8, "Q8_0", 544},
        {10, "Q2_K", 168}, {11, "Q3_K", 220}, {12, "Q4_K", 288},  {13, "Q5_K", 352},
        {14, "Q6_K", 420}, {4, "Q4_2", 0},    {9, "Q8_1", 0},     {16, "IQ2_XXS", 0},
        {20, "IQ4_NL", 0}, {24, "I8", 0},     {29, "IQ1_M", 0},   {31, "Q4_0_4_4", 0},
        {35, "TQ2_0", 0},  {39, "MXFP4", 0},  {42, "Q2_0", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct quant_info *info = quant_info(cases[i].type);
        assert_string_equal(quant_name(cases[i].type), cases[i].name);
        assert_int_equal(info != NULL, cases[i].bytes > 0);
        if (info) {
            assert_string_equal(info->name, cases[i].name);
            assert_int_equal(quant_row_bytes((enum quant_type)cases[i].type, 512), cases[i].bytes);
        }
    }
    for (uint32_t type = 43; type < 50; type++) {
        assert_null(quant_name(type));
        assert_null(quant_info(type));
    }
    assert_null(quant_name(UINT32_MAX));
    assert_null(quant_info(UINT32_MAX));
}

/* The value of a 16-bit float with `mantissa_bits`, from its definition. */
static double value_of(uint32_t v, int mantissa_bits) {
    int exponent_bits = 15 - mantissa_bits;
    int exponent = (int)(v >> mantissa_bits & ((1u << exponent_bits) - 1));
    int bias = (1 << (exponent_bits - 1)) - 1;
    double mantissa = v & ((1u << mantissa_bits) - 1), sign = v & 0x8000 ? -1 : 1;
    if (exponent == 0) {
        return sign * ldexp(mantissa, 1 - bias - mantissa_bits);
    }
    if (exponent == (1 << exponent_bits) - 1) {
        return mantissa > 0 ? (double)NAN : sign * (double)INFINITY;
    }
    return sign * ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

static const struct half {
    const char *name;
    int mantissa_bits;
    uint16_t (*of)(float v);
    float (*to)(uint16_t v);
} halves[] = {
    {"F16", 10, quant_f16_of, quant_f16_to},
    {"BF16", 7, quant_bf16_of, quant_bf16_to},
};

static void every_16_bit_float_goes_forth_and_back(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct half *half = &halves[i];
        for (uint32_t v = 0; v < 65536; v++) {
            double expected = value_of(v, half->mantissa_bits);
            float value = half->to((uint16_t)v);
            uint16_t back = half->of(value);
            if (isnan(expected)) {
                assert_true(isnan(value));
                assert_true(isnan(half->to(back)));
                assert_int_equal(back & 0x8000, v & 0x8000);
            } else {
                assert_true((double)value == expected && !signbit(value) == !(v & 0x8000));
                assert_int_equal(back, v);
            }
        }
    }
}

/* Halfway between two neighbours, and the floats next to that on both sides. */
static void rounding_is_to_nearest_even(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct half *half = &halves[i];
        uint32_t infinity = (0x7fffu >> half->mantissa_bits) << half->mantissa_bits;
        for (uint32_t v = 0; v < infinity; v++) {
            double below = value_of(v, half->mantissa_bits);
            double above = v + 1 < infinity ? value_of(v + 1, half->mantissa_bits)
                                            : 2 * below - value_of(v - 1, half->mantissa_bits);
            float middle = (float)((below + above) / 2);
            assert_int_equal(half->of(middle), v + (v & 1));
            assert_int_equal(half->of(-middle), 0x8000 | (v + (v & 1)));
            assert_int_equal(half->of(nextafterf(middle, 0)), v);
            assert_int_equal(half->of(nextafterf(middle, INFINITY)), v + 1);
        }
        assert_int_equal(half->of(INFINITY), infinity);
        assert_int_equal(half->of(-INFINITY), 0x8000 | infinity);
        assert_int_equal(half->of(3.4028235e38f), infinity);
        assert_true(isnan(half->to(half->of(of_bits(0x7f800001)))));
        assert_true(isnan(half->to(half->of(NAN))));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_the_golden_values),
        cmocka_unit_test(types_have_names_and_sizes),
        cmocka_unit_test(every_16_bit_float_goes_forth_and_back),
        cmocka_unit_test(rounding_is_to_nearest_even),
    };
    return cmocka_run_group_tests_name("quant", tests, NULL, NULL);
}
