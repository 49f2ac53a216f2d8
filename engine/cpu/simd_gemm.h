/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of fp32 matrices, and scores with f16 keys: panels through the register tile. Scores
 * stay in fp32 on all processors because they go into exponentials. Bound: multiplications when
 * many queries share the keys, otherwise the turning of keys into columns, which keeps pace with
 * memory.
 */
#pragma once

#include "engine/cpu/simd_few.h"
#include "engine/cpu/simd_panel.h"

static inline size_t scores_scratch_bytes(size_t e) {
    return e * TILE_COLUMNS * sizeof(float);
}

static void scores(const float *q, size_t m, size_t ldq, const uint16_t *k, size_t n, size_t e,
                   float scale, float *s, size_t lds, void *scratch) {
    if (few_fit(m, e)) {
        few_scores(q, m, ldq, k, n, e, scale, s, lds);
        return;
    }
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

static void gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, const float *a,
                 size_t lda, const float *b, size_t ldb, float *c, size_t ldc, bool accumulate) {
    vu panel[PANEL_STEPS * TILE_VECTORS];
    struct tile_job job = {.a_row = transpose_a ? 1 : lda,
                           .a_step = transpose_a ? lda : 1,
                           .panel = panel,
                           .ldc = ldc,
                           .scale = 1};
    for (size_t j = 0; j < n; j += TILE_COLUMNS) {
        job.columns = n - j < TILE_COLUMNS ? n - j : TILE_COLUMNS;
        job.c = c + j;
        for (size_t l = 0; l < k; l += PANEL_STEPS) {
            job.a = a + l * job.a_step;
            job.steps = k - l < PANEL_STEPS ? k - l : PANEL_STEPS;
            job.accumulate = accumulate || l > 0;
            if (transpose_b) {
                panel_of_rows(QUANT_F32, (const uint8_t *)(b + j * ldb), ldb * sizeof *b,
                              job.columns, l, job.steps, panel);
            } else {
                panel_of_columns_f32(b + l * ldb + j, ldb, job.columns, job.steps, panel);
            }
            tiles_f32(&job, m);
        }
    }
}
