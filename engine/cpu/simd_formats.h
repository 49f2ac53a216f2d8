/* SPDX-License-Identifier: Apache-2.0
 *
 * Quantised weights, from the layout of the file to lanes. Every format reduces to slices: 32
 * consecutive values of LANES rows, one row per lane, as small integers under a scale, with
 *     value = scale * (q - bias)      or      value = scale * q + offset;
 * the bias is a constant of the format. Blocks are transposed as packed dwords, before their
 * nibbles are spread, which needs an eighth of the shuffles.
 */
#pragma once

#include "engine/quant.h"

enum { SLICE = 32 }; /* values */

/* Of the expansions of large blocks, which need no copy in each caller. */
#define NOINLINE __attribute__((noinline))

struct slice {
    vu q[8];     /* byte b of q[c]: value 4c + b */
    vf scale[2]; /* of the first and of the last 16 values, or the first of all */
    vf offset[2];
};

enum slice_kind {
    BIASED,       /* q in 0..127, one scale */
    OFFSETS,      /* q in 0..127, one scale and one offset */
    HALVES,       /* q in 0..127, a scale per half */
    HALF_OFFSETS, /* q in 0..127, a scale and an offset per half */
    BYTES,        /* q is a signed byte plus BYTE_BIAS, one scale */
};

struct format {
    size_t block_bytes;
    size_t slices; /* in a block */
    enum slice_kind kind;
    uint32_t bias;
    /* Expands a block of LANES rows, `stride` bytes apart, into its slices. */
    void (*expand)(const uint8_t *w, size_t stride, struct slice *s);
};

/* The dword at p of each row; 16 bytes must be readable there. */
static inline vu load_column(const uint8_t *p, size_t stride) {
    vu c[4];
    load_columns(p, stride, c);
    return c[0];
}

/* 16 bytes of nibbles: the low ones are the first half of the slice. */
static inline void expand_nibbles(const uint8_t *p, size_t stride, vu q[8]) {
    vu c[4];
    load_columns(p, stride, c);
    for (size_t i = 0; i < 4; i++) {
        q[i] = c[i] & 0x0f0f0f0f;
        q[4 + i] = (c[i] >> 4) & 0x0f0f0f0f;
    }
}

/* Adds the fifth bit of each value: bit i of `high` belongs to value i. */
static inline void expand_fifth_bits(vu high, vu q[8]) {
    for (size_t i = 0; i < 8; i++) {
        vu bits = (high >> (uint32_t)(4 * i)) & 0xf;
        bits |= bits << 7;
        bits |= bits << 14; /* bit j is now bit 8j too */
        q[i] |= (bits & 0x01010101) << 4;
    }
}

static inline void expand_q4_0(const uint8_t *w, size_t stride, struct slice *s) {
    s->scale[0] = vf_of_low_f16(load_column(w, stride));
    expand_nibbles(w + 2, stride, s->q);
}

static inline void expand_q4_1(const uint8_t *w, size_t stride, struct slice *s) {
    vu head = load_column(w, stride);
    s->scale[0] = vf_of_low_f16(head);
    s->offset[0] = vf_of_low_f16(head >> 16);
    expand_nibbles(w + 4, stride, s->q);
}

static inline void expand_q5_0(const uint8_t *w, size_t stride, struct slice *s) {
    vu head[4];
    load_columns(w, stride, head);
    s->scale[0] = vf_of_low_f16(head[0]);
    expand_nibbles(w + 6, stride, s->q);
    expand_fifth_bits(head[0] >> 16 | head[1] << 16, s->q);
}

static inline void expand_q5_1(const uint8_t *w, size_t stride, struct slice *s) {
    vu head[4];
    load_columns(w, stride, head);
    s->scale[0] = vf_of_low_f16(head[0]);
    s->offset[0] = vf_of_low_f16(head[0] >> 16);
    expand_nibbles(w + 8, stride, s->q);
    expand_fifth_bits(head[1], s->q);
}

static inline void expand_q8_0(const uint8_t *w, size_t stride, struct slice *s) {
    s->scale[0] = vf_of_low_f16(load_column(w, stride));
    load_columns(w + 2, stride, s->q);
    load_columns(w + 18, stride, s->q + 4);
    for (size_t i = 0; i < 8; i++) {
        s->q[i] ^= BYTE_BIAS * 0x01010101u;
    }
}

/* Scales and minima of Q4_K and Q5_K: 6 bits each for 8 slices, in 12 bytes. Of the last four, the
 * upper two bits stand above those of the first four. */
