/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU backend: buffers, weights in place, and the dense operations, split over the pool.
 */
#include "engine/cpu/cpu.h"

#include <stdlib.h>
#include <string.h>

/* Up to this many rows, weights are read as they stand; above, panels of them are expanded once
 * for all rows. */
enum { SINGLE_ROWS = 8 };
/* Weight rows that one task multiplies: a multiple of every kernel's panel. */
enum { TASK_ROWS = 96 };

bool cpu_reserve(struct buffer *buffer, size_t bytes) {
    if (bytes <= buffer->bytes) {
        return true;
    }
    size_t rounded = (bytes + 63) / 64 * 64;
    float *data = aligned_alloc(64, rounded);
    if (!data) {
        return false;
    }
    memset(data, 0, rounded);
    free(buffer->data);
    *buffer = (struct buffer){.data = data, .bytes = rounded};
    return true;
}

float *cpu_scratch(struct cpu_backend *b, size_t thread) {
    return (float *)((char *)b->scratch.data + thread * b->scratch_bytes);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static bool cpu_prepare(struct backend *backend, const struct window_shape *shape, size_t rows,
                        size_t widest, struct error *error) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    const struct kernels *k = b->kernels;
    size_t scratch = larger(k->batch.scratch_bytes(widest), k->single.scratch_bytes(widest));
    scratch = larger(scratch, cpu_attention_scratch(b, shape) * sizeof(float));
    scratch = larger(scratch, cpu_retire_scratch(shape) * sizeof(float));
    scratch = larger(scratch, cpu_memory_scratch(shape) * sizeof(float));
    b->scratch_bytes = larger(b->scratch_bytes, (scratch + 63) / 64 * 64);
    size_t packed = rows * larger(k->batch.packed_bytes(widest), k->single.packed_bytes(widest));
    size_t turns = (rows + shape->chunk) * shape->head_dim * sizeof(float);
    bool ok = cpu_reserve(&b->scratch, b->scratch_bytes * pool_threads(b->pool)) &&
              cpu_reserve(&b->packed, packed) && cpu_reserve(&b->turns, turns) &&
              cpu_reserve(&b->departed, turns) && cpu_reserve(&b->clipped, turns) &&
              cpu_reserve(&b->middle, turns) && cpu_reserve(&b->mean, turns) &&
              cpu_reserve(&b->ones, shape->head_dim * sizeof(float)) &&
              cpu_attention_prepare(b, shape) && cpu_merged_prepare(b, shape);
    for (size_t i = 0; ok && i < shape->head_dim; i++) {
        b->ones.data[i] = 1;
    }
    return ok || error_set(error, ERROR_NO_SPACE, "no memory for the CPU's working buffers");
}

static void cpu_destroy(struct backend *backend) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    struct buffer *owned[] = {&b->scratch,        &b->packed,        &b->ones,  &b->sums,
                              &b->shares,         &b->parts,         &b->lse,   &b->leaving.keys,
                              &b->leaving.values, &b->leaving.rates, &b->turns, &b->departed,
                              &b->clipped,        &b->middle,        &b->mean,  &b->merging.heads};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        free(owned[i]->data);
    }
    pool_destroy(b->pool);
    free(b);
}

static bool cpu_wait(struct backend *b, struct error *error) {
    (void)b, (void)error;
    return true; /* every operation is done when it returns */
}

static struct buffer *cpu_buffer_create(struct backend *b, size_t bytes, struct error *error) {
    (void)b;
    struct buffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer || !cpu_reserve(buffer, bytes ? bytes : 1)) {
        free(buffer);
        error_set(error, ERROR_NO_SPACE, "no memory for a buffer of %zu bytes", bytes);
        return NULL;
    }
    return buffer;
}

static void cpu_buffer_destroy(struct backend *b, struct buffer *buffer) {
    (void)b;
    if (buffer) {
        free(buffer->data);
        free(buffer);
    }
}

