/* SPDX-License-Identifier: Apache-2.0
 *
 * The register tile of all floating-point products: up to TILE_TOKENS rows of A times a panel of
 * TILE_COLUMNS columns. A panel is [steps][TILE_COLUMNS] dwords and A is read a dword at a time, so
 * that a step is one fp32 multiply-add, or two in bf16 pairs (simd_bf16.h). Bound: multiplications;
 * a step loads TILE_VECTORS vectors and one dword per token for tokens * TILE_VECTORS of them.
 * Every element is one chain of sums over the steps, whatever the tile it is in.
 */
#pragma once

#include <stdbool.h>

#define INLINE static inline __attribute__((always_inline))

enum { TILE_VECTORS = 2, TILE_COLUMNS = TILE_VECTORS * LANES };

/* Bytes that memory is asked ahead where rows are read in one stream: a sixth or a quarter of an L1
 * cache. At 2 KB a busy memory answers too late. */
enum { STREAM_AHEAD = 8192 };

/* The arguments of a multiply, x being the part of the packed rows that is meant. */
struct product_job {
    const uint8_t *w;
    size_t rows, k;
    const char *x;
    size_t x_stride; /* bytes */
    size_t n;
    float *y;
    size_t ldy;
    void *scratch;
};

/* C[i * ldc + j] = scale * sum over s of A[i * a_row + s * a_step] * panel[s][j], for `columns` of
 * the panel's columns; with `accumulate` it is added to C. Strides in dwords. */
struct tile_job {
    const void *a;
    size_t a_row, a_step;
    const vu *panel;
    size_t steps;
    float *c;
    size_t ldc, columns;
    float scale;
    bool accumulate;
};

/* sum + w * a, of what the dwords hold */
typedef vf tile_step(vf sum, vu w, vu a);

INLINE vf tile_step_f32(vf sum, vu w, vu a) {
    return vf_fma((vf)w, (vf)a, sum);
}

/* The size of the next tile when n tokens are left: the largest, or 8, or 1 to 4. Three is a
 * common number of queries that share a key. */
static inline size_t tile_tokens(size_t n, size_t largest) {
    if (n >= largest) {
        return largest;
    }
    return n >= 8 ? 8 : n >= 4 ? 4 : n;
}

/* `tokens` rows from row `first` on; constant, so that the sums stay in registers. */
INLINE void tile(tile_step *step, size_t tokens, const struct tile_job *job, size_t first) {
    const uint32_t *a = (const uint32_t *)job->a + first * job->a_row;
    size_t a_row = job->a_row, a_step = job->a_step;
    const vu *panel = job->panel;
    vf sum[TILE_TOKENS][TILE_VECTORS];
#pragma GCC unroll 32
    for (size_t i = 0; i < tokens * TILE_VECTORS; i++) {
        sum[i / TILE_VECTORS][i % TILE_VECTORS] = vf_set(0);
    }
    for (size_t s = 0; s < job->steps; s++) {
#pragma GCC unroll 32
        for (size_t i = 0; i < tokens * TILE_VECTORS; i++) {
            size_t t = i / TILE_VECTORS, v = i % TILE_VECTORS;
            sum[t][v] = step(sum[t][v], panel[v], vu_broadcast(a + t * a_row));
        }
        panel += TILE_VECTORS;
        a += a_step;
    }
#pragma GCC unroll 32
    for (size_t i = 0; i < tokens * TILE_VECTORS; i++) {
        size_t t = i / TILE_VECTORS, v = i % TILE_VECTORS;
        if (v * LANES < job->columns) {
            float *c = job->c + (first + t) * job->ldc + v * LANES;
            size_t lanes = job->columns - v * LANES;
            vf value = sum[t][v] * vf_set(job->scale);
            if (job->accumulate) {
                value += vf_load_some(c, lanes);
            }
            vf_store_some(c, value, lanes);
        }
    }
}

INLINE void tiles(tile_step *step, const struct tile_job *job, size_t m) {
    for (size_t i = 0, t; i < m; i += t) {
        t = tile_tokens(m - i, TILE_TOKENS);
        if (t == TILE_TOKENS) {
            tile(step, TILE_TOKENS, job, i);
        } else if (t == 8) {
            tile(step, TILE_TOKENS < 8 ? 1 : 8, job, i);
        } else if (t == 4) {
            tile(step, 4, job, i);
        } else if (t == 3) {
            tile(step, 3, job, i);
        } else if (t == 2) {
            tile(step, 2, job, i);
        } else {
            tile(step, 1, job, i);
        }
    }
}
