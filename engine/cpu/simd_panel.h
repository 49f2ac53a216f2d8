/* SPDX-License-Identifier: Apache-2.0
 *
 * Panels of fp32 for the register tile (simd_tile.h): rows turned into columns, or rows
 * copied as they are. A panel is filled PANEL_STEPS steps at a time at most, which is also the
 * length of the sums that attention and gemm add up.
 */
#pragma once

#include <string.h>

#include "engine/cpu/simd_tile.h"
#include "engine/quant.h"

enum { PANEL_STEPS = 256 };

/* Both conversions take rows at any address. */

static inline void floats_of_f16(float *y, const uint16_t *x, size_t n) {
    size_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        vf_store(y + j, vf_load_f16(x + j));
    }
    if (j < n) {
        uint16_t rest[LANES] = {0};
        memcpy(rest, x + j, (n - j) * sizeof *x);
        vf_store_some(y + j, vf_load_f16(rest), n - j);
    }
}

static inline void floats_of_bf16(float *y, const uint16_t *x, size_t n) {
    size_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        vf_store(y + j, vf_load_bf16(x + j));
    }
    if (j < n) {
        uint16_t rest[LANES] = {0};
        memcpy(rest, x + j, (n - j) * sizeof *x);
        vf_store_some(y + j, vf_load_bf16(rest), n - j);
    }
}

/* y[0..n) = a row of a type without blocks. */
static inline void floats_of(enum quant_type type, const uint8_t *w, float *y, size_t n) {
    switch (type) {
    case QUANT_F16:
        floats_of_f16(y, (const uint16_t *)(const void *)w, n);
        break;
    case QUANT_BF16:
        floats_of_bf16(y, (const uint16_t *)(const void *)w, n);
        break;
    default:
        memcpy(y, w, n * sizeof *y);
    }
}

/* panel[s][v] = the LANES values of column s, for rows of floats `stride` bytes apart. */
static inline void turn_rows(const uint8_t *rows, size_t stride, size_t steps, vu *panel) {
    for (size_t s = 0; s < steps; s += 4) {
        vu c[4];
        load_columns(rows + s * sizeof(float), stride, c);
        for (size_t i = 0; i < 4 && s + i < steps; i++) {
            panel[(s + i) * TILE_VECTORS] = c[i];
        }
    }
}

/* panel[s][r] = value first + s of row r, for `steps` steps, at most PANEL_STEPS; rows beyond
 * `rows` become zeros. The type has no blocks. */
static inline void panel_of_rows(enum quant_type type, const uint8_t *w, size_t row_bytes,
                                 size_t rows, size_t first, size_t steps, vu *panel) {
    float values[LANES][PANEL_STEPS];
    w += quant_row_bytes(type, first);
    for (size_t v = 0; v < TILE_VECTORS; v++, panel++, w += LANES * row_bytes) {
        if (type == QUANT_F32 && steps % 4 == 0 && (v + 1) * LANES <= rows) {
            turn_rows(w, row_bytes, steps, panel);
            continue;
        }
        for (size_t r = 0; r < LANES; r++) {
            if (v * LANES + r < rows) {
                floats_of(type, w + r * row_bytes, values[r], steps);
            } else {
                memset(values[r], 0, steps * sizeof(float));
            }
        }
        turn_rows((const uint8_t *)values, sizeof values[0], steps, panel);
    }
}

/* panel[s][c] = x[s * ldx + c] for `columns` columns; columns beyond become zeros. */
static inline void panel_of_columns_f32(const float *x, size_t ldx, size_t columns, size_t steps,
                                        vu *panel) {
    for (size_t s = 0; s < steps; s++) {
        for (size_t v = 0; v < TILE_VECTORS; v++) {
            size_t lanes = columns > v * LANES ? columns - v * LANES : 0;
            panel[s * TILE_VECTORS + v] = (vu)vf_load_some(x + s * ldx + v * LANES, lanes);
        }
    }
}

static inline void panel_of_columns_f16(const uint16_t *x, size_t ldx, size_t columns, size_t steps,
                                        vu *panel) {
    for (size_t s = 0; s < steps; s++) {
        for (size_t v = 0; v < TILE_VECTORS; v++) {
            const uint16_t *p = x + s * ldx + v * LANES;
            uint16_t rest[LANES] = {0};
            if (columns < (v + 1) * LANES) {
                size_t lanes = columns > v * LANES ? columns - v * LANES : 0;
                memcpy(rest, p, lanes * sizeof *rest);
                p = rest;
            }
            panel[s * TILE_VECTORS + v] = (vu)vf_load_f16(p);
        }
    }
}

static inline void tiles_f32(const struct tile_job *job, size_t m) {
    tiles(tile_step_f32, job, m);
}
