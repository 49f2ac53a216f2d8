/* SPDX-License-Identifier: Apache-2.0
 *
 * A layer's attention over a whole sequence, twice at once: full, which is what the branch learns
 * to reproduce, and through sinks and window, which is what it stands beside. The scores are the
 * same; the second reads a part of their columns.
 */
#pragma once

#include "engine/cpu/kernels.h"
#include "engine/rope.h"

struct attention_pass {
    const struct kernels *kernels;
    const struct rope *rope;
    const float *turns;                /* [L][rope->dims], rope_row of every position */
    size_t heads, kv_heads, head_dim;  /* H, M, e */
    size_t length;                     /* L, a multiple of C */
    size_t window, chunk, sinks, clip; /* W, C, S, D as in window.h; no kept tokens */
    const float *q;                    /* [L][H*e], before RoPE, as k and v */
    const float *k, *v;                /* [L][M*e] */
    uint16_t *keys, *values;           /* [M][L][e]: f16, keys after RoPE */
    float *full, *swa;                 /* [L][H*e] */
    float *lse;                        /* [L][H]: log-sum-exp of sinks' and window's scores */
};

/* Fills keys and values of rows [from, from + rows); all of them before attention_block. */
void attention_store(const struct attention_pass *p, size_t from, size_t rows);
/* Head h of the rows of chunk [t, t + C). */
void attention_block(const struct attention_pass *p, size_t h, size_t t, float *scratch);
/* Floats of scratch per thread. */
size_t attention_scratch(const struct attention_pass *p);
