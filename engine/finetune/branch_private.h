/* SPDX-License-Identifier: Apache-2.0
 *
 * What branch.c, branch_read.c and branch_write.c share: one memory head of a pass, taken apart.
 */
#pragma once

#include "engine/finetune/branch.h"

struct head {
    const struct branch_pass *pass;
    const struct kernels *k;
    size_t m;                  /* which memory head */
    size_t e, f, C, M, H;      /* as in branch_shape */
    size_t R;                  /* query heads that read this memory: m R + r, r < R */
    size_t fe;                 /* f e */
    size_t writes, first;      /* branch_writes, branch_first_read */
    float c4;                  /* e^-1/4 */
    const float *w1, *w2, *w3; /* this head's, [f][e], [e][f], [f][e] */
    float *d_w1, *d_w2, *d_w3; /* their gradients */

    /* The tape; index j is "after j writes", and the j-th write's own, from 1. */
    float *fast;  /* [writes+1][e][f]: W */
    float *z;     /* [writes+1][2e]: evidence */
    float *stays; /* [writes+1]: lambda, the mean of the block's */
    float *step;  /* [writes+1][C]: s, in the order of the list */
    float *decay; /* [writes+1][C]: lambda_i */
    /* A chunk of readers after the other, [R][C] rows each (read_row). */
    float *o;     /* [R (L - first)][e]: what the memory answered */
    float *logit; /* [R (L - first)]: the gate's */
};

/* Adjoints that are carried from chunk to chunk on the way back. */
struct adjoint {
    float *fast; /* [e][f] */
    float *z;    /* [2e] */
};

/* The row of o and logit of reader r at position t, which reads. */
static inline size_t read_row(const struct head *h, size_t r, size_t t) {
    const size_t i = t - h->first, within = i % h->C;
    return (i - within) * h->R + r * h->C + within;
}

struct head head_of(const struct branch_pass *p, size_t m);

/* y = x / sqrt(mean(x^2) + eps); returns the factor. */
float rms_row(const struct kernels *k, const float *x, size_t e, float *y);
/* g <- the gradient at x, given y = rms(x), the factor, and g, the gradient at y. */
void rms_row_back(const float *y, float factor, size_t e, float *g);
float dot(const float *a, const float *b, size_t n);
float sigmoid(float x);

/* branch_read.c: the queries of chunk [t, t + C) read the memory after j writes. */
void read_forward(const struct head *h, size_t j, size_t t, float *scratch);
void read_back(const struct head *h, size_t j, size_t t, const struct adjoint *a, float *scratch);
size_t read_scratch(const struct branch_shape *s);

/* branch_write.c: the j-th list (from 1) is written. */
void write_forward(const struct head *h, size_t j, float *scratch);
void write_back(const struct head *h, size_t j, const struct adjoint *a, float *scratch);
size_t write_scratch(const struct branch_shape *s);