static inline void expand_scales_k(const vu head[4], struct slice s[8]) {
    vf d = vf_of_low_f16(head[0]);
    vf d_min = -vf_of_low_f16(head[0] >> 16);
    for (uint32_t j = 0; j < 8; j++) {
        vu scale, min;
        if (j < 4) {
            scale = (head[1] >> 8 * j) & 63;
            min = (head[2] >> 8 * j) & 63;
        } else {
            uint32_t at = 8 * (j - 4);
            scale = ((head[3] >> at) & 15) | (((head[1] >> at) & 0xc0) >> 2);
            min = ((head[3] >> at >> 4) & 15) | (((head[2] >> at) & 0xc0) >> 2);
        }
        s[j].scale[0] = d * vf_of_int((vi)scale);
        s[j].offset[0] = d_min * vf_of_int((vi)min);
    }
}

/* 32 bytes hold two slices, one in the low nibbles. */
static inline void expand_nibbles_k(const uint8_t *p, size_t stride, struct slice s[2]) {
    for (size_t half = 0; half < 2; half++) {
        vu c[4];
        load_columns(p + 16 * half, stride, c);
        for (size_t i = 0; i < 4; i++) {
            s[0].q[4 * half + i] = c[i] & 0x0f0f0f0f;
            s[1].q[4 * half + i] = (c[i] >> 4) & 0x0f0f0f0f;
        }
    }
}

static NOINLINE void expand_q4_k(const uint8_t *w, size_t stride, struct slice *s) {
    vu head[4];
    load_columns(w, stride, head);
    expand_scales_k(head, s);
    for (size_t j = 0; j < 4; j++) {
        expand_nibbles_k(w + 16 + 32 * j, stride, s + 2 * j);
    }
}

static NOINLINE void expand_q5_k(const uint8_t *w, size_t stride, struct slice *s) {
    vu head[4], high[8];
    load_columns(w, stride, head);
    expand_scales_k(head, s);
    load_columns(w + 16, stride, high); /* bit j of byte l: value l of slice j */
    load_columns(w + 32, stride, high + 4);
    for (size_t j = 0; j < 4; j++) {
        expand_nibbles_k(w + 48 + 32 * j, stride, s + 2 * j);
    }
    for (uint32_t j = 0; j < 8; j++) {
        for (size_t i = 0; i < 8; i++) {
            s[j].q[i] |= ((high[i] >> j) & 0x01010101) << 4;
        }
    }
}

/* Per 128 values: 64 bytes of low nibbles, then (after all of those) 32 bytes with two more bits of
 * the slices 0 to 3; 16 signed scales, one per 16 values; the common scale at the end. */
static NOINLINE void expand_q6_k(const uint8_t *w, size_t stride, struct slice *s) {
    vu tail[4], scales[4];
    load_columns(w + 194, stride, tail); /* ends with the block, at 210 */
    vf d = vf_of_low_f16(tail[3] >> 16);
    load_columns(w + 192, stride, scales);
    for (uint32_t j = 0; j < 16; j++) {
        vi scale = (vi)(scales[j / 4] << (24 - 8 * (j % 4))) >> 24;
        s[j / 2].scale[j % 2] = d * vf_of_int(scale);
    }
    for (size_t half = 0; half < 2; half++) {
        for (size_t i = 0; i < 2; i++) {
            vu low[4], next[4], high[4];
            load_columns(w + 64 * half + 16 * i, stride, low);
            load_columns(w + 64 * half + 32 + 16 * i, stride, next);
            load_columns(w + 128 + 32 * half + 16 * i, stride, high);
            struct slice *h = s + 4 * half;
            for (size_t c = 0; c < 4; c++) {
                h[0].q[4 * i + c] = (low[c] & 0x0f0f0f0f) | (high[c] & 0x03030303) << 4;
                h[1].q[4 * i + c] = (next[c] & 0x0f0f0f0f) | (high[c] & 0x0c0c0c0c) << 2;
                h[2].q[4 * i + c] = ((low[c] >> 4) & 0x0f0f0f0f) | (high[c] & 0x30303030);
                h[3].q[4 * i + c] = ((next[c] >> 4) & 0x0f0f0f0f) | (high[c] & 0xc0c0c0c0) >> 2;
            }
        }
    }
}

