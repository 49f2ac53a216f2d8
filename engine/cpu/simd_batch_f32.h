/* SPDX-License-Identifier: Apache-2.0
 *
 * The batch product with weights that are not quantised, and attention's scores and mix, in fp32.
 * Weights are expanded TILE_COLUMNS rows at a time into a panel and all tokens run over it.
 * simd_batch_bf16.h has the same names for processors that multiply bf16.
 */
#pragma once

#include "engine/cpu/simd_panel.h"

/* Activations are packed as they are. */
static inline size_t batch_float_bytes(size_t k) {
    return k * sizeof(float);
}

static inline void batch_float_pack(const float *x, size_t k, void *packed) {
    memcpy(packed, x, k * sizeof(float));
}

static inline size_t batch_float_scratch_bytes(size_t k) {
    return k * TILE_COLUMNS * sizeof(float);
}

static void batch_float(enum quant_type type, const struct product_job *job) {
    size_t k = job->k, row_bytes = quant_row_bytes(type, k);
    vu *panel = job->scratch;
    struct tile_job tile = {.a = job->x,
                            .a_row = job->x_stride / sizeof(uint32_t),
                            .a_step = 1,
                            .panel = panel,
                            .steps = k,
                            .ldc = job->ldy,
                            .scale = 1};
    for (size_t r = 0; r < job->rows; r += TILE_COLUMNS) {
        tile.columns = job->rows - r < TILE_COLUMNS ? job->rows - r : TILE_COLUMNS;
        tile.c = job->y + r;
        for (size_t s = 0; s < k; s += PANEL_STEPS) {
            size_t steps = k - s < PANEL_STEPS ? k - s : PANEL_STEPS;
            panel_of_rows(type, job->w + r * row_bytes, row_bytes, tile.columns, s, steps,
                          panel + s * TILE_VECTORS);
        }
        tiles_f32(&tile, job->n);
    }
}

static inline size_t scores_scratch_bytes(size_t e) {
    return e * TILE_COLUMNS * sizeof(float);
}

static void panel_scores(const float *q, size_t m, size_t ldq, const uint16_t *k, size_t n,
                         size_t e, float scale, float *s, size_t lds, void *scratch) {
    struct tile_job job = {.a = q,
                           .a_row = ldq,
                           .a_step = 1,
                           .panel = scratch,
                           .steps = e,
                           .ldc = lds,
                           .scale = scale};
    for (size_t j = 0; j < n; j += TILE_COLUMNS) {
        job.columns = n - j < TILE_COLUMNS ? n - j : TILE_COLUMNS;
        job.c = s + j;
        for (size_t c = 0; c < e; c += PANEL_STEPS) {
            size_t steps = e - c < PANEL_STEPS ? e - c : PANEL_STEPS;
            panel_of_rows(QUANT_F16, (const uint8_t *)(k + j * e), e * sizeof *k, job.columns, c,
                          steps, (vu *)scratch + c * TILE_VECTORS);
        }
        tiles_f32(&job, m);
    }
}

static inline size_t mix_scratch_bytes(size_t e) {
    (void)e;
    return PANEL_STEPS * TILE_COLUMNS * sizeof(float);
}

static void panel_mix(const float *p, size_t m, size_t ldp, const uint16_t *v, size_t n, size_t e,
                      float *o, size_t ldo, void *scratch) {
    struct tile_job job = {.a_row = ldp, .a_step = 1, .panel = scratch, .ldc = ldo, .scale = 1};
    for (size_t j = 0; j < n; j += PANEL_STEPS) {
        job.a = p + j;
        job.steps = n - j < PANEL_STEPS ? n - j : PANEL_STEPS;
        job.accumulate = j > 0;
        for (size_t c = 0; c < e; c += TILE_COLUMNS) {
            job.columns = e - c < TILE_COLUMNS ? e - c : TILE_COLUMNS;
            job.c = o + c;
            panel_of_columns_f16(v + j * e + c, e, job.columns, job.steps, scratch);
            tiles_f32(&job, m);
        }
    }
}
