/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors of 16 lanes for AVX-512 with VNNI: the handful of operations in which the kernels are
 * written. simd_avx2.h offers the same names with 8 lanes. +, - and * between vectors are GCC's.
 */
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LANES = 16,
    /* Register tiles, vectors across and tokens down, that fit 32 registers. */
    TILE_TOKENS = 12,  /* float: tokens x TILE_VECTORS sums */
    TILE8_TOKENS = 6,  /* 8-bit: the same, each with a float and an integer sum */
    TILE8_VECTORS = 2, /* 8-bit: vectors across */
};

typedef __m512 vf;
typedef uint32_t vu __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));

static inline vf vf_set(float x) {
    return _mm512_set1_ps(x);
}

static inline vf vf_load(const float *p) {
    return _mm512_loadu_ps(p);
}

static inline void vf_store(float *p, vf x) {
    _mm512_storeu_ps(p, x);
}

static inline __mmask16 first_lanes(size_t n) {
    return (__mmask16)_bzhi_u32(0xffff, n < 16 ? (unsigned)n : 16);
}

/* The first n lanes, or all if n is larger; the rest are zero or not stored. */
static inline vf vf_load_some(const float *p, size_t n) {
    return _mm512_maskz_loadu_ps(first_lanes(n), p);
}

static inline void vf_store_some(float *p, vf x, size_t n) {
    _mm512_mask_storeu_ps(p, first_lanes(n), x);
}

/* a * b + c, rounded once */
static inline vf vf_fma(vf a, vf b, vf c) {
    return _mm512_fmadd_ps(a, b, c);
}

static inline vf vf_max(vf a, vf b) {
    return _mm512_max_ps(a, b);
}

static inline vf vf_min(vf a, vf b) {
    return _mm512_min_ps(a, b);
}

static inline vf vf_abs(vf a) {
    return _mm512_abs_ps(a);
}

static inline float vf_sum_lanes(vf a) {
    return _mm512_reduce_add_ps(a);
}

/* Lane i is the sum of x[i]'s lanes. */
static inline vf vf_sum_each(const vf x[LANES]) {
    vf a[8], b[4], c[2];
    for (int i = 0; i < 8; i++) { /* in each quarter: two sums of each of two */
        a[i] =
            _mm512_unpacklo_ps(x[2 * i], x[2 * i + 1]) + _mm512_unpackhi_ps(x[2 * i], x[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) { /* in each quarter: the quarter's sum of each of four */
        const __m512d low = (__m512d)a[2 * i], high = (__m512d)a[2 * i + 1];
        b[i] = (vf)_mm512_unpacklo_pd(low, high) + (vf)_mm512_unpackhi_pd(low, high);
    }
    for (int i = 0; i < 2; i++) {
        c[i] = _mm512_shuffle_f32x4(b[2 * i], b[2 * i + 1], 0x88) +
               _mm512_shuffle_f32x4(b[2 * i], b[2 * i + 1], 0xdd);
    }
    return _mm512_shuffle_f32x4(c[0], c[1], 0x88) + _mm512_shuffle_f32x4(c[0], c[1], 0xdd);
}

static inline float vf_max_lanes(vf a) {
    return _mm512_reduce_max_ps(a);
}

static inline vf vf_of_int(vi a) {
    return _mm512_cvtepi32_ps((__m512i)a);
}

/* Rounded to the nearest, ties to even. */
static inline vi vi_of_float(vf a) {
    return (vi)_mm512_cvtps_epi32(a);
}

static inline int32_t vi_sum_lanes(vi a) {
    return _mm512_reduce_add_epi32((__m512i)a);
}

/* The low byte of each lane. */
static inline void vi_store_bytes(int8_t *p, vi a) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8((__m512i)a));
}

static inline vf vf_load_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

static inline void vf_store_f16(uint16_t *p, vf a) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}

/* bf16 is the upper half of a float. */
static inline vf vf_load_bf16(const uint16_t *p) {
    __m256i x = _mm256_loadu_si256((const __m256i *)p);
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16);
}

/* The f16 in the low half of each lane. */
static inline vf vf_of_low_f16(vu a) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)a));
}

static inline vu vu_set(uint32_t x) {
    return (vu)_mm512_set1_epi32((int)x);
}

/* A dword at any address, in every lane. */
static inline vu vu_broadcast(const void *p) {
    int x;
    __builtin_memcpy(&x, p, sizeof x);
    return (vu)_mm512_set1_epi32(x);
}

/* 0, 1, 2 and so on */
static inline vu vu_lane(void) {
    return (vu){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
}

static inline vu vu_load(const void *p) {
    return (vu)_mm512_loadu_si512(p);
}

/* 32 bytes at p, and, in the lanes from 8 on, 32 at p + stride. */
static inline vu vu_load_halves(const void *p, size_t stride) {
    __m512i low = _mm512_castsi256_si512(_mm256_loadu_si256(p));
    const void *other = (const char *)p + stride;
    return (vu)_mm512_inserti64x4(low, _mm256_loadu_si256(other), 1);
}

/* 16 bytes, to as many lanes. */
static inline void vf_of_bytes(const uint64_t bytes[2], vf y[16 / LANES]) {
    __m128i x = _mm_set_epi64x((long long)bytes[1], (long long)bytes[0]);
    y[0] = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(x));
}

/* Lane i is lane from[i] of x. */
static inline vf vf_permute(vf x, vu from) {
    return _mm512_permutexvar_ps((__m512i)from, x);
}

/* Per lane, sum += w0 x0 + ... + w3 x3 over its bytes: w in 0..127, x in -127..127. */
static inline vi dot4(vi sum, vu w, vu x) {
    return (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, (__m512i)x);
}

/* The same for w stored as a signed byte plus BYTE_BIAS. */
enum { BYTE_BIAS = 128 };
static inline vi dot4_byte(vi sum, vu w, vu x) {
    return dot4(sum, w, x);
}

/* 16 bytes from each of LANES rows, transposed: lane r of c[i] is dword i of row r. */
static inline void load_columns(const uint8_t *p, size_t stride, vu c[4]) {
    __m512i q[4]; /* lane r of quarter j of q[i]: dword r of row 4j + i */
    for (size_t i = 0; i < 4; i++) {
        const uint8_t *row = p + i * stride;
        __m512i x = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)row));
        x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(row + 4 * stride)), 1);
        x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(row + 8 * stride)), 2);
        q[i] = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(row + 12 * stride)), 3);
    }
    __m512i low01 = _mm512_unpacklo_epi32(q[0], q[1]);
    __m512i low23 = _mm512_unpacklo_epi32(q[2], q[3]);
    __m512i high01 = _mm512_unpackhi_epi32(q[0], q[1]);
    __m512i high23 = _mm512_unpackhi_epi32(q[2], q[3]);
    c[0] = (vu)_mm512_unpacklo_epi64(low01, low23);
    c[1] = (vu)_mm512_unpackhi_epi64(low01, low23);
    c[2] = (vu)_mm512_unpacklo_epi64(high01, high23);
    c[3] = (vu)_mm512_unpackhi_epi64(high01, high23);
}