static void cpu_buffer_write(struct backend *b, struct buffer *to, size_t at, const void *data,
                             size_t bytes) {
    (void)b;
    memcpy((char *)to->data + at, data, bytes);
}

static void cpu_buffer_read(struct backend *b, struct buffer *from, size_t at, void *data,
                            size_t bytes) {
    (void)b;
    memcpy(data, (const char *)from->data + at, bytes);
}

static void cpu_buffer_copy(struct backend *b, struct buffer *to, struct buffer *from,
                            size_t bytes) {
    (void)b;
    memcpy(to->data, from->data, bytes);
}

static struct matrix *cpu_matrix_create(struct backend *b, const struct gguf_tensor *tensor,
                                        struct error *error) {
    (void)b;
    struct matrix *m = malloc(sizeof *m);
    if (!m) {
        error_set(error, ERROR_NO_SPACE, "no memory for a matrix");
        return NULL;
    }
    *m = (struct matrix){.type = tensor->type,
                         .data = tensor->data,
                         .rows = (size_t)tensor->ne[1],
                         .columns = (size_t)tensor->ne[0],
                         .row_bytes = quant_row_bytes(tensor->type, (size_t)tensor->ne[0])};
    return m;
}

static void cpu_matrix_destroy(struct backend *b, struct matrix *m) {
    (void)b;
    free(m);
}

static void cpu_embed(struct backend *b, struct buffer *y, struct matrix *m, const int32_t *ids,
                      size_t n) {
    (void)b;
    for (size_t i = 0; i < n; i++) {
        quant_row(m->type, m->data + (size_t)ids[i] * m->row_bytes, y->data + i * m->columns,
                  m->columns);
    }
}

struct norm {
    const struct kernels *kernels;
    float *y;
    const float *x, *weight;
    size_t n, width;
    float eps;
};

static void norm_rows(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct norm *c = context;
    size_t end = (index + 1) * CPU_ROW_BLOCK;
    for (size_t i = index * CPU_ROW_BLOCK; i < end && i < c->n; i++) {
        c->kernels->rms_norm(c->y + i * c->width, c->x + i * c->width, c->weight, c->width, c->eps);
    }
}

static void cpu_rms_norm(struct backend *backend, struct buffer *y, struct buffer *x, size_t from,
                         struct buffer *weight, size_t n, size_t width, float eps) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    struct norm c = {b->kernels, y->data, x->data + from * width, weight->data, n, width, eps};
    pool_run(b->pool, (n + CPU_ROW_BLOCK - 1) / CPU_ROW_BLOCK, norm_rows, &c);
}

struct multiply {
    struct cpu_backend *b;
    const struct product *product;
    size_t count;
    struct buffer *const *ys;
    struct matrix *const *matrices;
    struct buffer *const *biases;
    const float *x;
    size_t columns, n, packed_bytes;
};

static void pack_rows(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct multiply *c = context;
    size_t end = (index + 1) * CPU_ROW_BLOCK;
    for (size_t i = index * CPU_ROW_BLOCK; i < end && i < c->n; i++) {
        c->product->pack(c->x + i * c->columns, c->columns,
                         (char *)c->b->packed.data + i * c->packed_bytes);
    }
}

static size_t tasks_of(const struct matrix *m) {
    return (m->rows + TASK_ROWS - 1) / TASK_ROWS;
}

static void multiply_rows(void *context, size_t index, size_t thread) {
    const struct multiply *c = context;
    size_t j = 0;
    while (index >= tasks_of(c->matrices[j])) {
        index -= tasks_of(c->matrices[j++]);
    }
    const struct matrix *m = c->matrices[j];
    size_t row = index * TASK_ROWS;
    size_t rows = m->rows - row < TASK_ROWS ? m->rows - row : TASK_ROWS;
    float *y = c->ys[j]->data + row;
    c->product->multiply(m->type, m->data + row * m->row_bytes, rows, m->columns, c->b->packed.data,
                         c->n, y, m->rows, cpu_scratch(c->b, thread));
    if (c->biases && c->biases[j]) {
        for (size_t i = 0; i < c->n; i++) {
            c->b->kernels->add(y + i * m->rows, c->biases[j]->data + row, rows);
        }
    }
}

