/* SPDX-License-Identifier: Apache-2.0
 *
 * The single product with weights that are not quantised, in fp32: rows are read as they stand, one
 * after the other, so that memory is read in one stream. Bound: the memory that the weights come
 * from.
 */
#pragma once

#include "engine/cpu/simd_panel.h"

static inline vf load_f32(const uint8_t *p) {
    return vf_load((const float *)(const void *)p);
}

static inline vf load_f16(const uint8_t *p) {
    return vf_load_f16((const uint16_t *)(const void *)p);
}

static inline vf load_bf16(const uint8_t *p) {
    return vf_load_bf16((const uint16_t *)(const void *)p);
}

enum { DOT_SUMS = 4 }; /* of a row, in turns, since each waits for the last */

/* A row of k values of `size` bytes with x, which is followed by zeros up to a multiple of LANES:
 * lanes whose sum is the product. */
INLINE vf dot_row(vf (*load)(const uint8_t *p), size_t size, const uint8_t *w, size_t k,
                  const float *x) {
    vf sum[DOT_SUMS] = {vf_set(0), vf_set(0), vf_set(0), vf_set(0)};
    size_t j = 0;
    for (; j + DOT_SUMS * LANES <= k; j += DOT_SUMS * LANES) {
        for (size_t line = 0; line < DOT_SUMS * LANES * size; line += 64) {
            __builtin_prefetch(w + j * size + STREAM_AHEAD + line);
        }
        for (size_t i = 0; i < DOT_SUMS; i++) {
            sum[i] = vf_fma(load(w + (j + i * LANES) * size), vf_load(x + j + i * LANES), sum[i]);
        }
    }
    for (; j + LANES <= k; j += LANES) {
        sum[0] = vf_fma(load(w + j * size), vf_load(x + j), sum[0]);
    }
    if (j < k) {
        uint8_t rest[LANES * sizeof(float)] = {0};
        memcpy(rest, w + j * size, (k - j) * size);
        sum[0] = vf_fma(load(rest), vf_load(x + j), sum[0]);
    }
    return sum[0] + sum[1] + (sum[2] + sum[3]);
}

/* Tokens one after the other over LANES rows, which stay near. */
INLINE void single_rows(vf (*load)(const uint8_t *p), size_t size, const struct product_job *job) {
    const size_t row_bytes = job->k * size;
    for (size_t r = 0; r < job->rows; r += LANES) {
        const size_t rows = job->rows - r < LANES ? job->rows - r : LANES;
        for (size_t t = 0; t < job->n; t++) {
            const float *x = (const float *)(const void *)(job->x + t * job->x_stride);
            vf sums[LANES] = {0};
            for (size_t i = 0; i < rows; i++) {
                sums[i] = dot_row(load, size, job->w + (r + i) * row_bytes, job->k, x);
            }
            vf_store_some(job->y + t * job->ldy + r, vf_sum_each(sums), rows);
        }
    }
}

/* job->x: rows of k floats, each followed by zeros up to a multiple of LANES. */
static void single_float(enum quant_type type, const struct product_job *job) {
    switch (type) {
    case QUANT_F16:
        single_rows(load_f16, sizeof(uint16_t), job);
        break;
    case QUANT_BF16:
        single_rows(load_bf16, sizeof(uint16_t), job);
        break;
    default:
        single_rows(load_f32, sizeof(float), job);
    }
}
