/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors of 8 lanes for AVX2 with FMA and F16C: the names of simd_avx512.h, but for the dot
 * products of bytes, which come from simd_dot_avx2.h or simd_dot_avxvnni.h.
 */
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LANES = 8,
    TILE_TOKENS = 6,
    TILE8_TOKENS = 3,
    TILE8_VECTORS = 2,
};

typedef __m256 vf;
typedef uint32_t vu __attribute__((vector_size(32)));
typedef int32_t vi __attribute__((vector_size(32)));

static inline vf vf_set(float x) {
    return _mm256_set1_ps(x);
}

static inline vf vf_load(const float *p) {
    return _mm256_loadu_ps(p);
}

static inline void vf_store(float *p, vf x) {
    _mm256_storeu_ps(p, x);
}

static inline __m256i first_lanes(size_t n) {
    __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n < 8 ? (int)n : 8), lane);
}

/* The first n lanes, or all if n is larger; the rest are zero or not stored. */
static inline vf vf_load_some(const float *p, size_t n) {
    return n < 8 ? _mm256_maskload_ps(p, first_lanes(n)) : _mm256_loadu_ps(p);
}

static inline void vf_store_some(float *p, vf x, size_t n) {
    if (n < 8) {
        _mm256_maskstore_ps(p, first_lanes(n), x);
    } else {
        _mm256_storeu_ps(p, x);
    }
}

/* a * b + c, rounded once */
static inline vf vf_fma(vf a, vf b, vf c) {
    return _mm256_fmadd_ps(a, b, c);
}

static inline vf vf_max(vf a, vf b) {
    return _mm256_max_ps(a, b);
}

static inline vf vf_min(vf a, vf b) {
    return _mm256_min_ps(a, b);
}

static inline vf vf_abs(vf a) {
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}

static inline float vf_sum_lanes(vf a) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

/* Lane i is the sum of x[i]'s lanes. */
static inline vf vf_sum_each(const vf x[LANES]) {
    vf low = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3]));
    vf high = _mm256_hadd_ps(_mm256_hadd_ps(x[4], x[5]), _mm256_hadd_ps(x[6], x[7]));
    return _mm256_permute2f128_ps(low, high, 0x20) + _mm256_permute2f128_ps(low, high, 0x31);
}

static inline float vf_max_lanes(vf a) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

static inline vf vf_of_int(vi a) {
    return _mm256_cvtepi32_ps((__m256i)a);
}

/* Rounded to the nearest, ties to even. */
static inline vi vi_of_float(vf a) {
    return (vi)_mm256_cvtps_epi32(a);
}

static inline int32_t vi_sum_lanes(vi a) {
    __m128i x =
        _mm_add_epi32(_mm256_castsi256_si128((__m256i)a), _mm256_extracti128_si256((__m256i)a, 1));
    x = _mm_add_epi32(x, _mm_unpackhi_epi64(x, x));
    return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 1)));
}

/* The low byte of each lane, which must hold a signed byte. */
static inline void vi_store_bytes(int8_t *p, vi a) {
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)a),
                                    _mm256_extracti128_si256((__m256i)a, 1));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packs_epi16(words, words));
}

static inline vf vf_load_f16(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

static inline void vf_store_f16(uint16_t *p, vf a) {
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}

/* bf16 is the upper half of a float. */
static inline vf vf_load_bf16(const uint16_t *p) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16);
}

/* The f16 in the low half of each lane. */
static inline vf vf_of_low_f16(vu a) {
    __m256i low = (__m256i)(a & 0xffff);
    return _mm256_cvtph_ps(
        _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}

static inline vu vu_set(uint32_t x) {
    return (vu)_mm256_set1_epi32((int)x);
}

/* A dword at any address, in every lane. */
static inline vu vu_broadcast(const void *p) {
    int x;
    __builtin_memcpy(&x, p, sizeof x);
    return (vu)_mm256_set1_epi32(x);
}

/* 0, 1, 2 and so on */
static inline vu vu_lane(void) {
    return (vu){0, 1, 2, 3, 4, 5, 6, 7};
}

static inline vu vu_load(const void *p) {
    return (vu)_mm256_loadu_si256(p);
}

/* 32 bytes at p, and, where there are lanes from 8 on, 32 at p + stride. */
static inline vu vu_load_halves(const void *p, size_t stride) {
    (void)stride;
    return vu_load(p);
}

/* 16 bytes, to as many lanes. */
static inline void vf_of_bytes(const uint64_t bytes[2], vf y[16 / LANES]) {
    for (size_t i = 0; i < 2; i++) {
        y[i] = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes[i])));
    }
}

/* Lane i is lane from[i] of x. */
static inline vf vf_permute(vf x, vu from) {
    return _mm256_permutevar8x32_ps(x, (__m256i)from);
}

/* 16 bytes from each of LANES rows, transposed: lane r of c[i] is dword i of row r. */
static inline void load_columns(const uint8_t *p, size_t stride, vu c[4]) {
    __m256i q[4]; /* half j of q[i]: row 4j + i */
    for (size_t i = 0; i < 4; i++) {
        const void *row = p + i * stride, *other = p + (4 + i) * stride;
        __m256i x = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)row));
        q[i] = _mm256_inserti128_si256(x, _mm_loadu_si128((const __m128i *)other), 1);
    }
    __m256i low01 = _mm256_unpacklo_epi32(q[0], q[1]);
    __m256i low23 = _mm256_unpacklo_epi32(q[2], q[3]);
    __m256i high01 = _mm256_unpackhi_epi32(q[0], q[1]);
    __m256i high23 = _mm256_unpackhi_epi32(q[2], q[3]);
    c[0] = (vu)_mm256_unpacklo_epi64(low01, low23);
    c[1] = (vu)_mm256_unpackhi_epi64(low01, low23);
    c[2] = (vu)_mm256_unpacklo_epi64(high01, high23);
    c[3] = (vu)_mm256_unpackhi_epi64(high01, high23);
}
