/* SPDX-License-Identifier: Apache-2.0
 *
 * The single product with the K formats of 4, 5 and 6 bits, for one token, straight from the file's
 * blocks: row by row, so that memory is read in one stream, and without turning rows into lanes,
 * which pays only where several tokens share it. A vector holds 32 values of a slice (AVX2) or of
 * two (AVX-512); dot4 leaves the sum of a slice in 8 lanes and of a half in 4, which take their
 * scales by a shuffle:
 *     y += scale * x.scale * sum(q * x.q) - min * x.sum          per slice (Q4_K, Q5_K) or
 *     y += scale * x.scale * (sum(q * x.q) - 32 * sum(x.q))      per half (Q6_K)
 * What is subtracted needs no q and is summed apart, for a block at once. Bound: the memory that
 * the weights come from.
 */
#pragma once

#include <string.h>

#include "engine/cpu/simd_product8.h"

enum {
    K_VALUES = 256,         /* of a block */
    K_VECTORS = 64 / LANES, /* of a block's values */
    K_SCALES = 16 / LANES,  /* vectors of a block's 16 scales, or 8 and 8 minima */
};

/* The activations that meet a block: packed8, as vectors of all that a block needs. */
struct packed_k {
    int8_t q[K_VALUES]; /* slices in the order 0 2 1 3 4 6 5 7 */
    float slices[16];   /* scales of slices 0 to 3, minus their sums, the same of slices 4 to 7 */
    float halves[16];   /* the scale of each half slice */
    float biases[16];   /* -32 times the sum of each half slice */
};

/* Where slice s stands among the q of a packed_k: which makes one vector of those that the low
 * nibbles of 64 bytes meet in Q4_K and Q5_K. */
INLINE size_t place_k(size_t s) {
    return (s & 4) | (s & 1) << 1 | (s >> 1 & 1);
}

/* Of a packed row of k values, which takes k / K_VALUES of `out`. */
static inline void pack_k(const struct packed8 *x, size_t k, struct packed_k *out) {
    for (size_t b = 0; b < k / K_VALUES; b++, out++) {
        for (size_t s = 0; s < K_VALUES / SLICE; s++, x++) {
            memcpy(out->q + place_k(s) * SLICE, x->q, SLICE);
            out->slices[s / 4 * 8 + s % 4] = x->scale;
            out->slices[s / 4 * 8 + s % 4 + 4] = -x->sum;
            for (size_t half = 0; half < 2; half++) {
                out->halves[2 * s + half] = x->scale;
                out->biases[2 * s + half] = x->scale * 32 * (float)x->minus[half];
            }
        }
    }
}

/* A block of one row. */
struct block_k {
    vu q[K_VECTORS];
    vf scale[K_SCALES]; /* with the minima as in packed_k.slices, or as in packed_k.halves */
};

/* Which slice the first lanes of vector v hold; the other is one further in Q6_K, else two. */
INLINE size_t first_slice(enum quant_type type, size_t v) {
    size_t piece = v / 2 * (LANES / 8), high = v % 2; /* 32 bytes of nibbles, and which of them */
    return type == QUANT_Q6_K ? piece / 2 * 4 + piece % 2 + 2 * high : 2 * piece + high;
}

/* The low nibbles of vector-sized pieces, then the high ones. */
INLINE void read_nibbles(const uint8_t *p, vu q[K_VECTORS]) {
#pragma GCC unroll 4
    for (size_t i = 0; i < K_VECTORS; i += 2) {
        vu both = vu_load(p + i / 2 * sizeof(vu));
        q[i] = both & 0x0f0f0f0f;
        q[i + 1] = (both >> 4) & 0x0f0f0f0f;
    }
}

/* The 6-bit scales and minima (simd_formats.h), all at once: bytes in the order of `slices`. */
INLINE void read_scales_k(const uint8_t *w, struct block_k *b) {
    uint64_t eight, bytes[2];
    uint32_t four;
    memcpy(&eight, w + 4, sizeof eight);
    memcpy(&four, w + 12, sizeof four);
    bytes[0] = eight & 0x3f3f3f3f3f3f3f3f;
    bytes[1] =
        (eight >> 2 & 0x3030303030303030) | ((four | (uint64_t)four << 28) & 0x0f0f0f0f0f0f0f0f);
    vf_of_bytes(bytes, b->scale);
    const vf common = vf_of_low_f16(vu_broadcast(w) >> ((vu_lane() >> 2 & 1) << 4));
    for (size_t i = 0; i < K_SCALES; i++) {
        b->scale[i] *= common;
    }
}

INLINE void read_q4_k(const uint8_t *w, struct block_k *b) {
    read_scales_k(w, b);
    read_nibbles(w + 16, b->q);
}

INLINE void read_q5_k(const uint8_t *w, struct block_k *b) {
    read_scales_k(w, b);
    read_nibbles(w + 48, b->q);
    const vu fifth = vu_load_halves(w + 16, 0);
#pragma GCC unroll 8
    for (size_t v = 0; v < K_VECTORS; v++) {
        vu slice = (uint32_t)first_slice(QUANT_Q5_K, v) + (vu_lane() >> 3) * 2;
        b->q[v] |= (fifth >> slice & 0x01010101) << 4;
    }
}

