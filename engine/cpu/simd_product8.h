/* SPDX-License-Identifier: Apache-2.0
 *
 * Products with quantised weights, in 8-bit integers. Activations are packed in blocks of 32 signed
 * bytes under a scale; weights are expanded into slices (simd_formats.h), so that a lane is a row
 * and 4 values of it meet 4 activations in one instruction. Per slice, with integer sums:
 *     y += scale * x.scale * (sum(q * x.q) - bias * sum(x.q))      or
 *     y += scale * x.scale * sum(q * x.q) + offset * x.sum
 * Integer sums are exact and slices are added in order, so that how the work is split, and even
 * which of the two products runs, does not show in the result (but for one token and the K formats
 * of simd_single_k.h). Rounding activations to 8 bits adds noise of about 0.5% of their size in
 * quadratic mean.
 *
 * The batch product expands LANES * TILE8_VECTORS rows into scratch and runs all tokens over them,
 * TILE8_TOKENS at a time, in registers. Bound: multiplications. Of 10 or 11 instructions for the
 * two multipliers, 8 are dot4. The single product expands a block and uses it at once. Bound: the
 * memory that the weights come from.
 */
#pragma once

#include <string.h>

#include "engine/cpu/simd_formats.h"
#include "engine/cpu/simd_tile.h"

struct packed8 {
    int8_t q[SLICE];
    float scale;
    float sum;        /* scale * sum of q */
    int32_t minus[2]; /* -sum of the first and of the last 16 of q */
};

static inline size_t packed8_blocks(size_t k) {
    return (k + SLICE - 1) / SLICE;
}

static inline void pack8_block(const float *x, struct packed8 *p) {
    vf v[SLICE / LANES];
    vf peak = vf_set(0);
    for (size_t i = 0; i < SLICE / LANES; i++) {
        v[i] = vf_load(x + i * LANES);
        peak = vf_max(peak, vf_abs(v[i]));
    }
    float max = vf_max_lanes(peak);
    float inverse = max > 0 ? 127 / max : 0;
    for (size_t half = 0; half < 2; half++) {
        vi sum = {0};
        for (size_t i = half * 16 / LANES; i < (half + 1) * 16 / LANES; i++) {
            /* Within the limits but for what is not finite, which no integer stands for. */
            const vf scaled = vf_max(vf_min(v[i] * vf_set(inverse), vf_set(127)), vf_set(-127));
            vi q = vi_of_float(scaled);
            sum -= q;
            vi_store_bytes(p->q + i * LANES, q);
        }
        p->minus[half] = vi_sum_lanes(sum);
    }
    p->scale = max / 127;
    p->sum = -p->scale * (float)(p->minus[0] + p->minus[1]);
}

static inline void pack8(const float *x, size_t k, struct packed8 *packed) {
    size_t b = 0;
    for (; (b + 1) * SLICE <= k; b++) {
        pack8_block(x + b * SLICE, packed + b);
    }
    if (b * SLICE < k) {
        float rest[SLICE] = {0};
        memcpy(rest, x + b * SLICE, (k - b * SLICE) * sizeof(float));
        pack8_block(rest, packed + b);
    }
}

INLINE bool has_halves(enum slice_kind kind) {
    return kind == HALVES || kind == HALF_OFFSETS;
}

INLINE bool has_offsets(enum slice_kind kind) {
    return kind == OFFSETS || kind == HALF_OFFSETS;
}

/* What the bias takes from the sum of a slice, or of its half `half`. */
INLINE vi bias_of(enum slice_kind kind, uint32_t bias, const struct packed8 *x, size_t half) {
    if (has_offsets(kind) || (kind == BYTES && BYTE_BIAS == 0)) {
        return (vi)vu_set(0);
    }
    int32_t minus = has_halves(kind) ? x->minus[half] : x->minus[0] + x->minus[1];
    return (vi)vu_set((uint32_t)minus * bias);
}

