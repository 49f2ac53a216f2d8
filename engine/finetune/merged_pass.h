/* SPDX-License-Identifier: Apache-2.0
 *
 * The merged tokens of a layer over a sequence, once more from the trace of its window pass, and
 * the way back through them. With the groups and the counts held constant, a merged token is a
 * weighted mean of its points, so
 *
 *   forward  x_j[u] = sum of share_i point_i, over the points i that go into u at retirement j
 *   back     d point_i = share_i d x_j[u]: a merged token's goes on to the retirement before, a
 *            written token's to its key and value
 *
 * where a point's key is turned back by the mean turn, and a merged token is read as if at t + C/2.
 */
#pragma once

#include "engine/cpu/kernels.h"
#include "engine/finetune/window_pass.h"

struct merged_pass {
    const struct kernels *kernels;
    const struct rope *rope;
    const float *turns, *mean_turn; /* [L][rope->dims], [rope->dims] */
    const struct window_shape *shape;
    const struct window_trace *trace;
    size_t length;                 /* L */
    const uint16_t *keys, *values; /* [M][L][e]: as attention_store leaves them */
    /* [retirements][M][G][e]: as the chunk sees them; merged_pass_run fills them. */
    uint16_t *merged_keys, *merged_values;
};

/* Head m's merged tokens at all retirements. */
void merged_pass_run(const struct merged_pass *p, size_t m, float *scratch);
/* Through the retirement when chunk t begins: from d[G][2e], the gradient at the mean keys and
 * values after it, to before[G][2e]; adds to dk and dv [L][e], where keys are after RoPE. */
void merged_pass_back(const struct merged_pass *p, size_t m, size_t t, const float *d,
                      float *before, float *dk, float *dv);
/* The turn at which merged tokens are read by chunk t. */
const float *merged_pass_turn(const struct merged_pass *p, size_t t);
/* Floats of scratch per thread. */
size_t merged_pass_scratch(const struct window_shape *s);
