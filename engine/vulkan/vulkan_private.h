/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to the Vulkan backend: its struct, shared by the files that fill the operations table.
 * vulkan.c makes and ends it and has the buffers, weights.c the matrices, dense.c the dense
 * operations, window.c the moving of tokens and attention, merged.c the merged tokens, memory.c the
 * memory branch. The shaders (shaders/) are named after what they do; the struct that a function
 * pushes to one is the shader's block of push constants.
 */
#pragma once

#include "engine/backend.h"
#include "engine/vulkan/command.h"

struct buffer {
    struct vulkan_span *span;
    size_t bytes;
};

struct matrix {
    enum quant_type type;
    struct vulkan_span *span;
    const void *data;    /* the tensor's: two matrices of one tensor share the span */
    struct matrix *next; /* in the backend's list */
    size_t rows, columns, row_words;
    const struct vulkan_pipeline *embed, *matvec, *matmul;
};

/* Pipelines of the window's and the memory's shaders. */
struct vulkan_step_pipelines {
    const struct vulkan_pipeline *store, *attend_many, *attend_one, *merge, *score;
    const struct vulkan_pipeline *choose, *drop, *settle, *clip;
};

struct vulkan_memory_pipelines {
    const struct vulkan_pipeline *decay, *evidence, *hidden, *error, *gram, *solve, *update, *read;
};

/* What merging needs: see shaders/lib/merged.glsl. */
struct vulkan_merged {
    const struct vulkan_pipeline *gather, *unit, *cost, *choose, *place;
    struct buffer *turns; /* the mean turn, then those of t + C/2 for the batch's chunks t */
    struct buffer *points, *sizes, *costs, *left;
};

struct vulkan_branch; /* memory.c */

struct vulkan_backend {
    struct backend base;
    struct vulkan v;
    struct vulkan_device device;
    struct vulkan_allocator allocator;
    struct vulkan_pipelines pipelines;
    struct vulkan_commands commands;
    struct matrix *matrices;
    const struct vulkan_pipeline *rms_norm, *add, *swiglu;
    struct buffer *ids; /* embed: [rows] */

    /* Made by prepare for the largest session and batch so far. */
    struct vulkan_step_pipelines steps;
    uint32_t head_dim;                 /* that the pipelines are for */
    struct buffer *turns;              /* of the batch, rows of rope->dims floats */
    struct buffer *departed, *clipped; /* as in cpu.h */
    struct buffer *parts;              /* window_attend: see shaders/window_merge.comp */
    struct buffer *lse;                /* [C][H] of the last window_attend */
    struct buffer *worth;              /* [M][B + C]: window_choose */
    struct buffer *gone;               /* [M][1 + C]: window_choose */
    struct buffer *leaving;            /* [M][C][2e + 2]: window_drop */
    struct vulkan_merged merged;
    struct vulkan_memory_pipelines memory;
    struct vulkan_branch *branches; /* that were loaded */
    struct buffer *hidden;          /* [H][rows][f] of a read, [M][n][f] of a write */
    struct buffer *errors, *gram;   /* [M][n][e], [M][n][n] */
    const struct rope *rope;
    uint64_t from; /* the batch's first position */
};

static inline size_t divide_up(size_t n, size_t by) {
    return (n + by - 1) / by;
}

/* Where a buffer begins, plus `at` bytes, for push constants. */
VkDeviceAddress vulkan_address(const struct buffer *buffer, size_t at);
/* Makes `*buffer` at least this long; what was in it is lost. */
bool vulkan_reserve(struct vulkan_backend *b, struct buffer **buffer, size_t bytes,
                    struct error *error);

struct buffer *vulkan_buffer_create(struct backend *b, size_t bytes, struct error *error);
void vulkan_buffer_destroy(struct backend *b, struct buffer *buffer);

struct matrix *vulkan_matrix_create(struct backend *b, const struct gguf_tensor *tensor,
                                    struct error *error);
void vulkan_matrix_destroy(struct backend *b, struct matrix *m);

void vulkan_embed(struct backend *b, struct buffer *y, struct matrix *m, const int32_t *ids,
                  size_t n);
void vulkan_rms_norm(struct backend *b, struct buffer *y, struct buffer *x, size_t from,
                     struct buffer *weight, size_t n, size_t width, float eps);
void vulkan_matmul(struct backend *b, size_t count, struct buffer *const *ys,
                   struct matrix *const *matrices, struct buffer *const *biases, struct buffer *x,
                   size_t n);
void vulkan_add(struct backend *b, struct buffer *y, struct buffer *x, size_t values);
void vulkan_swiglu(struct backend *b, struct buffer *gate, struct buffer *up, size_t values);

bool vulkan_window_prepare(struct vulkan_backend *b, const struct window_shape *s, size_t rows,
                           struct error *error);
void vulkan_window_finish(struct vulkan_backend *b);
/* Rows of `dims` floats go to `to`, from row `row` on. */
void vulkan_upload_turns(struct vulkan_backend *b, struct buffer *to, size_t row, uint64_t position,
                         size_t count);
VkDeviceAddress vulkan_turn(const struct vulkan_backend *b, const struct buffer *turns,
                            uint64_t row);
/* Which of the batch's chunks t is, of those that begin when a block leaves. */
uint64_t vulkan_chunk_row(const struct vulkan_backend *b, const struct window_shape *s, uint64_t t);
void vulkan_positions(struct backend *b, const struct rope *rope, const struct window_shape *s,
                      uint64_t from, size_t count);
void vulkan_window_retire(struct backend *b, const struct attention_step *step);
void vulkan_window_store(struct backend *b, const struct attention_step *step);
void vulkan_window_attend(struct backend *b, const struct attention_step *step);

bool vulkan_merged_prepare(struct vulkan_backend *b, const struct window_shape *s, size_t rows,
                           struct error *error);
void vulkan_merged_finish(struct vulkan_backend *b);
/* The turns that a batch needs. */
void vulkan_merged_positions(struct vulkan_backend *b, const struct window_shape *s, size_t count);
void vulkan_window_merge(struct backend *b, const struct attention_step *step);

bool vulkan_memory_load(struct backend *b, const struct memory_branch *branch,
                        const struct window_shape *shape, struct error *error);
bool vulkan_memory_prepare(struct vulkan_backend *b, const struct window_shape *s,
                           struct error *error);
void vulkan_memory_finish(struct vulkan_backend *b);
void vulkan_memory_write(struct backend *b, const struct attention_step *step);
void vulkan_memory_read(struct backend *b, const struct attention_step *step);
