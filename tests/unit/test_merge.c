/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/cpu/merge: the same merging by the definition, in double precision, where the costs of all
 * pairs are found anew from the points' means before each choice.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/cpu/merge.h"

enum { MOST = 96, WIDEST = 100 };

struct plain {
    double key[WIDEST], value[WIDEST], count;
};

static float number(void) {
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(seed >> 40) * 0x1p-23 - 1);
}

/* `unit`: how much a value's difference counts of a key's. */
static double cost_of(const struct plain *a, const struct plain *b, double unit, size_t width) {
    double sum = 0;
    for (size_t i = 0; i < width; i++) {
        const double key = a->key[i] - b->key[i], value = unit * (a->value[i] - b->value[i]);
        sum += key * key + value * value;
    }
    return sum / (1 / sqrt(a->count) + 1 / sqrt(b->count));
}

static double unit_of(const struct plain *p, size_t n, size_t width) {
    double keys = 0, values = 0;
    for (size_t w = 0; w < width; w++) {
        double key = 0, value = 0;
        for (size_t i = 0; i < n; i++) {
            key += p[i].key[w] / (double)n;
            value += p[i].value[w] / (double)n;
        }
        for (size_t i = 0; i < n; i++) {
            keys += (p[i].key[w] - key) * (p[i].key[w] - key);
            values += (p[i].value[w] - value) * (p[i].value[w] - value);
        }
    }
    return values > 0 ? sqrt(keys / values) : 0;
}

static size_t merge_plainly(struct plain *p, size_t n, size_t most, size_t width) {
    const double unit = unit_of(p, n, width);
    for (; n > most; n--) {
        size_t i = 0, j = 1;
        for (size_t a = 0; a < n; a++) {
            for (size_t b = a + 1; b < n; b++) {
                if (cost_of(&p[a], &p[b], unit, width) < cost_of(&p[i], &p[j], unit, width)) {
                    i = a;
                    j = b;
                }
            }
        }
        const double all = p[i].count + p[j].count;
        for (size_t c = 0; c < width; c++) {
            p[i].key[c] = (p[i].count * p[i].key[c] + p[j].count * p[j].key[c]) / all;
            p[i].value[c] = (p[i].count * p[i].value[c] + p[j].count * p[j].value[c]) / all;
        }
        p[i].count = all;
        memmove(&p[j], &p[j + 1], (n - j - 1) * sizeof *p);
    }
    return n;
}

/* The costs in `panels` parts, as threads share them. */
static void merge(const struct kernels *k, struct merge_points *p, size_t most, size_t panels) {
    float *scratch = aligned_alloc(64, merge_scratch(p->count, p->width) * sizeof *scratch);
    assert_non_null(scratch);
    merge_prepare(k, p, scratch);
    for (size_t i = 0; i < panels; i++) {
        const size_t from = p->count * i / panels, to = p->count * (i + 1) / panels;
        if (from < to) {
            merge_costs(k, p, from, to - from, scratch);
        }
    }
    merge_until(k, p, most, scratch);
    free(scratch);
}

static void merges_the_cheapest_pairs(void **state) {
    (void)state;
    static const struct {
        size_t count, most, width;
    } cases[] = {
        {1, 1, 8},    {5, 9, 8},   {2, 1, 8},    {40, 1, 16}, {17, 16, 8}, {96, 32, 24},
        {70, 40, 16}, {90, 64, 8}, {33, 20, 24}, {64, 8, 1},  {7, 2, 100},
    };
    static float points[MOST * 2 * WIDEST], counts[MOST];
    static struct plain plain[MOST];
    for (const struct kernels *const *k = kernels_all(); *k; k++) {
        for (size_t c = 0; (*k)->runs_here() && c < sizeof cases / sizeof *cases; c++) {
            const size_t width = cases[c].width;
            for (size_t i = 0; i < cases[c].count; i++) {
                plain[i].count = counts[i] = i % 3 ? 1 : 5 + 4 * number();
                for (size_t w = 0; w < width; w++) {
                    plain[i].key[w] = points[i * 2 * width + w] = number();
                    plain[i].value[w] = points[(i * 2 + 1) * width + w] = 0.1f * number();
                }
            }
            struct merge_points p = {points, counts, cases[c].count, width};
            merge(*k, &p, cases[c].most, 1 + c % 3);
            const size_t n = merge_plainly(plain, cases[c].count, cases[c].most, width);
            assert_int_equal(p.count, n);
            for (size_t i = 0; i < n; i++) {
                assert_float_equal(counts[i], plain[i].count, 1e-3);
                for (size_t w = 0; w < width; w++) {
                    assert_float_equal(points[i * 2 * width + w], plain[i].key[w], 1e-4);
                    assert_float_equal(points[(i * 2 + 1) * width + w], plain[i].value[w], 1e-5);
                }
            }
        }
    }
}

/* Equal points cost nothing; of equal pairs the first goes, so the others stay as they are. Values
 * that are all the same have no say. */
static void equal_points_are_one(void **state) {
    (void)state;
    float points[12] = {1, 5, 3, 5, 1, 5, 3, 5, 3, 5, 7, 5}, counts[6] = {1, 1, 1, 1, 1, 1};
    struct merge_points p = {points, counts, 6, 1};
    merge(kernels_choose(), &p, 3, 1);
    const float expected[3][3] = {{1, 5, 2}, {3, 5, 3}, {7, 5, 1}}; /* key, value, count */
    assert_int_equal(p.count, 3);
    for (int i = 0; i < 3; i++) {
        assert_float_equal(points[2 * i], expected[i][0], 1e-6);
        assert_float_equal(points[2 * i + 1], expected[i][1], 1e-6);
        assert_float_equal(counts[i], expected[i][2], 1e-6);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_the_cheapest_pairs),
        cmocka_unit_test(equal_points_are_one),
    };
    return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