INLINE vi dot_of(enum slice_kind kind, vi dot, vu q, vu x) {
    return kind == BYTES ? dot4_byte(dot, q, x) : dot4(dot, q, x);
}

/* The contribution of a slice, or of its half `half`, added to `sum`. */
INLINE vf add_slice(enum slice_kind kind, const struct slice *w, const struct packed8 *x, vi dot,
                    size_t half, vf sum) {
    sum = vf_fma(vf_of_int(dot), w->scale[half] * vf_set(x->scale), sum);
    if (has_offsets(kind)) {
        float x_sum = has_halves(kind) ? x->scale * -(float)x->minus[half] : x->sum;
        sum = vf_fma(w->offset[half], vf_set(x_sum), sum);
    }
    return sum;
}

/* Rows of weights and what they meet: y[t * ldy + r] for row t of x and row r of w. */
struct rows8 {
    const struct slice *w[TILE8_VECTORS]; /* [slices] each, for LANES rows each */
    size_t slices;
    uint32_t bias;
    size_t rows; /* at most LANES * TILE8_VECTORS */
    const char *x;
    size_t x_stride; /* bytes */
    float *y;
    size_t ldy;
};

INLINE const struct packed8 *block_at(const char *x, size_t x_stride, size_t t, size_t b) {
    return (const struct packed8 *)(const void *)(x + t * x_stride) + b;
}

/* `tokens` rows of x from row `first` on; constant, so that the sums stay in registers. */
INLINE void tile8(size_t tokens, enum slice_kind kind, const struct rows8 *job, size_t first) {
    const char *x = job->x + first * job->x_stride;
    size_t x_stride = job->x_stride;
    vf sum[TILE8_TOKENS][TILE8_VECTORS];
#pragma GCC unroll 16
    for (size_t i = 0; i < tokens * TILE8_VECTORS; i++) {
        sum[i / TILE8_VECTORS][i % TILE8_VECTORS] = vf_set(0);
    }
    for (size_t b = 0; b < job->slices; b++) {
        size_t parts = has_halves(kind) ? 2 : 1, columns = 8 / parts;
#pragma GCC unroll 2
        for (size_t part = 0; part < parts; part++) {
            vi dot[TILE8_TOKENS][TILE8_VECTORS];
#pragma GCC unroll 16
            for (size_t i = 0; i < tokens * TILE8_VECTORS; i++) {
                dot[i / TILE8_VECTORS][i % TILE8_VECTORS] =
                    bias_of(kind, job->bias, block_at(x, x_stride, i / TILE8_VECTORS, b), part);
            }
#pragma GCC unroll 8
            for (size_t c = part * columns; c < (part + 1) * columns; c++) {
#pragma GCC unroll 16
                for (size_t i = 0; i < tokens * TILE8_VECTORS; i++) {
                    size_t t = i / TILE8_VECTORS, v = i % TILE8_VECTORS;
                    vu a = vu_broadcast(block_at(x, x_stride, t, b)->q + 4 * c);
                    dot[t][v] = dot_of(kind, dot[t][v], job->w[v][b].q[c], a);
                }
            }
#pragma GCC unroll 16
            for (size_t i = 0; i < tokens * TILE8_VECTORS; i++) {
                size_t t = i / TILE8_VECTORS, v = i % TILE8_VECTORS;
                sum[t][v] = add_slice(kind, job->w[v] + b, block_at(x, x_stride, t, b), dot[t][v],
                                      part, sum[t][v]);
            }
        }
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < tokens * TILE8_VECTORS; i++) {
        size_t t = i / TILE8_VECTORS, v = i % TILE8_VECTORS;
        if (v * LANES < job->rows) {
            vf_store_some(job->y + (first + t) * job->ldy + v * LANES, sum[t][v],
                          job->rows - v * LANES);
        }
    }
}

