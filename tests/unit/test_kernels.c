/* SPDX-License-Identifier: Apache-2.0
 *
 * Every kernel set that runs here, on every type and odd sizes, against sums in double.
 *
 * What a product may differ by. All sets but the reference round activations to 8 bits for
 * quantised types: the error of x[j] is at most max|x| / 254 over its block of 32, and uniform, so
 * that each y has a hard bound and the set as a whole a known quadratic mean. For other types the
 * batch product may round both factors to bf16, and so may scores and mix: by 2^-8 each, at most.
 * Everything else is fp32.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/cpu/kernels.h"

/* Of the sum of the magnitudes of the terms: rounding in fp32, for sums of up to 2000 terms. */
static const double FP32 = 4e-6, BF16 = 2.01 / 256;
static const float SENTINEL = -12345;

static uint32_t random_state = 1;

static uint32_t random_bits(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

/* Nearly normal: the sum of four uniform numbers. */
static float random_float(void) {
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += (float)(random_bits() >> 8) / (1 << 24) - 0.5f;
    }
    return sum;
}

/* Exactly `bytes` bytes beyond the alignment, so that a sanitizer sees reads past the end. */
static void *room(size_t bytes) {
    void *p = NULL;
    assert_int_equal(posix_memalign(&p, 64, bytes ? bytes : 1), 0);
    return p;
}

static float *random_floats(size_t n) {
    float *x = room(n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        x[i] = random_float();
    }
    return x;
}

static uint16_t *random_f16(size_t n) {
    uint16_t *x = room(n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        x[i] = quant_f16_of(random_float());
    }
    return x;
}

static float *filled(size_t n) {
    float *y = room(n * sizeof *y);
    for (size_t i = 0; i < n; i++) {
        y[i] = SENTINEL;
    }
    return y;
}

/* Where the f16 fields of a block stand; all its other bytes may have any value. */
static const struct {
    enum quant_type type;
    int fields[2]; /* -1: none */
} types[] = {
    {QUANT_F32, {-1, -1}},   {QUANT_F16, {0, -1}},    {QUANT_BF16, {-1, -1}}, {QUANT_Q4_0, {0, -1}},
    {QUANT_Q4_1, {0, 2}},    {QUANT_Q5_0, {0, -1}},   {QUANT_Q5_1, {0, 2}},   {QUANT_Q8_0, {0, -1}},
    {QUANT_Q2_K, {80, 82}},  {QUANT_Q3_K, {108, -1}}, {QUANT_Q4_K, {0, 2}},   {QUANT_Q5_K, {0, 2}},
    {QUANT_Q6_K, {208, -1}},
};
enum { TYPES = sizeof types / sizeof *types };

static void fill_weights(size_t t, uint8_t *w, size_t bytes) {
    enum quant_type type = types[t].type;
    size_t block = quant_info(type)->block_bytes;
    for (size_t b = 0; b < bytes; b += block) {
        for (size_t i = 0; i < block; i++) {
            w[b + i] = (uint8_t)(random_bits() >> 24);
        }
        float value = random_float();
        uint16_t bf16 = quant_bf16_of(value);
        if (type == QUANT_F32) {
            memcpy(w + b, &value, sizeof value);
        } else if (type == QUANT_BF16) {
            memcpy(w + b, &bf16, sizeof bf16);
        }
        for (int f = 0; f < 2 && types[t].fields[f] >= 0; f++) {
            uint16_t f16 = quant_f16_of(random_float());
            memcpy(w + b + types[t].fields[f], &f16, sizeof f16);
        }
    }
}

struct errors {
    double found, expected; /* sums of squares */
};

/* The step of 8-bit rounding of each value. */
static float *steps_of(const float *x, size_t k, size_t n) {
    float *steps = room(n * k * sizeof *steps);
    for (size_t i = 0; i < n * k; i++) {
        size_t row = i / k * k, block = row + (i - row) / 32 * 32;
        if (i > block) {
            steps[i] = steps[i - 1];
            continue;
        }
        float peak = 0;
        for (size_t j = block; j < block + 32 && j < row + k; j++) {
            peak = fmaxf(peak, fabsf(x[j]));
        }
        steps[i] = peak / 127;
    }
    return steps;
}

