/* SPDX-License-Identifier: Apache-2.0
 *
 * The way back through a layer's attention over sinks, kept and merged tokens and window. Which
 * tokens are kept, and which are merged, is not differentiated. With shares p = softmax(s), out = p
 * V, and do, dlse the gradients at out and at lse = log(sum(exp(s))):
 *
 *   ds_ij = p_ij (do_i . v_j - do_i . out_i + dlse_i)
 *   dq = scale ds K,  dk = scale ds^T Q  (turned; turned back at the end),  dv = p^T do
 *
 * and the gate of merged tokens gets the sum of their ds. Chunks are taken in the opposite order:
 * the gradient at a merged token is carried back to where its members were written (merged_pass.h).
 */
#pragma once

#include "engine/cpu/kernels.h"
#include "engine/finetune/merged_pass.h"

struct attention_back {
    const struct kernels *kernels;
    const struct rope *rope;
    const float *turns; /* [L][rope->dims] */
    const struct window_shape *shape;
    size_t length, first;             /* L; rows from `first` on have gradients, a multiple of C */
    const float *q;                   /* [L][H*e], before RoPE */
    const uint16_t *keys, *values;    /* [M][L][e]: as attention_store leaves them */
    const uint32_t *kept;             /* [retirements][M][B]: as in struct window_trace */
    const struct merged_pass *merged; /* after its run; NULL where G is 0 */
    const float *dout, *dlse;         /* [L][H*e], [L][H]: the gradients at output and lse */
    float *dq;                        /* [L][H*e]: added to */
    float *head_dk, *head_dv;         /* [H][L][e]: of each query head alone; keys after RoPE */
    float *dk, *dv;                   /* [L][M*e]: added to */
    float *gate; /* [L][H]: of merged tokens, or NULL; rows from `first` on become the gradients */
};

/* Query head h: fills its part of head_dk and head_dv, adds to dq. */
void attention_back_head(const struct attention_back *p, size_t h, float *scratch);
/* Rows [from, from + rows) of dk and dv, from what all heads left. */
void attention_back_gather(const struct attention_back *p, size_t from, size_t rows);
/* Floats of scratch per thread, for this shape or any smaller one. */
size_t attention_back_scratch(const struct kernels *k, const struct window_shape *s);
