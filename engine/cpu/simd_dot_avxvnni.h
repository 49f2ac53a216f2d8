/* SPDX-License-Identifier: Apache-2.0
 *
 * Dot products of bytes with AVX-VNNI, in one instruction.
 */
#pragma once

#include "engine/cpu/simd_avx2.h"

/* Per lane, sum += w0 x0 + ... + w3 x3 over its bytes: w in 0..255, x in -127..127. */
static inline vi dot4(vi sum, vu w, vu x) {
    return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)w, (__m256i)x);
}

/* The same for w stored as a signed byte plus BYTE_BIAS. */
enum { BYTE_BIAS = 128 };
static inline vi dot4_byte(vi sum, vu w, vu x) {
    return dot4(sum, w, x);
}
