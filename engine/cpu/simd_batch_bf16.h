/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of simd_batch_f32.h for AVX-512 with BF16, which multiplies pairs of bf16 into fp32 at
 * twice the speed of fp32. Weights and activations, and attention's queries, keys, probabilities
 * and values, are rounded to bf16: by 2^-8 of each at most, and 2^-9.3 in quadratic mean.
 */
#pragma once

#include "engine/cpu/simd_panel.h"

INLINE vf tile_step_bf16(vf sum, vu w, vu a) {
    return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)a);
}

/* Pairs, in dwords. An odd last value has a zero beside it. */
static inline size_t bf16_pairs(size_t k) {
    return (k + 1) / 2;
}

static inline void bf16_of_floats(uint16_t *y, const float *x, size_t n) {
    for (size_t j = 0; j < n; j += 2 * LANES) {
        vf low = vf_load_some(x + j, n - j);
        vf high = vf_load_some(x + j + LANES, n > j + LANES ? n - j - LANES : 0);
        __m512i value = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        size_t left = bf16_pairs(n - j);
        _mm512_mask_storeu_epi32(y + j, first_lanes(left), value);
    }
}

static inline size_t batch_float_bytes(size_t k) {
    return bf16_pairs(k) * sizeof(uint32_t);
}

static inline void batch_float_pack(const float *x, size_t k, void *packed) {
    bf16_of_floats(packed, x, k);
}

static inline size_t batch_float_scratch_bytes(size_t k) {
    return bf16_pairs(k) * TILE_COLUMNS * sizeof(uint32_t);
}

/* As panel_of_rows, in pairs of steps; `first` is even. */
static inline void bf16_panel_of_rows(enum quant_type type, const uint8_t *w, size_t row_bytes,
                                      size_t rows, size_t first, size_t steps, vu *panel) {
    uint16_t values[LANES][PANEL_STEPS];
    float row[PANEL_STEPS];
    w += quant_row_bytes(type, first);
    for (size_t v = 0; v < TILE_VECTORS; v++, panel++, w += LANES * row_bytes) {
        for (size_t r = 0; r < LANES; r++) {
            if (v * LANES + r >= rows) {
                memset(values[r], 0, sizeof values[r]);
            } else {
                floats_of(type, w + r * row_bytes, row, steps);
                bf16_of_floats(values[r], row, steps);
            }
        }
        turn_rows((const uint8_t *)values, sizeof values[0], bf16_pairs(steps), panel);
    }
}

static void batch_float(enum quant_type type, const struct product_job *job) {
    size_t k = job->k, row_bytes = quant_row_bytes(type, k);
    vu *panel = job->scratch;
    struct tile_job tile = {.a = job->x,
                            .a_row = job->x_stride / sizeof(uint32_t),
                            .a_step = 1,
                            .panel = panel,
                            .steps = bf16_pairs(k),
                            .ldc = job->ldy,
                            .scale = 1};
    for (size_t r = 0; r < job->rows; r += TILE_COLUMNS) {
        tile.columns = job->rows - r < TILE_COLUMNS ? job->rows - r : TILE_COLUMNS;
        tile.c = job->y + r;
        for (size_t s = 0; s < k; s += PANEL_STEPS) {
            size_t steps = k - s < PANEL_STEPS ? k - s : PANEL_STEPS;
            bf16_panel_of_rows(type, job->w + r * row_bytes, row_bytes, tile.columns, s, steps,
                               panel + s / 2 * TILE_VECTORS);
        }
        tiles(tile_step_bf16, &tile, job->n);
    }
}

static inline size_t scores_scratch_bytes(size_t e) {
    (void)e;
    return PANEL_STEPS / 2 * TILE_COLUMNS * sizeof(uint32_t);
}

enum { SCORE_ROWS = 64 }; /* queries for which a panel of keys is made once */

