/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/cpu/cholesky: systems I + H H^T, as a write of the memory has them, of sizes around those
 * of its blocks, on every kernel set: what is solved fits the system in double precision.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/cpu/cholesky.h"

enum { MOST = 192, WIDEST = 80, RANK = 24 };

static float h[MOST][RANK], a[MOST * MOST], whole[MOST * MOST];
static float b[MOST * WIDEST + 1], x[MOST * WIDEST + 1], scratch[MOST * MOST];

static float number(void) {
    static uint64_t seed = 1;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(seed >> 40) * 0x1p-23 - 1);
}

static void check(const struct kernels *k, size_t n, size_t width, float size) {
    for (size_t i = 0; i < n; i++) {
        for (size_t l = 0; l < RANK; l++) {
            h[i][l] = size * number();
        }
    }
    for (size_t i = 0; i < n * n; i++) {
        double sum = i / n == i % n;
        for (size_t l = 0; l < RANK; l++) {
            sum += (double)h[i / n][l] * (double)h[i % n][l];
        }
        /* Only the upper triangle is read. */
        whole[i] = (float)sum;
        a[i] = i / n <= i % n ? whole[i] : NAN;
    }
    for (size_t i = 0; i < n * width; i++) {
        b[i] = x[i] = number();
    }
    x[n * width] = 77;
    assert_true(cholesky_scratch(n, width) <= MOST * MOST);
    cholesky_factor(k, a, n, scratch);
    cholesky_solve(k, a, n, x, width, scratch);
    assert_true(x[n * width] == 77);
    /* The rest that is left, against the sizes of what was summed. */
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < width; c++) {
            double rest = -(double)b[i * width + c], sizes = fabs(rest);
            for (size_t j = 0; j < n; j++) {
                const double term = (double)whole[i * n + j] * (double)x[j * width + c];
                rest += term;
                sizes += fabs(term);
            }
            if (!(fabs(rest) <= 1e-5 * sizes)) {
                fail_msg("%s, %zu equations of width %zu: %g is left of %g", k->name, n, width,
                         fabs(rest), sizes);
            }
        }
    }
}

static void what_is_solved_fits(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 2, 15, 16, 17, 31, 32, 63, 64, 65, 100, MOST};
    static const size_t widths[] = {1, 16, 64, WIDEST};
    for (const struct kernels *const *k = kernels_all(); *k; k++) {
        for (size_t i = 0; (*k)->runs_here() && i < 12 * 4; i++) {
            check(*k, sizes[i / 4], widths[i % 4], i % 3 ? 0.3f : 3);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_solved_fits)};
    return cmocka_run_group_tests_name("cholesky", tests, NULL, NULL);
}