INLINE void tiles8(enum slice_kind kind, const struct rows8 *job, size_t n) {
    for (size_t i = 0, t; i < n; i += t) {
        t = tile_tokens(n - i, TILE8_TOKENS);
        if (t == TILE8_TOKENS) {
            tile8(TILE8_TOKENS, kind, job, i);
        } else if (t == 4) {
            tile8(TILE8_TOKENS < 4 ? 1 : 4, kind, job, i);
        } else if (t == 3) {
            tile8(3, kind, job, i);
        } else if (t == 2) {
            tile8(2, kind, job, i);
        } else {
            tile8(1, kind, job, i);
        }
    }
}

static void tiles8_biased(const struct rows8 *job, size_t n) {
    tiles8(BIASED, job, n);
}

static void tiles8_offsets(const struct rows8 *job, size_t n) {
    tiles8(OFFSETS, job, n);
}

static void tiles8_halves(const struct rows8 *job, size_t n) {
    tiles8(HALVES, job, n);
}

static void tiles8_half_offsets(const struct rows8 *job, size_t n) {
    tiles8(HALF_OFFSETS, job, n);
}

static void tiles8_bytes(const struct rows8 *job, size_t n) {
    tiles8(BYTES, job, n);
}

static void (*const tiles8_of[])(const struct rows8 *job, size_t n) = {
    [BIASED] = tiles8_biased, [OFFSETS] = tiles8_offsets,
    [HALVES] = tiles8_halves, [HALF_OFFSETS] = tiles8_half_offsets,
    [BYTES] = tiles8_bytes,
};

/* Scratch: slices of a tile's rows, and a copy of the last rows if they are fewer than LANES. */
static inline size_t product8_scratch_bytes(size_t k) {
    size_t slices = packed8_blocks(k) + MAX_SLICES;
    return slices * (TILE8_VECTORS * sizeof(struct slice) + LANES * MAX_SLICE_BYTES);
}

/* Rows of weights that may be read LANES at a time: w itself, or its `rows` rows followed by zeros
 * in `room`. */
static inline const uint8_t *whole_group(const uint8_t *w, size_t rows, size_t row_bytes,
                                         uint8_t *room) {
    if (rows >= LANES) {
        return w;
    }
    memcpy(room, w, rows * row_bytes);
    memset(room + rows * row_bytes, 0, (LANES - rows) * row_bytes);
    return room;
}

/* Of the LANES rows at `ahead`, as many bytes as a block of all of them has, the b-th such piece:
 * in the order of the file, while rows are read across it. Asking beyond the end does no harm. */
INLINE void prefetch_blocks(const struct format *f, const uint8_t *ahead, size_t b) {
    size_t piece = LANES * f->block_bytes;
    for (size_t line = 0; line < piece; line += 64) {
        __builtin_prefetch(ahead + b * piece + line);
    }
}

static void batch8(const struct format *f, const struct product_job *job) {
    size_t blocks = job->k / SLICE / f->slices, row_bytes = blocks * f->block_bytes;
    struct slice *slices = job->scratch;
    uint8_t *room = (uint8_t *)(slices + TILE8_VECTORS * blocks * f->slices);
    struct rows8 part = {.slices = blocks * f->slices,
                         .bias = f->bias,
                         .x = job->x,
                         .x_stride = job->x_stride,
                         .ldy = job->ldy};
    for (size_t r = 0; r < job->rows; r += part.rows) {
        size_t left = job->rows - r;
        part.rows = left < LANES * TILE8_VECTORS ? left : LANES * TILE8_VECTORS;
        part.y = job->y + r;
        for (size_t v = 0; v < TILE8_VECTORS; v++) {
            if (v * LANES >= part.rows) {
                part.w[v] = slices; /* not stored */
                continue;
            }
            const uint8_t *w = job->w + (r + v * LANES) * row_bytes;
            const uint8_t *group = whole_group(w, part.rows - v * LANES, row_bytes, room);
            const uint8_t *ahead = w + TILE8_VECTORS * LANES * row_bytes;
            struct slice *s = slices + v * part.slices;
            part.w[v] = s;
            for (size_t b = 0; b < blocks; b++) {
                prefetch_blocks(f, ahead, b);
                f->expand(group + b * f->block_bytes, row_bytes, s + b * f->slices);
            }
        }
        tiles8_of[f->kind](&part, job->n);
    }
}