static void check_value(const struct kernels *set, bool batch, enum quant_type type, const float *w,
                        const float *x, const float *steps, size_t k, float y,
                        struct errors *errors) {
    double sum = 0, size = 0, rounded = 0, square = 0, terms = 0;
    for (size_t j = 0; j < k; j++) {
        double step = steps[j];
        sum += (double)w[j] * x[j];
        size += fabs((double)w[j] * x[j]);
        rounded += fabs(w[j] * step / 2);
        terms += pow((double)w[j] * x[j], 2);
        square += w[j] * step * w[j] * step / 12;
    }
    bool reference = strcmp(set->name, "reference") == 0;
    bool quantised = quant_info(type)->block > 1;
    double bound = FP32 * size;
    if (!reference) {
        bound += quantised ? rounded : batch ? BF16 * size : 0;
        /* Integer sums of formats with offsets cancel in part. */
        bound += quantised ? FP32 * (rounded * 254 + size) : 0;
    }
    if (!(fabs(y - sum) <= bound)) {
        fail_msg("%s %s %s k=%zu: %g, expected %g within %g", set->name, batch ? "batch" : "single",
                 quant_info(type)->name, k, y, sum, bound);
    }
    errors->found += (y - sum) * (y - sum);
    errors->expected += quantised ? square : BF16 * BF16 * terms / 6;
}

static void check_product(const struct kernels *set, bool batch, size_t t, size_t rows, size_t k,
                          size_t n, struct errors *errors) {
    const struct product *p = batch ? &set->batch : &set->single;
    enum quant_type type = types[t].type;
    size_t row_bytes = quant_row_bytes(type, k), packed_bytes = p->packed_bytes(k), ldy = rows + 3;
    assert_int_equal(packed_bytes % 64, 0);
    assert_true(packed_bytes <= p->packed_bytes(k + 1));
    uint8_t *w = room(rows * row_bytes);
    fill_weights(t, w, rows * row_bytes);
    float *x = random_floats(n * k), *weights = room(k * sizeof *weights);
    float *steps = steps_of(x, k, n);
    char *packed = room(n * packed_bytes), *scratch = room(p->scratch_bytes(k));
    memset(packed, 0x55, n * packed_bytes);
    memset(scratch, 0x55, p->scratch_bytes(k));
    for (size_t i = 0; i < n; i++) {
        p->pack(x + i * k, k, packed + i * packed_bytes);
    }
    float *y = filled(n * ldy), *again = filled(n * ldy);
    p->multiply(type, w, rows, k, packed, n, y, ldy, scratch);
    for (size_t r = 0; r < rows; r++) {
        quant_row(type, w + r * row_bytes, weights, k);
        for (size_t i = 0; i < n; i++) {
            check_value(set, batch, type, weights, x + i * k, steps + i * k, k, y[i * ldy + r],
                        errors);
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t r = rows; r < ldy; r++) {
            assert_true(y[i * ldy + r] == SENTINEL);
        }
    }

    /* The same bits from any split that leaves no token alone, and from any address. */
    uint8_t *odd = room(rows * row_bytes + 1);
    memcpy(odd + 1, w, rows * row_bytes);
    size_t r1 = rows / 3, i1 = n < 4 ? 0 : n / 2;
    for (size_t part = 0; part < 4; part++) {
        size_t r = part % 2 ? r1 : 0, i = part / 2 ? i1 : 0;
        size_t part_rows = part % 2 ? rows - r1 : r1, part_n = part / 2 ? n - i1 : i1;
        if (part_rows > 0 && part_n > 0) {
            p->multiply(type, odd + 1 + r * row_bytes, part_rows, k, packed + i * packed_bytes,
                        part_n, again + i * ldy + r, ldy, scratch);
        }
    }
    assert_memory_equal(y, again, n * ldy * sizeof *y);
    free(w);
    free(x);
    free(weights);
    free(steps);
    free(packed);
    free(scratch);
    free(y);
    free(again);
    free(odd);
}

static void check_products(const struct kernels *set) {
    static const size_t sizes[][2] = {/* rows, n */
                                      {1, 1},   {3, 2},  {15, 3},  {16, 7},  {17, 8},
                                      {31, 13}, {33, 1}, {35, 25}, {64, 12}, {70, 5}};
    static const size_t widths[] = {1, 7, 32, 96, 250, 256, 300, 576, 768, 1536};
    for (size_t batch = 0; batch < 2; batch++) {
        for (size_t t = 0; t < TYPES; t++) {
            const struct quant_info *info = quant_info(types[t].type);
            struct errors errors = {0, 0};
            for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
                for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
                    if (widths[i] % info->block == 0 && (widths[i] < 700 || j % 4 == 2)) {
                        check_product(set, batch, t, sizes[j][0], widths[i], sizes[j][1], &errors);
                    }
                }
            }
            assert_true(errors.expected > 0);
            if (errors.found > 1.3 * errors.expected) {
                fail_msg("%s %s: quadratic mean of errors %g of the expected", set->name,
                         info->name, sqrt(errors.found / errors.expected));
            }
        }
    }
}

