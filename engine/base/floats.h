/* SPDX-License-Identifier: Apache-2.0
 *
 * One block of floats, given out in parts that begin at 64 bytes if the block does, which is how
 * kernels want their rows.
 */
#pragma once

#include <stddef.h>

/* What a part of n floats takes. */
static inline size_t floats_rounded(size_t n) {
    return (n + 15) / 16 * 16;
}

/* The next n of the block that *at stands in. */
static inline float *floats_take(float **at, size_t n) {
    float *here = *at;
    *at += floats_rounded(n);
    return here;
}