static void panel_scores(const float *q, size_t m, size_t ldq, const uint16_t *k, size_t n,
                         size_t e, float scale, float *s, size_t lds, void *scratch) {
    uint16_t rows[SCORE_ROWS][PANEL_STEPS]; /* of q */
    struct tile_job job = {.a = rows,
                           .a_row = PANEL_STEPS / 2,
                           .a_step = 1,
                           .panel = scratch,
                           .ldc = lds,
                           .scale = scale};
    for (size_t i = 0; i < m; i += SCORE_ROWS) {
        const size_t count = m - i < SCORE_ROWS ? m - i : SCORE_ROWS;
        for (size_t c = 0; c < e; c += PANEL_STEPS) {
            const size_t steps = e - c < PANEL_STEPS ? e - c : PANEL_STEPS;
            job.steps = bf16_pairs(steps);
            job.accumulate = c > 0;
            for (size_t r = 0; r < count; r++) {
                bf16_of_floats(rows[r], q + (i + r) * ldq + c, steps);
            }
            for (size_t j = 0; j < n; j += TILE_COLUMNS) {
                job.columns = n - j < TILE_COLUMNS ? n - j : TILE_COLUMNS;
                job.c = s + i * lds + j;
                bf16_panel_of_rows(QUANT_F16, (const uint8_t *)(k + j * e), e * sizeof *k,
                                   job.columns, c, steps, scratch);
                tiles(tile_step_bf16, &job, count);
            }
        }
    }
}

/* panel[s][c] = the pair x[2s][c], x[2s + 1][c], for `columns` columns of `rows` rows of f16. */
static inline void bf16_panel_of_columns(const uint16_t *x, size_t ldx, size_t columns, size_t rows,
                                         vu *panel) {
    __m512i pairs = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                     23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    for (size_t s = 0; s < rows; s += 2) {
        for (size_t v = 0; v < TILE_VECTORS; v++) {
            __mmask16 lanes = first_lanes(columns > v * LANES ? columns - v * LANES : 0);
            const uint16_t *p = x + s * ldx + v * LANES;
            __m256i even = _mm256_maskz_loadu_epi16(lanes, p);
            __m256i odd = _mm256_maskz_loadu_epi16(s + 1 < rows ? lanes : 0, p + ldx);
            __m512bh both = _mm512_cvtne2ps_pbh(_mm512_cvtph_ps(odd), _mm512_cvtph_ps(even));
            panel[s / 2 * TILE_VECTORS + v] = (vu)_mm512_permutexvar_epi16(pairs, (__m512i)both);
        }
    }
}

/* A panel for each group of columns. */
static inline size_t mix_scratch_bytes(size_t e) {
    size_t groups = (e + TILE_COLUMNS - 1) / TILE_COLUMNS;
    return groups * PANEL_STEPS / 2 * TILE_COLUMNS * sizeof(uint32_t);
}

enum { MIX_ROWS = 4 * TILE_TOKENS };

static void panel_mix(const float *p, size_t m, size_t ldp, const uint16_t *v, size_t n, size_t e,
                      float *o, size_t ldo, void *scratch) {
    uint16_t rows[MIX_ROWS][PANEL_STEPS]; /* of p */
    size_t panel_size = PANEL_STEPS / 2 * TILE_VECTORS;
    struct tile_job job = {
        .a = rows, .a_row = PANEL_STEPS / 2, .a_step = 1, .ldc = ldo, .scale = 1};
    for (size_t j = 0; j < n; j += PANEL_STEPS) {
        size_t steps = n - j < PANEL_STEPS ? n - j : PANEL_STEPS;
        job.steps = bf16_pairs(steps);
        job.accumulate = j > 0;
        for (size_t c = 0; c < e; c += TILE_COLUMNS) {
            bf16_panel_of_columns(v + j * e + c, e, e - c, steps,
                                  (vu *)scratch + c / TILE_COLUMNS * panel_size);
        }
        for (size_t i = 0; i < m; i += MIX_ROWS) {
            size_t count = m - i < MIX_ROWS ? m - i : MIX_ROWS;
            for (size_t r = 0; r < count; r++) {
                bf16_of_floats(rows[r], p + (i + r) * ldp + j, steps);
            }
            for (size_t c = 0; c < e; c += TILE_COLUMNS) {
                job.panel = (const vu *)scratch + c / TILE_COLUMNS * panel_size;
                job.c = o + i * ldo + c;
                job.columns = e - c < TILE_COLUMNS ? e - c : TILE_COLUMNS;
                tiles(tile_step_bf16, &job, count);
            }
        }
    }
}