/* Per 128 values, 32 bytes of 2-bit values: those of the slices 0 to 3. */
static inline void expand_two_bits(const uint8_t *p, size_t stride, struct slice s[8]) {
    for (size_t quarter = 0; quarter < 4; quarter++) {
        vu c[4];
        load_columns(p + 16 * quarter, stride, c);
        struct slice *half = s + quarter / 2 * 4;
        for (size_t i = 0; i < 4; i++) {
            for (uint32_t j = 0; j < 4; j++) {
                half[j].q[quarter % 2 * 4 + i] = (c[i] >> 2 * j) & 0x03030303;
            }
        }
    }
}

/* Scale and minimum per 16 values, 4 bits each in a byte; the 2-bit values; the common ones. */
static NOINLINE void expand_q2_k(const uint8_t *w, size_t stride, struct slice *s) {
    vu scales[4], tail[4];
    load_columns(w, stride, scales);
    load_columns(w + 68, stride, tail); /* ends with the block, at 84 */
    vf d = vf_of_low_f16(tail[3]), d_min = -vf_of_low_f16(tail[3] >> 16);
    for (uint32_t j = 0; j < 16; j++) {
        vu both = scales[j / 4] >> 8 * (j % 4);
        s[j / 2].scale[j % 2] = d * vf_of_int((vi)(both & 15));
        s[j / 2].offset[j % 2] = d_min * vf_of_int((vi)(both >> 4 & 15));
    }
    expand_two_bits(w + 16, stride, s);
}

/* The third bits, bit j of byte l: value l of slice j; the 2-bit values; 16 scales of 6 bits in 12
 * bytes, two upper bits of each in the last four; the common scale. */
static NOINLINE void expand_q3_k(const uint8_t *w, size_t stride, struct slice *s) {
    vu third[8], tail[4], scales[3];
    load_columns(w, stride, third);
    load_columns(w + 16, stride, third + 4);
    load_columns(w + 94, stride, tail); /* ends with the block, at 110 */
    for (size_t i = 0; i < 3; i++) {
        scales[i] = tail[i] >> 16 | tail[i + 1] << 16;
    }
    vf d = vf_of_low_f16(tail[3] >> 16);
    for (uint32_t j = 0; j < 16; j++) {
        vu low = scales[j / 4 % 2] >> (8 * (j % 4) + j / 8 * 4) & 15;
        vu high = scales[2] >> (8 * (j % 4) + j / 4 * 2) & 3;
        s[j / 2].scale[j % 2] = d * vf_of_int((vi)(low | high << 4) - 32);
    }
    expand_two_bits(w + 32, stride, s);
    for (uint32_t j = 0; j < 8; j++) {
        for (size_t i = 0; i < 8; i++) {
            s[j].q[i] |= (third[i] >> j & 0x01010101) << 2;
        }
    }
}

/* Over all formats: slices in a block, and bytes of a row per slice. */
enum { MAX_SLICES = 8, MAX_SLICE_BYTES = 34 };

static const struct format format_q4_0 = {18, 1, BIASED, 8, expand_q4_0};
static const struct format format_q4_1 = {20, 1, OFFSETS, 0, expand_q4_1};
static const struct format format_q5_0 = {22, 1, BIASED, 16, expand_q5_0};
static const struct format format_q5_1 = {24, 1, OFFSETS, 0, expand_q5_1};
static const struct format format_q8_0 = {34, 1, BYTES, BYTE_BIAS, expand_q8_0};
static const struct format format_q2_k = {84, 8, HALF_OFFSETS, 0, expand_q2_k};
static const struct format format_q3_k = {110, 8, HALVES, 4, expand_q3_k};
static const struct format format_q4_k = {144, 8, OFFSETS, 0, expand_q4_k};
static const struct format format_q5_k = {176, 8, OFFSETS, 0, expand_q5_k};
static const struct format format_q6_k = {210, 8, HALVES, 32, expand_q6_k};

/* NULL for types that are not quantised. */
static inline const struct format *format_of(enum quant_type type) {
    static const struct format *const formats[QUANT_TYPES] = {
        [QUANT_Q4_0] = &format_q4_0, [QUANT_Q4_1] = &format_q4_1, [QUANT_Q5_0] = &format_q5_0,
        [QUANT_Q5_1] = &format_q5_1, [QUANT_Q8_0] = &format_q8_0, [QUANT_Q2_K] = &format_q2_k,
        [QUANT_Q3_K] = &format_q3_k, [QUANT_Q4_K] = &format_q4_k, [QUANT_Q5_K] = &format_q5_k,
        [QUANT_Q6_K] = &format_q6_k,
    };
    return formats[type];
}
