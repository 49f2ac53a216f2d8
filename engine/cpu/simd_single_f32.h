/* SPDX-License-Identifier: Apache-2.0
 *
 * The single product with weights that are not quantised, in fp32: rows are read as they stand,
 * four at a time. Bound: the memory that the weights come from. The few quantised formats without
 * slices go through a row of floats.
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

enum { DOT_ROWS = 4 };

/* Products of one token with `rows` (at most DOT_ROWS) rows of k values of `size` bytes; x is
 * followed by zeros up to a multiple of LANES. */
INLINE void dot_rows(vf (*load)(const uint8_t *p), size_t size, const uint8_t *w, size_t row_bytes,
                     size_t rows, size_t k, const float *x, float *y) {
    vf sum[DOT_ROWS];
    for (size_t r = 0; r < rows; r++) {
        sum[r] = vf_set(0);
    }
    size_t j = 0;
    for (; j + LANES <= k; j += LANES) {
        vf a = vf_load(x + j);
        for (size_t r = 0; r < rows; r++) {
            const uint8_t *p = w + r * row_bytes + j * size;
            __builtin_prefetch(p + DOT_ROWS * row_bytes);
            sum[r] = vf_fma(load(p), a, sum[r]);
        }
    }
    if (j < k) {
        for (size_t r = 0; r < rows; r++) {
            uint8_t rest[LANES * sizeof(float)] = {0};
            memcpy(rest, w + r * row_bytes + j * size, (k - j) * size);
            sum[r] = vf_fma(load(rest), vf_load(x + j), sum[r]);
        }
    }
    for (size_t r = 0; r < rows; r++) {
        y[r] = vf_sum_lanes(sum[r]);
    }
}

INLINE void single_rows(vf (*load)(const uint8_t *p), size_t size, const struct product_job *job) {
    size_t row_bytes = job->k * size;
    for (size_t r = 0, rows; r < job->rows; r += rows) {
        rows = job->rows - r < DOT_ROWS ? 1 : DOT_ROWS;
        const uint8_t *w = job->w + r * row_bytes;
        for (size_t i = 0; i < job->n; i++) {
            const float *x = (const float *)(const void *)(job->x + i * job->x_stride);
            float *y = job->y + i * job->ldy + r;
            if (rows == DOT_ROWS) {
                dot_rows(load, size, w, row_bytes, DOT_ROWS, job->k, x, y);
            } else {
                dot_rows(load, size, w, row_bytes, 1, job->k, x, y);
            }
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