static void cpu_matmul(struct backend *backend, size_t count, struct buffer *const *ys,
                       struct matrix *const *matrices, struct buffer *const *biases,
                       struct buffer *x, size_t n) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    const struct product *product = n <= SINGLE_ROWS ? &b->kernels->single : &b->kernels->batch;
    size_t columns = matrices[0]->columns;
    struct multiply c = {b,      product, count,   ys, matrices,
                         biases, x->data, columns, n,  product->packed_bytes(columns)};
    size_t tasks = 0;
    for (size_t j = 0; j < count; j++) {
        tasks += tasks_of(matrices[j]);
    }
    pool_run(b->pool, (n + CPU_ROW_BLOCK - 1) / CPU_ROW_BLOCK, pack_rows, &c);
    pool_run(b->pool, tasks, multiply_rows, &c);
}

/* Elementwise operations in runs of this many values. */
enum { RUN = 16384 };

struct pairwise {
    void (*run)(const struct kernels *k, float *y, const float *x, size_t n);
    const struct kernels *kernels;
    float *y;
    const float *x;
    size_t values;
};

static void pairwise_run(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct pairwise *c = context;
    size_t at = index * RUN;
    c->run(c->kernels, c->y + at, c->x + at, c->values - at < RUN ? c->values - at : RUN);
}

static void add_run(const struct kernels *k, float *y, const float *x, size_t n) {
    k->add(y, x, n);
}

static void swiglu_run(const struct kernels *k, float *gate, const float *up, size_t n) {
    k->silu_mul(gate, gate, up, n);
}

static void cpu_add(struct backend *backend, struct buffer *y, struct buffer *x, size_t values) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    struct pairwise c = {add_run, b->kernels, y->data, x->data, values};
    pool_run(b->pool, (values + RUN - 1) / RUN, pairwise_run, &c);
}

static void cpu_swiglu(struct backend *backend, struct buffer *gate, struct buffer *up,
                       size_t values) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    struct pairwise c = {swiglu_run, b->kernels, gate->data, up->data, values};
    pool_run(b->pool, (values + RUN - 1) / RUN, pairwise_run, &c);
}

static const struct backend_ops cpu_ops = {
    .name = "cpu",
    .destroy = cpu_destroy,
    .wait = cpu_wait,
    .prepare = cpu_prepare,
    .buffer_create = cpu_buffer_create,
    .buffer_destroy = cpu_buffer_destroy,
    .buffer_write = cpu_buffer_write,
    .buffer_read = cpu_buffer_read,
    .buffer_copy = cpu_buffer_copy,
    .matrix_create = cpu_matrix_create,
    .matrix_destroy = cpu_matrix_destroy,
    .embed = cpu_embed,
    .rms_norm = cpu_rms_norm,
    .matmul = cpu_matmul,
    .add = cpu_add,
    .swiglu = cpu_swiglu,
    .positions = cpu_positions,
    .window_retire = cpu_window_retire,
    .window_merge = cpu_window_merge,
    .memory_write = cpu_memory_write,
    .window_store = cpu_window_store,
    .window_attend = cpu_window_attend,
    .memory_read = cpu_memory_read,
};

struct backend *cpu_backend_create(size_t threads, struct error *error) {
    struct cpu_backend *b = calloc(1, sizeof *b);
    if (!b) {
        error_set(error, ERROR_NO_SPACE, "no memory for the CPU backend");
        return NULL;
    }
    b->base.ops = &cpu_ops;
    b->kernels = kernels_choose();
    b->pool = pool_create(threads, error);
    if (!b->pool) {
        free(b);
        return NULL;
    }
    return &b->base;
}
