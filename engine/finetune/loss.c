/* SPDX-License-Identifier: Apache-2.0
 *
 * The error of a layer's branch, and its gradient.
 */
#include "engine/finetune/loss.h"

void loss_gram(const struct kernels *k, const float *wo, size_t d, size_t n, size_t from,
               size_t rows, float *gram) {
    k->gemm(true, false, rows, n, d, wo + from, n, wo, n, gram + from * n, n, false);
}

/* sum of d G d over rows; gd <- G d, where d = a - b. */
static double quadratic(const struct kernels *k, const float *gram, size_t n, size_t rows,
                        const float *a, const float *b, float *d, float *gd) {
    for (size_t i = 0; i < rows * n; i++) {
        d[i] = a[i] - b[i];
    }
    k->gemm(false, false, rows, n, n, d, n, gram, n, gd, n, false);
    double sum = 0;
    for (size_t i = 0; i < rows; i++) {
        float row = 0;
        for (size_t j = 0; j < n; j++) {
            row += d[i * n + j] * gd[i * n + j];
        }
        sum += (double)row;
    }
    return sum;
}

struct loss_sums loss_rows(const struct kernels *k, const float *gram, size_t n, size_t rows,
                           float *y, const float *full, const float *swa, float *scratch) {
    float *d = scratch, *gd = scratch + rows * n;
    struct loss_sums sums;
    sums.base = quadratic(k, gram, n, rows, swa, full, d, gd);
    sums.error = quadratic(k, gram, n, rows, y, full, d, y);
    return sums;
}
