/* SPDX-License-Identifier: Apache-2.0
 *
 * What a layer's branch is trained on: the error that it leaves of the window's, seen behind the
 * output projection,
 *   loss = sum |Wo (y - full)|^2 / sum |Wo (SWA - full)|^2,  over positions past the window;
 * 1.0 is no better than sinks and window alone. |Wo d|^2 = d^T G d with G = Wo^T Wo.
 */
#pragma once

#include "engine/cpu/kernels.h"

/* Rows [from, from + rows) of G, [n][n], n = H e; wo is [d][n]. */
void loss_gram(const struct kernels *k, const float *wo, size_t d, size_t n, size_t from,
               size_t rows, float *gram);

struct loss_sums {
    double error, base; /* the two sums */
};

/* Adds nothing: the sums of these rows alone. y, full, swa are [rows][n]. y becomes G (y - full):
 * times 2 / base, the loss's gradient at y. scratch: 2 * rows * n floats. */
struct loss_sums loss_rows(const struct kernels *k, const float *gram, size_t n, size_t rows,
                           float *y, const float *full, const float *swa, float *scratch);
