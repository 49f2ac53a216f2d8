/* SPDX-License-Identifier: Apache-2.0
 *
 * The way back through what the base never changes: its matrices and norms.
 */
#pragma once

#include "engine/cpu/cpu.h"

/* Weight rows that are expanded to fp32 at a time. */
enum { FROZEN_ROWS = 256 };

/* Gradients at rows of `width` values, given those at a matrix's outputs:
 * dx[n][columns] = dy[n][rows] W, or += with `accumulate`. `expanded` has room for FROZEN_ROWS rows
 * of the matrix. */
void frozen_product_back(struct cpu_backend *cpu, const struct matrix *w, const float *dy, size_t n,
                         float *dx, bool accumulate, float *expanded);
/* dx[n][width] (+)= the gradient at x, given dy, that at y = rms_norm(x) * weight. dx may be dy
 * without `accumulate`. */
void frozen_norm_back(struct cpu_backend *cpu, const float *x, const float *weight, const float *dy,
                      size_t n, size_t width, float eps, float *dx, bool accumulate);
