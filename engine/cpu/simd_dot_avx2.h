/* SPDX-License-Identifier: Apache-2.0
 *
 * Dot products of bytes in plain AVX2: pairs are added in 16 bits with saturation, which 7-bit
 * weights cannot reach (2 * 127 * 127 < 2^15), nor bytes of any sign (2 * 128 * 127).
 */
#pragma once

#include "engine/cpu/simd_avx2.h"

/* Per lane, sum += w0 x0 + ... + w3 x3 over its bytes: w in 0..127, x in -127..127. */
static inline vi dot4(vi sum, vu w, vu x) {
    __m256i pairs = _mm256_maddubs_epi16((__m256i)w, (__m256i)x);
    return sum + (vi)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* The same for w stored as a signed byte plus BYTE_BIAS: here the sign of w moves to x. */
enum { BYTE_BIAS = 0 };
static inline vi dot4_byte(vi sum, vu w, vu x) {
    __m256i signed_x = _mm256_sign_epi8((__m256i)x, (__m256i)w);
    return dot4(sum, (vu)_mm256_abs_epi8((__m256i)w), (vu)signed_x);
}
