/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of fp32 matrices: panels through the register tile. Bound: multiplications.
 */
#pragma once

#include "engine/cpu/simd_panel.h"

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