/* Few rows (up to 8) and many may go different ways. */
static void check_attention(const struct kernels *set) {
    static const size_t cases[][3] = {
        /* m, n, e */
        {1, 1, 8},     {3, 5, 64},    {2, 31, 16},    {5, 32, 80},   {12, 33, 96}, {13, 256, 64},
        {32, 257, 64}, {7, 300, 128}, {8, 600, 20},   {1, 1000, 64}, {3, 40, 300}, {25, 64, 7},
        {192, 70, 64}, {3, 513, 24},  {4, 17, 128},   {6, 15, 64},   {2, 16, 256}, {8, 300, 64},
        {9, 300, 64},  {24, 65, 80},  {7, 2000, 192}, {1, 7, 32},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t m = cases[c][0], n = cases[c][1], e = cases[c][2];
        size_t ldq = e + 5, lds = n + 2, ldo = e + 1;
        float *q = random_floats(m * ldq), *s = filled(m * lds), *o = filled(m * ldo);
        uint16_t *keys = random_f16(n * e), *values = random_f16(n * e);
        void *scratch = room(set->attention_scratch_bytes(n, e));
        set->scores(q, m, ldq, keys, n, e, 0.5f, s, lds, scratch);
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < n; j++) {
                double sum = 0, size = 0;
                for (size_t l = 0; l < e; l++) {
                    double term = 0.5 * q[i * ldq + l] * quant_f16_to(keys[j * e + l]);
                    sum += term;
                    size += fabs(term);
                }
                assert_true(fabs(s[i * lds + j] - sum) <= (BF16 + FP32) * size);
            }
            assert_true(s[i * lds + n] == SENTINEL);
        }
        for (size_t i = 0; i < m * lds; i++) {
            s[i] = fabsf(random_float());
        }
        set->mix(s, m, lds, values, n, e, o, ldo, scratch);
        for (size_t i = 0; i < m; i++) {
            for (size_t l = 0; l < e; l++) {
                double sum = 0, size = 0;
                for (size_t j = 0; j < n; j++) {
                    double term = (double)s[i * lds + j] * quant_f16_to(values[j * e + l]);
                    sum += term;
                    size += fabs(term);
                }
                assert_true(fabs(o[i * ldo + l] - sum) <= (BF16 + FP32) * size);
            }
            assert_true(o[i * ldo + e] == SENTINEL);
        }
        free(q);
        free(s);
        free(o);
        free(keys);
        free(values);
        free(scratch);
    }
}

static void check_softmax(const struct kernels *set) {
    static const size_t sizes[] = {1, 2, 7, 8, 15, 16, 17, 33, 100, 1000, 8193};
    static const float scales[] = {0, 1, 30, 300};
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++) {
        for (size_t d = 0; d < sizeof scales / sizeof *scales; d++) {
            size_t n = sizes[c];
            float *s = room(n * sizeof *s), *p = room(n * sizeof *p);
            double max = -INFINITY, sum = 0;
            for (size_t j = 0; j < n; j++) {
                bool hidden = j != n / 2 && random_bits() % 4 == 0;
                p[j] = s[j] = hidden ? -INFINITY : scales[d] * random_float() - 5;
                max = fmax(max, s[j]);
            }
            for (size_t j = 0; j < n; j++) {
                sum += exp(s[j] - max);
            }
            float lse = set->softmax(p, n);
            assert_true(fabs(lse - (max + log(sum))) <= 2e-6 * (1 + fabs(max)));
            for (size_t j = 0; j < n; j++) {
                double expected = exp(s[j] - max) / sum;
                /* The difference is rounded before the exponential sees it. */
                double part = 2e-6 + fabs(s[j] - max) * 0x1p-24;
                assert_true(p[j] == 0 ? expected <= 2e-37
                                      : fabs(p[j] - expected) <= part * expected + 1e-37);
                assert_true(s[j] > -INFINITY || p[j] == 0);
            }
            free(s);
            free(p);
        }
    }
}

