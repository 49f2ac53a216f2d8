/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear systems whose matrix is symmetric and positive definite, in blocks, so that nearly all of
 * the work is the kernels' matrix product.
 */
#pragma once

#include "engine/cpu/kernels.h"

/* A = U^T U: the upper triangle of a [n][n] is read and becomes U; what is below it stays. The
 * smallest eigenvalue must be well above n * max|A| * 1e-7, fp32's rounding.
 * scratch: cholesky_scratch(n, 0) floats. */
void cholesky_factor(const struct kernels *k, float *a, size_t n, float *scratch);
/* B <- A^-1 B, B [n][width], given U. scratch: cholesky_scratch(n, width) floats. */
void cholesky_solve(const struct kernels *k, const float *u, size_t n, float *b, size_t width,
                    float *scratch);
size_t cholesky_scratch(size_t n, size_t width);
