/* SPDX-License-Identifier: Apache-2.0
 *
 * The dense operations: embeddings, norms, products and what is element by element.
 */
#include "engine/vulkan/vulkan_private.h"

/* Of the shaders: rows of a matrix per workgroup of matvec, tile of matmul, threads. */
enum { VECTOR_ROWS = 4, TILE_ROWS = 64, TILE_N = 32, EMBED_THREADS = 64, THREADS = 128 };

void vulkan_embed(struct backend *backend, struct buffer *y, struct matrix *m, const int32_t *ids,
                  size_t n) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    const struct {
        VkDeviceAddress y, weights, ids;
        uint32_t columns, row_words, n;
    } push = {vulkan_address(y, 0), vulkan_span_address(m->span), vulkan_address(b->ids, 0),
              (uint32_t)m->columns, (uint32_t)m->row_words,       (uint32_t)n};
    vulkan_upload(&b->commands, b->ids->span, 0, ids, n * sizeof *ids);
    vulkan_barrier(&b->commands);
    size_t threads = n * divide_up(m->columns, 16);
    vulkan_dispatch(&b->commands, m->embed, &push, sizeof push,
                    vulkan_groups(divide_up(threads, EMBED_THREADS)), 1, 1);
}

void vulkan_rms_norm(struct backend *backend, struct buffer *y, struct buffer *x, size_t from,
                     struct buffer *weight, size_t n, size_t width, float eps) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    const struct {
        VkDeviceAddress y, x, weight;
        uint32_t n, width;
        float eps;
    } push = {vulkan_address(y, 0),      vulkan_address(x, from * width * sizeof(float)),
              vulkan_address(weight, 0), (uint32_t)n,
              (uint32_t)width,           eps};
    vulkan_barrier(&b->commands);
    vulkan_dispatch(&b->commands, b->rms_norm, &push, sizeof push, vulkan_groups(n), 1, 1);
}

void vulkan_matmul(struct backend *backend, size_t count, struct buffer *const *ys,
                   struct matrix *const *matrices, struct buffer *const *biases, struct buffer *x,
                   size_t n) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    vulkan_barrier(&b->commands); /* one for all: they write different buffers */
    for (size_t j = 0; j < count; j++) {
        const struct matrix *m = matrices[j];
        const struct buffer *bias = biases ? biases[j] : NULL;
        const struct {
            VkDeviceAddress y, weights, x, bias;
            uint32_t rows, columns, row_words, has_bias, n;
        } push = {vulkan_address(ys[j], 0),
                  vulkan_span_address(m->span),
                  vulkan_address(x, 0),
                  bias ? vulkan_address(bias, 0) : 0,
                  (uint32_t)m->rows,
                  (uint32_t)m->columns,
                  (uint32_t)m->row_words,
                  bias ? 1 : 0,
                  (uint32_t)n};
        size_t groups = n == 1 ? divide_up(m->rows, VECTOR_ROWS)
                               : divide_up(m->rows, TILE_ROWS) * divide_up(n, TILE_N);
        vulkan_dispatch(&b->commands, n == 1 ? m->matvec : m->matmul, &push, sizeof push,
                        vulkan_groups(groups), 1, 1);
    }
}

static void pairwise(struct vulkan_backend *b, const struct vulkan_pipeline *pipeline,
                     struct buffer *y, struct buffer *x, size_t values) {
    const struct {
        VkDeviceAddress y, x;
        uint32_t values;
    } push = {vulkan_address(y, 0), vulkan_address(x, 0), (uint32_t)values};
    vulkan_barrier(&b->commands);
    vulkan_dispatch(&b->commands, pipeline, &push, sizeof push,
                    vulkan_groups(divide_up(values, THREADS)), 1, 1);
}

void vulkan_add(struct backend *backend, struct buffer *y, struct buffer *x, size_t values) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    pairwise(b, b->add, y, x, values);
}

void vulkan_swiglu(struct backend *backend, struct buffer *gate, struct buffer *up, size_t values) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    pairwise(b, b->swiglu, gate, up, values);
}