static void check_gemm(const struct kernels *set) {
    static const size_t cases[][3] = {/* m, n, k */
                                      {1, 1, 1},   {1, 64, 64},  {3, 17, 5},     {12, 32, 256},
                                      {13, 33, 7}, {64, 64, 64}, {50, 31, 257},  {7, 100, 300},
                                      {2, 8, 600}, {33, 16, 3},  {192, 48, 130}, {24, 35, 34}};
    for (size_t c = 0; c < 8 * sizeof cases / sizeof *cases; c++) {
        size_t m = cases[c / 8][0], n = cases[c / 8][1], k = cases[c / 8][2];
        bool ta = c & 1, tb = c & 2, accumulate = c & 4;
        size_t lda = (ta ? m : k) + 2, ldb = (tb ? k : n) + 1, ldc = n + 3;
        float *a = random_floats((ta ? k : m) * lda), *b = random_floats((tb ? n : k) * ldb);
        float *y = filled(m * ldc);
        set->gemm(ta, tb, m, n, k, a, lda, b, ldb, y, ldc, accumulate);
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < n; j++) {
                double sum = accumulate ? SENTINEL : 0, size = fabs(sum);
                for (size_t l = 0; l < k; l++) {
                    double term = (double)(ta ? a[l * lda + i] : a[i * lda + l]) *
                                  (tb ? b[j * ldb + l] : b[l * ldb + j]);
                    sum += term;
                    size += fabs(term);
                }
                assert_true(fabs(y[i * ldc + j] - sum) <= FP32 * size);
            }
            for (size_t j = n; j < ldc; j++) {
                assert_true(y[i * ldc + j] == SENTINEL);
            }
        }
        free(a);
        free(b);
        free(y);
    }
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

static void near(double found, double expected, double size) {
    if (!(fabs(found - expected) <= FP32 * size)) {
        fail_msg("%g, expected %g within %g", found, expected, FP32 * size);
    }
}

/* What merging computes along a row of costs; slacks are at least 1. */
static void check_merging(const struct kernels *set, const float *x, const float *d,
                          const float *slacks, size_t n) {
    const struct merged_pair pair = {0.25f, 0.75f, 2, 3, 1.5f, 0.125f};
    float *row = filled(n + 1), *bounds = filled(n + 1);
    int32_t *nearest = calloc(n, sizeof *nearest);
    assert_non_null(nearest);
    for (size_t j = 0; j < n; j++) {
        row[j] = j % 7 == 3 ? INFINITY : fabsf(x[j]);
        bounds[j] = fabsf(d[j]);
        nearest[j] = (int32_t)(j % 5);
    }
    set->merged_costs(row, bounds, slacks, &pair, n);
    for (size_t j = 0; j < n; j++) {
        const double a = 0.25 * (2.0 + slacks[j]) * fabs(x[j]),
                     b = 0.75 * (3.0 + slacks[j]) * fabs(d[j]);
        if (j % 7 == 3) {
            assert_true(row[j] == INFINITY);
        } else {
            near(row[j], fmax(a + b - 0.125, 0) / (1.5 + slacks[j]), a + b + 0.125);
        }
    }
    set->now_nearer(row, bounds, nearest, 2, 4, n);
    for (size_t j = 0; j < n; j++) {
        const bool nearer = row[j] < fabsf(d[j]);
        const size_t before = j % 5, lost = before == 2 || before == 4 ? j : before;
        assert_int_equal(nearest[j], nearer ? 2 : lost);
        assert_true(bounds[j] == (nearer ? row[j] : fabsf(d[j])));
    }
    free(row);
    free(bounds);
    free(nearest);
}

