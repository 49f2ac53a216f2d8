/* SPDX-License-Identifier: Apache-2.0
 *
 * The base model over a sequence with full attention, one layer at a time for all positions, so
 * that each layer's inputs and outputs can be learnt from before the next is run. Its parts serve
 * the student too, whose attention is another.
 */
#pragma once

#include "engine/cpu/cpu.h"
#include "engine/transformer.h"

/* What one layer gives; buffers of [L] rows. */
struct teacher_layer {
    struct buffer *x;             /* [L][d]: normed input */
    struct buffer *q;             /* [L][H*e], before RoPE */
    struct buffer *k, *v;         /* [L][M*e] */
    struct buffer *raw_q, *raw_k; /* the same before the norms of heads; NULL without them */
    struct buffer *attention;     /* [L][H*e] */
};

struct teacher {
    struct transformer *transformer;
    struct cpu_backend *cpu;
    size_t capacity, chunk;
    size_t length;                /* L of the present sequence, at most capacity */
    struct buffer *x;             /* [L][d]: the residual stream */
    struct buffer *branch;        /* [L][d]: what is added to it */
    struct buffer *gate, *up;     /* [L][ffn] */
    struct buffer *keys, *values; /* f16 [M][L][e]: of the layer that was attended last */
    struct buffer *turns;         /* [L][rope dims] */
    float *scratch;               /* [threads][scratch_floats], the caller's */
    size_t scratch_floats;
};

/* Prepares the backend for windows of up to `shape`. The transformer must outlive the teacher;
 * scratch is set afterwards. */
bool teacher_init(struct teacher *t, struct transformer *transformer, size_t capacity,
                  const struct window_shape *shape, struct error *error);
void teacher_finish(struct teacher *t); /* accepts a zeroed struct */
/* Floats of scratch per thread. */
size_t teacher_scratch(const struct teacher *t);
size_t teacher_bytes(const struct model_config *c, size_t capacity);

bool teacher_layer_init(const struct teacher *t, struct teacher_layer *layer, struct error *error);
void teacher_layer_finish(const struct teacher *t, struct teacher_layer *layer);
size_t teacher_layer_bytes(const struct model_config *c, size_t capacity);

/* Starts on ids[0..length), a whole number of chunks. */
void teacher_begin(struct teacher *t, const int32_t *ids, size_t length);
/* Runs layer l, to be called for l = 0, 1, ... in turn. */
void teacher_run(struct teacher *t, uint32_t l, const struct teacher_layer *out);

/* Its parts. All rows of out->x, q, k, v, from those of x [L][d]. */
void teacher_inputs(const struct teacher *t, uint32_t l, struct buffer *x,
                    const struct teacher_layer *out);
/* keys and values, from all rows of k and v. */
void teacher_store(const struct teacher *t, const struct teacher_layer *of);
/* Rows from `from` on of the residual stream: the output projection of `mixed` [L][H*e] is added.
 */
void teacher_project(const struct teacher *t, uint32_t l, const struct buffer *mixed, size_t from);
/* The norm before the network, into `branch`, and gate and up of it, for rows from `from` on. */
void teacher_open_network(const struct teacher *t, uint32_t l, size_t from);
/* From there on: the network's output is added to the residual stream. */
void teacher_close_network(const struct teacher *t, uint32_t l, size_t from);
/* to[from..L) = the last norm of the residual stream. */
void teacher_last_norm(const struct teacher *t, struct buffer *to, size_t from);

/* Rows from `from` on of a buffer of rows of `width`. */
struct buffer teacher_rows(const struct buffer *b, size_t from, size_t width);
