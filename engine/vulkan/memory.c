/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory branch on the device. A write is a row of small shaders, each with all heads at once;
 * what goes from one to the next is in buffers for a block of C tokens.
 */
#include <stdlib.h>

#include "engine/vulkan/vulkan_private.h"

/* Threads of the shaders that take single values, and the largest block whose linear system fits
 * into shared memory. */
enum { EVIDENCE_THREADS = 64, VALUE_THREADS = 128, SOLVE_MOST = 64 };

/* A layer's parameters on the device: offsets in one buffer, in bytes. */
struct vulkan_branch {
    const struct memory_branch *branch; /* the same on the host */
    struct buffer *buffer;
    size_t w1, w3, w2, q_map, k_map, ev_q, ev_k, gate_lse; /* alpha follows gate_lse */
    struct vulkan_branch *next;
};

bool vulkan_memory_load(struct backend *backend, const struct memory_branch *p,
                        const struct window_shape *s, struct error *error) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    const size_t H = s->heads, M = s->kv_heads, e = s->head_dim, f = s->memory_width;
    struct vulkan_branch *made = calloc(1, sizeof *made);
    if (!made) {
        return error_set(error, ERROR_NO_SPACE, "no memory for a layer's memory branch");
    }
    const struct {
        const float *data;
        size_t count, *at;
    } parts[] = {
        {p->w1, M * f * e, &made->w1},
        {p->w3, M * f * e, &made->w3},
        {p->w2, M * e * f, &made->w2},
        {p->q_map, H * e * e, &made->q_map},
        {p->k_map, M * e * e, &made->k_map},
        {p->ev_q, H * e * e, &made->ev_q},
        {p->ev_k, M * e * e, &made->ev_k},
        {p->gate_lse, H, &made->gate_lse},
        {p->alpha, H * e, NULL},
    };
    enum { PARTS = sizeof parts / sizeof *parts };
    size_t bytes = 0;
    for (size_t i = 0; i < PARTS; i++) {
        if (parts[i].at) {
            *parts[i].at = bytes;
        }
        bytes += parts[i].count * sizeof(float);
    }
    made->branch = p;
    made->buffer = vulkan_buffer_create(backend, bytes, error);
    if (!made->buffer) {
        free(made);
        return false;
    }
    for (size_t i = 0, at = 0; i < PARTS; i++) {
        vulkan_upload(&b->commands, made->buffer->span, at, parts[i].data,
                      parts[i].count * sizeof(float));
        at += parts[i].count * sizeof(float);
    }
    made->next = b->branches;
    b->branches = made;
    return true;
}

void vulkan_memory_finish(struct vulkan_backend *b) {
    while (b->branches) {
        struct vulkan_branch *gone = b->branches;
        b->branches = gone->next;
        vulkan_buffer_destroy(&b->base, gone->buffer);
        free(gone);
    }
    struct buffer *owned[] = {b->hidden, b->errors, b->gram};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        vulkan_buffer_destroy(&b->base, owned[i]);
    }
}

static const struct vulkan_branch *branch_of(const struct vulkan_backend *b,
                                             const struct attention_step *step) {
    const struct vulkan_branch *found = b->branches;
    while (found->branch != step->memory) {
        found = found->next;
    }
    return found;
}

bool vulkan_memory_prepare(struct vulkan_backend *b, const struct window_shape *s,
                           struct error *error) {
    const uint32_t none[VULKAN_CONSTANTS] = {0};
    const uint32_t fits[VULKAN_CONSTANTS] = {s->chunk <= SOLVE_MOST ? 1 : 0};
    const size_t H = s->heads, M = s->kv_heads, C = s->chunk, e = s->head_dim;
    struct vulkan_memory_pipelines *p = &b->memory;
    struct vulkan_pipelines *all = &b->pipelines;
    return s->memory_width == 0 ||
           ((p->decay = vulkan_pipeline(all, "memory_decay", none, error)) &&
            (p->evidence = vulkan_pipeline(all, "memory_evidence", none, error)) &&
            (p->hidden = vulkan_pipeline(all, "memory_hidden", none, error)) &&
            (p->error = vulkan_pipeline(all, "memory_error", none, error)) &&
            (p->gram = vulkan_pipeline(all, "memory_gram", none, error)) &&
            (p->solve = vulkan_pipeline(all, "memory_solve", fits, error)) &&
            (p->update = vulkan_pipeline(all, "memory_update", none, error)) &&
            (p->read = vulkan_pipeline(all, "memory_read", none, error)) &&
            vulkan_reserve(b, &b->hidden, C * H * s->memory_width * sizeof(float), error) &&
            vulkan_reserve(b, &b->errors, C * M * e * sizeof(float), error) &&
            vulkan_reserve(b, &b->gram, C * C * M * sizeof(float), error));
}

