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

enum { MOST = 96, WIDEST = 24 };

struct plain {
    double key[WIDEST], value[WIDEST], count;
};

static float number(void) {
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(seed >> 40) * 0x1p-23 - 1);
}

static double cost_of(const struct plain *a, const struct plain *b, size_t width) {
    double sum = 0;
    for (size_t i = 0; i < width; i++) {
        sum += (a->key[i] - b->key[i]) * (a->key[i] - b->key[i]);
    }
    return sum * a->count * b->count / (a->count + b->count);
}

static size_t merge_plainly(struct plain *p, size_t n, size_t most, size_t width) {
    for (; n > most; n--) {
        size_t i = 0, j = 1;
        for (size_t a = 0; a < n; a++) {
            for (size_t b = a + 1; b < n; b++) {
                if (cost_of(&p[a], &p[b], width) < cost_of(&p[i], &p[j], width)) {
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

static void merges_the_cheapest_pairs(void **state) {
    (void)state;
    static const struct {
        size_t count, most, width;
    } cases[] = {
        {1, 1, 8},    {5, 9, 8},    {2, 1, 8},   {40, 1, 16},  {17, 16, 8},
        {96, 32, 24}, {70, 40, 16}, {90, 64, 8}, {33, 20, 24}, {64, 8, 1},
    };
    static float keys[MOST * WIDEST], values[MOST * WIDEST], counts[MOST];
    static struct plain plain[MOST];
    for (const struct kernels *const *k = kernels_all(); *k; k++) {
        for (size_t c = 0; (*k)->runs_here() && c < sizeof cases / sizeof *cases; c++) {
            const size_t width = cases[c].width;
            for (size_t i = 0; i < cases[c].count; i++) {
                plain[i].count = counts[i] = i % 3 ? 1 : 5 + 4 * number();
                for (size_t w = 0; w < width; w++) {
                    plain[i].key[w] = keys[i * width + w] = number();
                    plain[i].value[w] = values[i * width + w] = number();
                }
            }
            float *scratch = malloc(merge_scratch(cases[c].count) * sizeof *scratch);
            assert_non_null(scratch);
            struct merge_points p = {keys, values, counts, cases[c].count, width};
            merge_until(*k, &p, cases[c].most, scratch);
            free(scratch);
            const size_t n = merge_plainly(plain, cases[c].count, cases[c].most, width);
            assert_int_equal(p.count, n);
            for (size_t i = 0; i < n; i++) {
                assert_float_equal(counts[i], plain[i].count, 1e-3);
                for (size_t w = 0; w < width; w++) {
                    assert_float_equal(keys[i * width + w], plain[i].key[w], 1e-4);
                    assert_float_equal(values[i * width + w], plain[i].value[w], 1e-4);
                }
            }
        }
    }
}

/* Equal points cost nothing; of equal pairs the first goes, so the others stay as they are. */
static void equal_points_are_one(void **state) {
    (void)state;
    float keys[6] = {1, 3, 1, 3, 3, 7}, values[6] = {0, 1, 2, 3, 4, 5},
          counts[6] = {1, 1, 1, 1, 1, 1};
    float scratch[6 * 6 + 3 * 6];
    struct merge_points p = {keys, values, counts, 6, 1};
    assert_true(merge_scratch(6) <= sizeof scratch / sizeof *scratch);
    merge_until(kernels_choose(), &p, 3, scratch);
    const float expected[3][3] = {{1, 1, 2}, {3, 8.0f / 3, 3}, {7, 5, 1}}; /* key, value, count */
    assert_int_equal(p.count, 3);
    for (int i = 0; i < 3; i++) {
        assert_float_equal(keys[i], expected[i][0], 1e-6);
        assert_float_equal(values[i], expected[i][1], 1e-6);
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
