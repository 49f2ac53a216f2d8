/* SPDX-License-Identifier: Apache-2.0
 *
 * Matrices on the device. Their blocks stay quantised; a row is only laid out anew so that a shader
 * can read it in whole words (shaders/lib/quant.glsl reads it):
 *
 *   F32, F16, BF16      the values, with zeroes up to a multiple of 16
 *   Q4_0, Q5_0, Q8_0    the blocks without their scales, then the scales
 *   Q3_K, Q6_K          each block padded to a multiple of 4 bytes
 *   others              as in the file: their blocks are whole words
 */
#include <stdlib.h>
#include <string.h>

#include "engine/vulkan/vulkan_private.h"

enum { UNIT = 16 }; /* values that a shader expands at a time */

static bool scale_stands_first(enum quant_type type) {
    return type == QUANT_Q4_0 || type == QUANT_Q5_0 || type == QUANT_Q8_0;
}

static size_t row_bytes(enum quant_type type, size_t columns) {
    const struct quant_info *info = quant_info(type);
    if (info->block == 1) {
        return (columns + UNIT - 1) / UNIT * UNIT * info->block_bytes;
    }
    size_t blocks = columns / info->block;
    if (scale_stands_first(type)) {
        return (blocks * info->block_bytes + 3) / 4 * 4;
    }
    return blocks * ((info->block_bytes + 3) / 4 * 4);
}

static void lay_out_row(enum quant_type type, const uint8_t *row, size_t columns, uint8_t *to) {
    const struct quant_info *info = quant_info(type);
    size_t blocks = columns / info->block, from = info->block_bytes;
    memset(to, 0, row_bytes(type, columns));
    if (info->block == 1) {
        memcpy(to, row, blocks * from);
        return;
    }
    size_t scale = scale_stands_first(type) ? 2 : 0, words = (from - scale + 3) / 4 * 4;
    for (size_t i = 0; i < blocks; i++) {
        memcpy(to + i * words, row + i * from + scale, from - scale);
        memcpy(to + blocks * words + i * scale, row + i * from, scale);
    }
}

static void upload(struct vulkan_backend *b, const struct matrix *m) {
    size_t from = quant_row_bytes(m->type, m->columns), to = 4 * m->row_words;
    size_t together = VULKAN_ROOM / to;
    for (size_t row = 0; row < m->rows; row += together) {
        size_t n = m->rows - row < together ? m->rows - row : together;
        uint8_t *room = vulkan_upload_room(&b->commands, m->span, row * to, n * to);
        for (size_t i = 0; room && i < n; i++) {
            lay_out_row(m->type, (const uint8_t *)m->data + (row + i) * from, m->columns,
                        room + i * to);
        }
    }
}

static bool find_pipelines(struct vulkan_backend *b, struct matrix *m, struct error *error) {
    const uint32_t constants[VULKAN_CONSTANTS] = {m->type};
    const bool dot = b->device.use_dot && quant_info(m->type)->block > 1;
    return (m->embed = vulkan_pipeline(&b->pipelines, "embed", constants, error)) &&
           (m->matvec =
                vulkan_pipeline(&b->pipelines, dot ? "matvec_dot" : "matvec", constants, error)) &&
           (m->matmul =
                vulkan_pipeline(&b->pipelines, dot ? "matmul_dot" : "matmul", constants, error));
}

struct matrix *vulkan_matrix_create(struct backend *backend, const struct gguf_tensor *tensor,
                                    struct error *error) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    struct matrix *m = calloc(1, sizeof *m);
    if (!m) {
        error_set(error, ERROR_NO_SPACE, "no memory for a matrix");
        return NULL;
    }
    *m = (struct matrix){.type = tensor->type,
                         .data = tensor->data,
                         .rows = (size_t)tensor->ne[1],
                         .columns = (size_t)tensor->ne[0]};
    m->row_words = row_bytes(m->type, m->columns) / 4;
    for (struct matrix *same = b->matrices; same && !m->span; same = same->next) {
        if (same->data == m->data && same->type == m->type && same->columns == m->columns &&
            same->rows == m->rows) {
            m->span = same->span;
        }
    }
    bool fresh = !m->span;
    if (4 * m->row_words > VULKAN_ROOM) {
        error_set(error, ERROR_INCOMPATIBLE,
                  "a row of %zu values is too long for the Vulkan "
                  "backend",
                  m->columns);
    } else if (find_pipelines(b, m, error) &&
               (m->span ||
                (m->span = vulkan_span_create(&b->allocator, 4 * m->rows * m->row_words, error)))) {
        if (fresh) {
            upload(b, m);
        }
        m->next = b->matrices;
        b->matrices = m;
        return m;
    }
    free(m);
    return NULL;
}

void vulkan_matrix_destroy(struct backend *backend, struct matrix *m) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    if (!m) {
        return;
    }
    struct matrix **link = &b->matrices;
    while (*link != m) {
        link = &(*link)->next;
    }
    *link = m->next;
    bool shared = false;
    for (struct matrix *other = b->matrices; other; other = other->next) {
        shared = shared || other->span == m->span;
    }
    if (!shared) {
        vulkan_flush(&b->commands);
        vulkan_span_destroy(&b->allocator, m->span);
    }
    free(m);
}
