/* SPDX-License-Identifier: Apache-2.0
 *
 * A layer's full attention over a whole sequence: what the teacher computes.
 */
#pragma once

#include "engine/cpu/kernels.h"
#include "engine/rope.h"

struct attention_pass {
    const struct kernels *kernels;
    const struct rope *rope;
    const float *turns;               /* [L][rope->dims], rope_row of every position */
    size_t heads, kv_heads, head_dim; /* H, M, e */
    size_t length, chunk;             /* L, a multiple of C */
    const float *q;                   /* [L][H*e], before RoPE, as k and v */
    const float *k, *v;               /* [L][M*e] */
    uint16_t *keys, *values;          /* [M][L][e]: f16, keys after RoPE */
    float *full;                      /* [L][H*e] */
};

/* Fills keys and values of rows [from, from + rows); all of them before attention_block. */
void attention_store(const struct attention_pass *p, size_t from, size_t rows);
/* Head h of the rows of chunk [t, t + C). */
void attention_block(const struct attention_pass *p, size_t h, size_t t, float *scratch);
/* Floats of scratch per thread, for this length or any shorter one. */
size_t attention_scratch(const struct attention_pass *p);