INLINE void read_q6_k(const uint8_t *w, struct block_k *b) {
    read_nibbles(w, b->q);
#pragma GCC unroll 8
    for (size_t v = 0; v < K_VECTORS; v++) {
        size_t first = first_slice(QUANT_Q6_K, v);
        vu shift = 2 * ((uint32_t)first % 4 + (vu_lane() >> 3));
        b->q[v] |= (vu_load_halves(w + 128 + first / 4 * 32, 0) >> shift & 0x03030303) << 4;
    }
    uint64_t bytes[2];
    uint32_t tail;
    memcpy(bytes, w + 192, sizeof bytes);
    memcpy(&tail, w + 206, sizeof tail); /* ends with the block, at 210 */
    bytes[0] ^= 0x8080808080808080;      /* signed, plus 128 */
    bytes[1] ^= 0x8080808080808080;
    vf_of_bytes(bytes, b->scale);
    const vf common = vf_of_low_f16(vu_set(tail >> 16));
    for (size_t i = 0; i < K_SCALES; i++) {
        b->scale[i] = (b->scale[i] - vf_set(128)) * common;
    }
}

INLINE void read_block_k(enum quant_type type, const uint8_t *w, struct block_k *b) {
    if (type == QUANT_Q4_K) {
        read_q4_k(w, b);
    } else if (type == QUANT_Q5_K) {
        read_q5_k(w, b);
    } else {
        read_q6_k(w, b);
    }
}

/* Sums of a row with a token. */
struct sums_k {
    vf products[2]; /* in turns, since each waits for the last */
    vf subtracted;  /* in Q6_K all lanes, else the lanes of the minima */
};

INLINE void add_block_k(enum quant_type type, const struct block_k *w, const struct packed_k *x,
                        struct sums_k *sums) {
    vf scale[K_SCALES];
#pragma GCC unroll 2
    for (size_t i = 0; i < K_SCALES; i++) {
        if (type == QUANT_Q6_K) {
            scale[i] = w->scale[i] * vf_load(x->halves + i * LANES);
            sums->subtracted =
                vf_fma(w->scale[i], vf_load(x->biases + i * LANES), sums->subtracted);
        } else {
            scale[i] = w->scale[i] * vf_load(x->slices + i * LANES);
            sums->subtracted += scale[i];
        }
    }
#pragma GCC unroll 8
    for (size_t v = 0; v < K_VECTORS; v++) {
        size_t first = first_slice(type, v);
        const int8_t *at = x->q + place_k(first) * SLICE;
        size_t lane = type == QUANT_Q6_K ? 2 * first : first / 4 * 8 + first % 4;
        vu from = type == QUANT_Q6_K ? vu_lane() >> 2 : (vu_lane() >> 3) * 2;
        vu values = type == QUANT_Q6_K ? vu_load_halves(at, 2 * SLICE) : vu_load(at);
        vf dot = vf_of_int(dot4((vi)vu_set(0), w->q[v], values));
        vf factor = vf_permute(scale[lane / LANES], from + (uint32_t)(lane % LANES));
        sums->products[v % 2] = vf_fma(dot, factor, sums->products[v % 2]);
    }
}

/* Lanes whose sum is the product. */
INLINE vf all_sums_k(enum quant_type type, const struct sums_k *sums) {
    vu minima = -(vu_lane() >> 2 & 1);
    vu lanes = type == QUANT_Q6_K ? ~vu_set(0) : minima;
    return sums->products[0] + sums->products[1] + (vf)((vu)sums->subtracted & lanes);
}

/* The row at w, of `blocks` blocks, with x: lanes whose sum is the product. */
INLINE vf row_k(enum quant_type type, const uint8_t *w, size_t blocks, const struct packed_k *x) {
    const size_t block_bytes = format_of(type)->block_bytes;
    struct sums_k sums = {{vf_set(0), vf_set(0)}, vf_set(0)};
    for (size_t b = 0; b < blocks; b++, w += block_bytes) {
        struct block_k block;
        for (size_t line = 0; line < block_bytes; line += 64) {
            __builtin_prefetch(w + STREAM_AHEAD + line);
        }
        read_block_k(type, w, &block);
        add_block_k(type, &block, x + b, &sums);
    }
    return all_sums_k(type, &sums);
}

/* For one token; job->x is its packed_k. */
INLINE void single_k(enum quant_type type, const struct product_job *job) {
    const size_t blocks = job->k / K_VALUES, row_bytes = blocks * format_of(type)->block_bytes;
    const struct packed_k *x = (const void *)job->x;
    for (size_t r = 0; r < job->rows; r += LANES) {
        const size_t rows = job->rows - r < LANES ? job->rows - r : LANES;
        vf sums[LANES] = {0};
        for (size_t i = 0; i < rows; i++) {
            sums[i] = row_k(type, job->w + (r + i) * row_bytes, blocks, x);
        }
        vf_store_some(job->y + r, vf_sum_each(sums), rows);
    }
}

static void single_q4_k(const struct product_job *job) {
    single_k(QUANT_Q4_K, job);
}

static void single_q5_k(const struct product_job *job) {
    single_k(QUANT_Q5_K, job);
}

static void single_q6_k(const struct product_job *job) {
    single_k(QUANT_Q6_K, job);
}

static void (*const single_k_of[QUANT_TYPES])(const struct product_job *job) = {
    [QUANT_Q4_K] = single_q4_k,
    [QUANT_Q5_K] = single_q5_k,
    [QUANT_Q6_K] = single_q6_k,
};