enum { SINGLE8_TOKENS = 8 };

/* One token of a slice; sums over even and odd dwords go side by side. */
INLINE vf single_slice(const struct format *f, const struct slice *w, const struct packed8 *x,
                       vf sum) {
    size_t parts = has_halves(f->kind) ? 2 : 1, columns = 8 / parts;
#pragma GCC unroll 2
    for (size_t part = 0; part < parts; part++) {
        vi even = bias_of(f->kind, f->bias, x, part), odd = (vi)vu_set(0);
#pragma GCC unroll 4
        for (size_t c = part * columns; c < (part + 1) * columns; c += 2) {
            even = dot_of(f->kind, even, w->q[c], vu_broadcast(x->q + 4 * c));
            odd = dot_of(f->kind, odd, w->q[c + 1], vu_broadcast(x->q + 4 * c + 4));
        }
        sum = add_slice(f->kind, w, x, even + odd, part, sum);
    }
    return sum;
}

/* Rows are read LANES at a time and used at once; what comes next is fetched meanwhile. */
INLINE void single8(const struct format *f, const struct product_job *job) {
    size_t blocks = job->k / SLICE / f->slices, row_bytes = blocks * f->block_bytes;
    for (size_t r = 0; r < job->rows; r += LANES) {
        const uint8_t *w = job->w + r * row_bytes;
        const uint8_t *group = whole_group(w, job->rows - r, row_bytes, job->scratch);
        for (size_t first = 0; first < job->n; first += SINGLE8_TOKENS) {
            size_t left = job->n - first, tokens = left < SINGLE8_TOKENS ? left : SINGLE8_TOKENS;
            const char *x = job->x + first * job->x_stride;
            vf sum[SINGLE8_TOKENS];
            for (size_t t = 0; t < tokens; t++) {
                sum[t] = vf_set(0);
            }
            for (size_t b = 0; b < blocks; b++) {
                struct slice s[MAX_SLICES];
                prefetch_blocks(f, w + LANES * row_bytes, b);
                f->expand(group + b * f->block_bytes, row_bytes, s);
                for (size_t t = 0; t < tokens; t++) {
                    const struct packed8 *p = block_at(x, job->x_stride, t, b * f->slices);
                    for (size_t j = 0; j < f->slices; j++) {
                        sum[t] = single_slice(f, s + j, p + j, sum[t]);
                    }
                }
            }
            for (size_t t = 0; t < tokens; t++) {
                vf_store_some(job->y + (first + t) * job->ldy + r, sum[t], job->rows - r);
            }
        }
    }
}

static void single_q4_0(const struct product_job *job) {
    single8(&format_q4_0, job);
}

static void single_q4_1(const struct product_job *job) {
    single8(&format_q4_1, job);
}

static void single_q5_0(const struct product_job *job) {
    single8(&format_q5_0, job);
}

static void single_q5_1(const struct product_job *job) {
    single8(&format_q5_1, job);
}

static void single_q8_0(const struct product_job *job) {
    single8(&format_q8_0, job);
}

static void single_q2_k(const struct product_job *job) {
    single8(&format_q2_k, job);
}

static void single_q3_k(const struct product_job *job) {
    single8(&format_q3_k, job);
}

static void (*const single8_of[QUANT_TYPES])(const struct product_job *job) = {
    [QUANT_Q4_0] = single_q4_0, [QUANT_Q4_1] = single_q4_1, [QUANT_Q5_0] = single_q5_0,
    [QUANT_Q5_1] = single_q5_1, [QUANT_Q8_0] = single_q8_0, [QUANT_Q2_K] = single_q2_k,
    [QUANT_Q3_K] = single_q3_k,
};
