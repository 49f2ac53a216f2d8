/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/finetune/branch: the trained form of the memory against an independent forward in double
 * precision, its gradients, at parameters and at what the base brings, against finite differences
 * of that and against PyTorch.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/golden/finetune.h"
#include "tests/tools/branch_exact.h"

enum { GOLDENS = sizeof goldens / sizeof *goldens, V_SCALE = PARAMETERS - 1 /* not trained */ };

static double *doubles_of(const float *values, size_t n) {
    double *d = calloc(n, sizeof *d);
    assert_non_null(d);
    for (size_t i = 0; i < n; i++) {
        d[i] = (double)values[i];
    }
    return d;
}

/* The largest and the mean-square difference between found and expected, in shares of the largest
 * and the mean-square value of the tensor. */
struct difference {
    double largest, overall;
};

static struct difference difference_of(const float *found, const double *expected, size_t n) {
    double largest = 0, top = 0, square = 0, whole = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)found[i] - expected[i]);
        /* NaN must not pass for small. */
        largest = d <= largest ? largest : d;
        top = fmax(top, fabs(expected[i]));
        square += d * d;
        whole += expected[i] * expected[i];
    }
    assert_true(whole > 0);
    return (struct difference){largest / top, sqrt(square / whole)};
}

static void forward_is_the_exact_one(void **state) {
    (void)state;
    for (const struct kernels *const *k = kernels_all(); *k; k++) {
        for (size_t i = 0; (*k)->runs_here() && i < GOLDENS; i++) {
            struct branch_problem *b = branch_problem_create(&goldens[i].c, *k);
            assert_non_null(b);
            const size_t n =
                b->pass.length * goldens[i].c.shape.heads * goldens[i].c.shape.head_dim;
            double *values = doubles_of(b->variables, b->count), *y = calloc(n, sizeof *y);
            assert_non_null(y);
            const double loss = branch_exact_loss(b, values, y);
            branch_problem_forward(b);
            const struct difference d = difference_of(b->pass.y, y, n);
            if (!(d.largest <= 1e-5)) {
                fail_msg("%s, %s: y differs by %g", (*k)->name, goldens[i].name, d.largest);
            }
            const double found = branch_problem_back(b);
            if (!(fabs(found - loss) <= 1e-5 * loss) ||
                !(fabs(found - goldens[i].loss) <= 1e-5 * loss)) {
                fail_msg("%s, %s: loss %.9g, exactly %.9g, PyTorch %.9g", (*k)->name,
                         goldens[i].name, found, loss, goldens[i].loss);
            }
            free(values);
            free(y);
            branch_problem_destroy(b);
        }
    }
}

static void gradients_are_those_of_pytorch(void **state) {
    (void)state;
    for (const struct kernels *const *k = kernels_all(); *k; k++) {
        for (size_t i = 0; (*k)->runs_here() && i < GOLDENS; i++) {
            struct branch_problem *b = branch_problem_create(&goldens[i].c, *k);
            assert_non_null(b);
            branch_problem_forward(b);
            branch_problem_back(b);
            double *expected = doubles_of(goldens[i].gradients, b->count);
            struct branch_variable table[BRANCH_VARIABLES];
            branch_variables(&goldens[i].c, table);
            for (size_t t = 0; t < BRANCH_VARIABLES; t++) {
                if (t == V_SCALE) {
                    continue;
                }
                const struct difference d = difference_of(
                    b->gradients + table[t].offset, expected + table[t].offset, table[t].count);
                if (!(d.largest <= 1e-4) || !(d.overall <= 1e-4)) {
                    fail_msg("%s, %s: %s differs by %g at most, %g overall", (*k)->name,
                             goldens[i].name, table[t].name, d.largest, d.overall);
                }
            }
            assert_true(b->gradients[table[V_SCALE].offset] == 0);
            free(expected);
            branch_problem_destroy(b);
        }
    }
}