/* The features of rows of `heads` heads, to b->hidden [heads][rows][f]. */
static void find_features(struct vulkan_backend *b, const struct attention_step *step,
                          const struct vulkan_branch *p, VkDeviceAddress x, size_t row_stride,
                          size_t head_stride, size_t rows, size_t heads, size_t map) {
    const struct window_shape *s = step->shape;
    const struct {
        VkDeviceAddress x, map, w1, w3, hidden;
        uint32_t row_stride, head_stride, rows, heads, group, head_dim, width;
    } push = {x,
              vulkan_address(p->buffer, map),
              vulkan_address(p->buffer, p->w1),
              vulkan_address(p->buffer, p->w3),
              vulkan_address(b->hidden, 0),
              (uint32_t)row_stride,
              (uint32_t)head_stride,
              (uint32_t)rows,
              (uint32_t)heads,
              (uint32_t)heads / s->kv_heads,
              s->head_dim,
              s->memory_width};
    vulkan_dispatch(&b->commands, b->memory.hidden, &push, sizeof push, vulkan_groups(rows * heads),
                    1, 1);
}

void vulkan_memory_write(struct backend *backend, const struct attention_step *step) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    const struct window_shape *s = step->shape;
    const struct window_layout l = window_layout(s);
    const struct vulkan_branch *p = branch_of(b, step);
    const struct vulkan_memory_pipelines *with = &b->memory;
    struct vulkan_commands *c = &b->commands;
    const uint32_t M = s->kv_heads, e = s->head_dim, f = s->memory_width;
    const uint32_t n = (uint32_t)(window_written_at(s, step->position) -
                                  window_written_at(s, step->position - s->chunk));
    if (n == 0) {
        return;
    }
    const struct {
        VkDeviceAddress leaving, hidden, errors, gram, weights, start, sums, map;
        uint32_t n, chunk, head_dim, width, kv_heads;
        float target_scale;
    } push = {vulkan_address(b->leaving, 0),
              vulkan_address(b->hidden, 0),
              vulkan_address(b->errors, 0),
              vulkan_address(b->gram, 0),
              vulkan_address(step->state, l.fast),
              vulkan_address(p->buffer, p->w2),
              vulkan_address(step->state, l.evidence),
              vulkan_address(p->buffer, p->ev_k),
              n,
              s->chunk,
              e,
              f,
              M,
              1 / step->memory->v_scale};
    const uint32_t value_groups = vulkan_groups(divide_up((size_t)e * f, VALUE_THREADS));
    vulkan_barrier(c);
    vulkan_dispatch(c, with->evidence, &push, sizeof push, (uint32_t)divide_up(e, EVIDENCE_THREADS),
                    M, 1);
    if (!step->writes) {
        return;
    }
    const size_t token = 2 * (size_t)e + 2;
    vulkan_dispatch(c, with->decay, &push, sizeof push, value_groups, M, 1);
    find_features(b, step, p, push.leaving, token, s->chunk * token, n, M, p->k_map);
    vulkan_barrier(c);
    vulkan_dispatch(c, with->error, &push, sizeof push, n, M, 1);
    vulkan_dispatch(c, with->gram, &push, sizeof push, n, M, 1);
    vulkan_barrier(c);
    vulkan_dispatch(c, with->solve, &push, sizeof push, M, 1, 1);
    vulkan_barrier(c);
    vulkan_dispatch(c, with->update, &push, sizeof push, value_groups, M, 1);
}

void vulkan_memory_read(struct backend *backend, const struct attention_step *step) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    const struct window_shape *s = step->shape;
    const struct window_layout l = window_layout(s);
    const struct vulkan_branch *p = branch_of(b, step);
    const size_t H = s->heads, e = s->head_dim, first = step->row * H * e * sizeof(float);
    const struct {
        VkDeviceAddress q, result, hidden, weights, sums, map, gate, lse, parameters;
        uint32_t rows, heads, group, head_dim, width;
    } push = {vulkan_address(step->q, first),
              vulkan_address(step->out, first),
              vulkan_address(b->hidden, 0),
              vulkan_address(step->state, l.fast),
              vulkan_address(step->state, l.evidence),
              vulkan_address(p->buffer, p->ev_q),
              vulkan_address(step->gate, step->row * H * sizeof(float)),
              vulkan_address(b->lse, 0),
              vulkan_address(p->buffer, p->gate_lse),
              (uint32_t)step->rows,
              s->heads,
              s->heads / s->kv_heads,
              s->head_dim,
              s->memory_width};
    vulkan_barrier(&b->commands);
    find_features(b, step, p, push.q, H * e, e, step->rows, H, p->q_map);
    vulkan_barrier(&b->commands);
    vulkan_dispatch(&b->commands, b->memory.read, &push, sizeof push, vulkan_groups(step->rows * H),
                    1, 1);
}
