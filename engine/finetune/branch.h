/* SPDX-License-Identifier: Apache-2.0
 *
 * One layer's memory branch over a whole sequence, forwards and back: what cpu/memory.c computes
 * chunk by chunk while reading, here with everything kept that reverse mode needs. The branch falls
 * apart into its memory heads: each is a task of its own, and writes only its own gradients.
 *
 *   forward   y = (1 - gate) SWA + gate alpha o, chunk by chunk: [write a block,] read the chunk
 *   back      chunks in the opposite order; the state that one write leaves is the next one's
 *             input, so its adjoint is carried along, through the system that the write solved
 *
 * Which tokens a write takes is the caller's: the block that leaves the window, or with kept tokens
 * whatever was let go of. Nothing is differentiated through that choice.
 *
 * Without fast weights, memory_width 0, only the projections are there, for the gate of merged
 * tokens.
 */
#pragma once

#include "engine/cpu/kernels.h"
#include "engine/finetune/parameters.h"

/* Gradients that go on into the base. Memory head m adds to its own columns, those of its readers
 * h = m R + r, r < R = H / M, in q, swa and lse, and to column m of k and v: heads may run at once.
 * Any of them may be NULL. */
struct branch_inputs {
    float *q;     /* [L][H*e], before RoPE, as k and v */
    float *k, *v; /* [L][M*e] */
    float *swa;   /* [L][H*e] */
    float *lse;   /* [L][H] */
};

struct branch_pass {
    const struct kernels *kernels;
    const struct branch_shape *shape;
    struct branch_values values, gradients;
    bool kept;             /* the gate of merged tokens is that of a layer with kept tokens */
    size_t length, window; /* L, W: multiples of C with W + C < L */

    /* From the base model, for every position. */
    const float *x;     /* [L][d]: the layer's normed input */
    const float *q;     /* [L][H*e], before RoPE, as k and v */
    const float *k, *v; /* [L][M*e] */
    const float *swa;   /* [L][H*e]: attention over sinks, window and kept tokens */
    const float *lse;   /* [L][H]: log-sum-exp of its scores */

    /* What each write takes, branch_writes of them: positions before the chunk that it goes before,
     * none twice for a head. How many, at most C, is the same for all heads; the rest of a list is
     * not read. */
    const uint32_t *written;       /* [M][writes][C] */
    const uint32_t *written_count; /* [writes] */

    /* x . w + b; afterwards the gradients at these. */
    float *rates; /* [L][2M] */
    float *gates; /* [L][H]; without fast weights those of merged tokens */
    float *y;     /* [L][H*e]: the output; before the way back, the loss's gradient at it. Rows
                   * before branch_first_read count only for inputs.swa. */
    float *tape;  /* [M][branch_tape_floats] */

    struct branch_inputs inputs;
};

/* Writes in a sequence: the first one when chunk W + C begins, one before each chunk from there. */
size_t branch_writes(const struct branch_shape *s, size_t length, size_t window);
/* The first position that may read: W + C. Nothing is read until something has been written. */
size_t branch_first_read(const struct branch_shape *s, size_t window);

/* Floats of one memory head's tape, for this window or any larger one. */
size_t branch_tape_floats(const struct branch_shape *s, size_t length, size_t window);
/* Floats of scratch per thread. */
size_t branch_scratch_floats(const struct branch_shape *s);

/* Fills rates and gates of rows [from, from + rows). */
void branch_project(const struct branch_pass *p, size_t from, size_t rows);
/* Memory head m's columns of y. */
void branch_forward(const struct branch_pass *p, size_t m, float *scratch);
/* Overwrites memory head m's parts of the gradients, of rates and of gates, and adds to its columns
 * of the inputs' gradients. After forward only. */
void branch_back(const struct branch_pass *p, size_t m, float *scratch);
/* From what all heads' branch_back left in rates and gates to the gradients of their weights. */
void branch_project_back(const struct branch_pass *p);
/* And to the gradient at x: adds to rows [from, from + rows) of dx [L][d]. */
void branch_project_inputs(const struct branch_pass *p, size_t from, size_t rows, float *dx);

/* A start for query head h, after branch_forward: moves gate_b and sets alpha to what leaves least
 * of |y - full|^2 over the reading positions. The mean logit of the gate is tried from -6 to 0,
 * alpha is the solution of linear least squares for each. full: [L][H*e]. */
void branch_fit(const struct branch_pass *p, size_t h, const float *full);
