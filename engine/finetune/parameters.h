/* SPDX-License-Identifier: Apache-2.0
 *
 * What training changes: the parameters of one layer's memory branch as one run of floats, in the
 * order of one table. Gradients and the optimiser's moments have the same form. Where there are no
 * fast weights, memory_width 0, it is the gate of merged tokens instead.
 */
#pragma once

#include "engine/adapter.h"

/* Sizes of a branch and of the chunks it is trained with. Symbols as in engine/README.md. */
struct branch_shape {
    size_t width;        /* d */
    size_t heads;        /* H */
    size_t kv_heads;     /* M, divides H */
    size_t head_dim;     /* e */
    size_t memory_width; /* f, or 0 */
    size_t chunk;        /* C */
    size_t sinks;        /* S, at most C */
};

/* Where each parameter starts in a run of floats. step and decay stand together, so that the rows
 * of rates_w and rates_b are the steps [M], then the decays [M]. */
struct branch_values {
    float *w1, *w3;           /* [M][f][e]: features */
    float *w2;                /* [M][e][f]: the memory before anything is written */
    float *q_map, *k_map;     /* [H][e][e], [M][e][e] */
    float *ev_q, *ev_k;       /* [H][e][e], [M][e][e] */
    float *gate_lse;          /* [H] */
    float *alpha;             /* [H][e] */
    float *gate_w, *gate_b;   /* [H][d], [H] */
    float *rates_w, *rates_b; /* [2M][d], [2M] */
    float *v_scale;           /* [1]; set once, not trained */
    /* Without fast weights these alone, else NULL. */
    float *merged_w, *merged_b; /* [H][d], [2][H] */
};

/* A tensor of an adapter file, and where its values stand in a layer's run. */
struct parameter {
    struct branch_tensor tensor; /* its name is NULL past the end of the table */
    size_t offset, count;        /* floats */
};

enum { PARAMETERS = 16 }; /* at most */

/* Fills the table, zeroed past its end, and returns the floats of a layer. The run of an adapter's
 * branch, `values`, begins likewise. */
size_t parameters_table(const struct branch_shape *s, struct parameter out[PARAMETERS]);
size_t parameters_count(const struct branch_shape *s);
struct branch_values parameters_bind(const struct branch_shape *s, float *values);
