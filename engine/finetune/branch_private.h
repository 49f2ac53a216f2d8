/* SPDX-License-Identifier: Apache-2.0
 *
 * What branch.c, branch_read.c and branch_write.c share: one memory head of a pass, taken apart.
 */
#pragma once

#include "engine/finetune/branch.h"

/* A set of fast weights, their momentum, or their adjoints: 3 f e floats. */
struct fast {
    float *w1, *w2, *w3; /* [f][e], [e][f], [f][e] */
};

struct head {
    const struct branch_pass *pass;
    const struct kernels *k;
    size_t m;             /* which memory head */
    size_t e, f, C, M, H; /* as in branch_shape */
    size_t R;             /* query heads that read this memory: m R + r, r < R */
    size_t set;           /* 3 f e */
    size_t writes, first; /* branch_writes, branch_first_read */
    float c4;             /* e^-1/4 */

    /* The tape; index j is "after j writes". */
    float *fast;      /* [writes+1][set]: un-normalised weights */
    float *momentum;  /* [writes+1][set] */
    float *z;         /* [writes+1][2e]: evidence */
    float *step_norm; /* [writes+1][3]: Frobenius norms of d1, d2, d3 before the clip */
    float *theta;     /* [writes+1] */
    float *row_norm;  /* [2f+e]: of the initial rows of w1 [f], w2 [e], w3 [f] */
    float *cap;       /* [3] */
    float *o;         /* [R][L - first][e]: what the memory answered */
    float *logit;     /* [R][L - first]: the gate's */
};

/* Adjoints that are carried from chunk to chunk on the way back. */
struct adjoint {
    float *fast;     /* [set]: at the un-normalised weights */
    float *momentum; /* [set] */
    float *z;        /* [2e] */
    float *row_norm; /* [2f+e] */
    float *cap;      /* [3] */
};

struct fast fast_at(const struct head *h, float *set);
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

/* branch_write.c: the j-th block (from 1) is written. */
void write_forward(const struct head *h, size_t j, float *scratch);
void write_back(const struct head *h, size_t j, const struct adjoint *a, float *scratch);
size_t write_scratch(const struct branch_shape *s);