static void check_rows(const struct kernels *set) {
    static const size_t sizes[] = {1, 5, 8, 16, 17, 31, 32, 48, 576, 1000};
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes; c++) {
        size_t n = sizes[c];
        float *x = random_floats(n), *w = random_floats(n), *d = random_floats(n);
        float *y = filled(n + 1), *z = filled(n + 1);
        double square = 0;
        for (size_t j = 0; j < n; j++) {
            x[j] *= 20;
            square += (double)x[j] * x[j];
        }
        near(set->square_sum(x, n), square, square);
        set->rms_norm(y, x, w, n, 1e-5f);
        for (size_t j = 0; j < n; j++) {
            double v = x[j] / sqrt(square / (double)n + 1e-5) * w[j];
            near(y[j], v, fabs(v));
        }
        set->silu_mul(y, x, w, n);
        for (size_t j = 0; j < n; j++) {
            near(y[j], x[j] * sigmoid(x[j]) * w[j], fabs(x[j] * sigmoid(x[j]) * w[j]));
        }
        memcpy(y, x, n * sizeof *y);
        memcpy(z, w, n * sizeof *z);
        set->swiglu_back(y, z, d, n);
        for (size_t j = 0; j < n; j++) {
            double s = sigmoid(x[j]), slope = d[j] * w[j];
            near(y[j], slope * (s + x[j] * s * (1 - s)), fabs(slope) * (1 + fabs(x[j])));
            near(z[j], d[j] * x[j] * s, fabs(d[j] * x[j] * s));
        }
        size_t first = 0;
        for (size_t j = 1; j < n; j++) {
            first = x[j] < x[first] ? j : first;
        }
        assert_int_equal(set->least(x, n), first);
        x[n / 2] = x[n - 1] = -1000; /* of equals the first */
        assert_int_equal(set->least(x, n), n / 2);
        x[n / 2] = w[n / 2];
        x[n - 1] = d[n - 1];
        memcpy(y, d, n * sizeof *y);
        for (size_t j = 0; j < n; j++) {
            z[j] = 1 + fabsf(w[j]); /* slacks */
        }
        set->pair_costs(y, x, z, 3, 2, n);
        for (size_t j = 0; j < n; j++) {
            const double cost = fmax(3 + (double)x[j] - 2 * (double)d[j], 0);
            near(y[j], cost / (2 + (double)z[j]), 3 + fabs(x[j]) + 2 * fabs(d[j]));
        }
        check_merging(set, x, d, z, n);
        set->exp(y, x, 15, n);
        for (size_t j = 0; j < n; j++) {
            const double v = exp(fmin(x[j], 15));
            near(y[j], v, v);
        }
        memcpy(y, x, n * sizeof *y);
        set->add(y, w, n);
        set->add_scaled(y, 3, d, n);
        set->scale(y, 0.5f, n);
        for (size_t j = 0; j < n; j++) {
            double size = fabs(x[j]) + fabs(w[j]) + 3 * fabs(d[j]);
            near(y[j], 0.5 * (x[j] + w[j] + 3.0 * d[j]), size);
        }
        assert_true(y[n] == SENTINEL && z[n] == SENTINEL);
        free(x);
        free(w);
        free(d);
        free(y);
        free(z);
    }
}

static void check_f16(const struct kernels *set) {
    enum { ALL = 1 << 16 };
    uint16_t *h = room(ALL * sizeof *h);
    float *x = room(ALL * sizeof *x);
    for (size_t i = 0; i < ALL; i++) {
        h[i] = (uint16_t)i;
    }
    for (size_t n = ALL - 3; n <= ALL; n += 3) {
        set->from_f16(x, h, n);
        for (size_t i = 0; i < n; i++) {
            float expected = quant_f16_to(h[i]);
            assert_true(isnan(expected) ? isnan(x[i]) : x[i] == expected);
        }
    }
    for (int round = 0; round < 8; round++) {
        for (size_t i = 0; i < ALL; i++) {
            uint32_t bits = random_bits();
            if (round % 2) { /* in the range of f16, and often half way between two of them */
                bits = (bits & 0x8fffe000) | 0x30000000 | (bits & 1 ? 0x1000 : 0) | (bits >> 1 & 1);
            }
            memcpy(x + i, &bits, sizeof bits);
        }
        size_t n = ALL - (size_t)round;
        h[ALL - 1] = 77;
        set->to_f16(h, x, n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(h[i], quant_f16_of(x[i]));
        }
        assert_true(n == ALL || h[n] == (uint16_t)n || h[ALL - 1] == 77);
    }
    free(h);
    free(x);
}

static void for_all(void (*check)(const struct kernels *set)) {
    for (const struct kernels *const *set = kernels_all(); *set; set++) {
        if ((*set)->runs_here()) {
            random_state = 1;
            check(*set);
        }
    }
}

static void test_products(void **state) {
    (void)state;
    for_all(check_products);
}

static void test_attention(void **state) {
    (void)state;
    for_all(check_attention);
}

static void test_softmax(void **state) {
    (void)state;
    for_all(check_softmax);
}

static void test_gemm(void **state) {
    (void)state;
    for_all(check_gemm);
}

static void test_rows(void **state) {
    (void)state;
    for_all(check_rows);
}

static void test_f16(void **state) {
    (void)state;
    for_all(check_f16);
}

static void test_choice(void **state) {
    (void)state;
    const struct kernels *fastest = NULL;
    for (const struct kernels *const *set = kernels_all(); *set; set++) {
        assert_int_equal(setenv("ALLMEM_KERNELS", (*set)->name, 1), 0);
        if ((*set)->runs_here()) {
            assert_ptr_equal(kernels_choose(), *set);
            fastest = *set;
        } else {
            assert_ptr_not_equal(kernels_choose(), *set);
        }
    }
    assert_int_equal(setenv("ALLMEM_KERNELS", "no such set", 1), 0);
    assert_ptr_equal(kernels_choose(), fastest);
    unsetenv("ALLMEM_KERNELS");
    assert_ptr_equal(kernels_choose(), fastest);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products), cmocka_unit_test(test_attention),
        cmocka_unit_test(test_softmax),  cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_rows),     cmocka_unit_test(test_f16),
        cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
