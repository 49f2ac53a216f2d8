/* SPDX-License-Identifier: Apache-2.0
 *
 * The base model over a sequence with full attention, one layer at a time for all positions, so
 * that each layer's inputs and outputs can be learnt from before the next is run.
 */
#pragma once

#include "engine/cpu/cpu.h"
#include "engine/transformer.h"

/* What one layer gives; buffers of [L] rows. */
struct teacher_layer {
    struct buffer *x;     /* [L][d]: normed input */
    struct buffer *q;     /* [L][H*e], before RoPE */
    struct buffer *k, *v; /* [L][M*e] */
    struct buffer *full;  /* [L][H*e]: full attention */
    struct buffer *swa;   /* [L][H*e]: sinks and window */
    struct buffer *lse;   /* [L][H] */
};

struct teacher {
    struct transformer *transformer;
    struct cpu_backend *cpu;
    size_t length, chunk, sinks, clip;
    struct buffer *x;             /* [L][d]: the residual stream */
    struct buffer *branch;        /* [L][d]: what is added to it */
    struct buffer *gate, *up;     /* [L][ffn] */
    struct buffer *keys, *values; /* f16 [M][L][e] */
    struct buffer *turns;         /* [L][rope dims] */
    float *scratch;               /* [threads][scratch_floats], the caller's */
    size_t scratch_floats;
};

/* `clip`: window.h's D. The transformer must outlive the teacher; scratch is set afterwards. */
bool teacher_init(struct teacher *t, struct transformer *transformer, size_t length, size_t chunk,
                  size_t sinks, struct error *error);
void teacher_finish(struct teacher *t); /* accepts a zeroed struct */
/* Floats of scratch per thread, for windows up to `window`. */
size_t teacher_scratch(const struct teacher *t, size_t window);

bool teacher_layer_init(const struct teacher *t, struct teacher_layer *layer, struct error *error);
void teacher_layer_finish(const struct teacher *t, struct teacher_layer *layer);

/* Starts on ids[0..length). */
void teacher_begin(struct teacher *t, const int32_t *ids);
/* Runs layer l, to be called for l = 0, 1, ... in turn. */
void teacher_run(struct teacher *t, uint32_t l, size_t window, const struct teacher_layer *out);
