/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to the CPU backend: its struct, shared by the files that fill the operations table.
 * cpu.c has buffers and the dense operations, window.c the moving of tokens, merged.c the merging
 * of those that leave, attention.c the attention over all of them, memory.c the memory branch.
 */
#pragma once

#include "engine/backend.h"
#include "engine/base/pool.h"
#include "engine/cpu/kernels.h"

struct buffer {
    float *data; /* 64-byte aligned */
    size_t bytes;
};

struct matrix {
    enum quant_type type;
    const uint8_t *data;
    size_t rows, columns, row_bytes;
};

/* Tokens that left the window in the last retire and were not kept, per memory head. */
struct leaving {
    size_t count;         /* the same for every head, at most C */
    struct buffer keys;   /* [M][C][e], before RoPE */
    struct buffer values; /* [M][C][e] */
    struct buffer rates;  /* [M][C][WINDOW_RATES] */
};

/* Merged tokens at work, per memory head: the points, and what merging them takes. */
struct merging {
    struct buffer heads; /* [M][head_floats] */
    size_t head_floats;
};

struct cpu_backend {
    struct backend base;
    const struct kernels *kernels;
    struct pool *pool;

    /* Room made by cpu_prepare for the largest batch; operations never allocate. */
    struct buffer scratch; /* [threads][scratch_bytes] */
    size_t scratch_bytes;
    struct buffer packed; /* activations as a product wants them */
    struct buffer ones;   /* the weight of a norm that has none */
    struct buffer sums;   /* window_attend: attention per task and slot */
    struct buffer shares; /* window_attend of one row: [H][slots] */
    struct buffer parts;  /* window_attend of one row: [H][segments][e] */
    struct buffer lse;    /* [C][H]: log-sum-exp of the rows of the last window_attend */
    struct leaving leaving;
    struct merging merging;

    /* Turns of the current batch, in rows of rope->dims floats. */
    const struct rope *rope;
    uint64_t from;          /* first position of the batch */
    struct buffer turns;    /* of positions [from, from + count) */
    struct buffer departed; /* of the same positions less W + C, where those are not negative */
    struct buffer clipped;  /* of t - D, for the chunks t that begin in the batch, in order */
    struct buffer middle;   /* of t + C/2, likewise */
    struct buffer mean; /* of the distances of merged tokens, where a chunk begins in the batch */
};

/* Rows that one task of a norm, of packing or of memory_read takes on. */
enum { CPU_ROW_BLOCK = 32 };

/* The row in `clipped` or `middle` that belongs to chunk t. */
size_t cpu_chunk_row(const struct cpu_backend *b, const struct window_shape *s, uint64_t t);
float *cpu_scratch(struct cpu_backend *b, size_t thread);
/* Floats of scratch that an operation needs per thread. */
size_t cpu_attention_scratch(const struct cpu_backend *b, const struct window_shape *s);
size_t cpu_retire_scratch(const struct window_shape *s); /* of window_retire */
size_t cpu_memory_scratch(const struct window_shape *s);
/* Makes room in b's own buffers for an operation on this shape. */
bool cpu_attention_prepare(struct cpu_backend *b, const struct window_shape *s);
bool cpu_merged_prepare(struct cpu_backend *b, const struct window_shape *s);
/* Where each point of head m went in the last window_merge, at the begin of chunk t: those merged
 * before, then the leaving tokens, to the merged tokens after it. */
void cpu_merged_groups(struct cpu_backend *b, const struct window_shape *s, uint64_t t, size_t m,
                       uint32_t *to);
bool cpu_reserve(struct buffer *buffer, size_t bytes);

void cpu_positions(struct backend *backend, const struct rope *rope,
                   const struct window_shape *shape, uint64_t from, size_t count);
void cpu_window_retire(struct backend *backend, const struct attention_step *step);
void cpu_window_merge(struct backend *backend, const struct attention_step *step);
void cpu_window_store(struct backend *backend, const struct attention_step *step);
void cpu_window_attend(struct backend *backend, const struct attention_step *step);
void cpu_memory_write(struct backend *backend, const struct attention_step *step);
void cpu_memory_read(struct backend *backend, const struct attention_step *step);