/* Central differences; the step is where rounding and curvature both are far below the bound. */
static double slope_at(const struct branch_problem *b, double *values, size_t i) {
    const double v = values[i], step = 1e-5;
    values[i] = v + step;
    const double up = branch_exact_loss(b, values, NULL);
    values[i] = v - step;
    const double down = branch_exact_loss(b, values, NULL);
    values[i] = v;
    return (up - down) / (2 * step);
}

/* Every single number: its gradient within 1e-3 of itself, or of a hundredth of its tensor's
 * largest where it is smaller than that. */
static void gradients_are_finite_differences(void **state) {
    (void)state;
    for (size_t i = 0; i < GOLDENS; i++) {
        struct branch_problem *b = branch_problem_create(&goldens[i].c, kernels_choose());
        assert_non_null(b);
        branch_problem_forward(b);
        branch_problem_back(b);
        double *values = doubles_of(b->variables, b->count);
        struct branch_variable table[BRANCH_VARIABLES];
        branch_variables(&goldens[i].c, table);
        for (size_t t = 0; t < BRANCH_VARIABLES; t++) {
            if (t == V_SCALE) {
                continue;
            }
            const float *found = b->gradients + table[t].offset;
            float top = 0;
            for (size_t l = 0; l < table[t].count; l++) {
                top = fmaxf(top, fabsf(found[l]));
            }
            for (size_t l = 0; l < table[t].count; l++) {
                const double slope = slope_at(b, values, table[t].offset + l);
                const double size = fmax(fabs(slope), 0.01 * (double)top);
                if (!(fabs((double)found[l] - slope) <= 1e-3 * size)) {
                    fail_msg("%s: %s[%zu] is %g, finite differences give %g (largest %g)",
                             goldens[i].name, table[t].name, l, (double)found[l], slope,
                             (double)top);
                }
            }
        }
        free(values);
        branch_problem_destroy(b);
    }
}

/* |y - full|^2 of head h where the memory is read. */
static double left_of(const struct branch_problem *b, const float *y, size_t h) {
    const size_t e = b->pass.shape->head_dim, row = b->pass.shape->heads * e;
    double sum = 0;
    for (size_t p = branch_first_read(b->pass.shape, b->pass.window); p < b->pass.length; p++) {
        for (size_t l = p * row + h * e; l < p * row + (h + 1) * e; l++) {
            sum += pow((double)y[l] - (double)b->full[l], 2);
        }
    }
    return sum;
}

/* No head starts worse than the window alone, and no other alpha would start better. */
static void a_fitted_start_leaves_least(void **state) {
    (void)state;
    for (size_t i = 0; i < GOLDENS; i++) {
        struct branch_problem *b = branch_problem_create(&goldens[i].c, kernels_choose());
        assert_non_null(b);
        const size_t H = goldens[i].c.shape.heads, e = goldens[i].c.shape.head_dim;
        branch_problem_forward(b);
        for (size_t h = 0; h < H; h++) {
            branch_fit(&b->pass, h, b->full);
        }
        for (size_t h = 0; h < H; h++) {
            float *alpha = b->pass.values.alpha + h * e;
            branch_problem_forward(b);
            const double least = left_of(b, b->pass.y, h);
            assert_true(least > 0 && least <= 1.01 * left_of(b, b->pass.swa, h));
            for (size_t l = 0; l < e; l++) {
                for (int side = -1; side <= 1; side += 2) {
                    const float was = alpha[l];
                    alpha[l] += (float)side * 0.1f * fabsf(was);
                    branch_problem_forward(b);
                    const double left = left_of(b, b->pass.y, h);
                    if (!(left >= least * (1 - 1e-6))) {
                        fail_msg("%s, head %zu: %.9g is left, %.9g with alpha[%zu] = %g for %g",
                                 goldens[i].name, h, least, left, l, (double)alpha[l], (double)was);
                    }
                    alpha[l] = was;
                }
            }
        }
        branch_problem_destroy(b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_the_exact_one),
        cmocka_unit_test(gradients_are_those_of_pytorch),
        cmocka_unit_test(gradients_are_finite_differences),
        cmocka_unit_test(a_fitted_start_leaves_least),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
