/* SPDX-License-Identifier: Apache-2.0
 *
 * Attention of the few queries that share a key-value head while one token is decoded, in fp32:
 * keys and values are read as they stand, once for up to FEW queries. Bound: the memory they come
 * from. More queries than MOST_FEW are worth a panel (simd_batch_f32.h, simd_batch_bf16.h).
 */
#pragma once

#include <string.h>

#include "engine/cpu/simd_tile.h"

enum {
    FEW = 4,                 /* queries at a time */
    MOST_FEW = 8,            /* queries for which this is the faster way */
    FEW_VECTORS = LANES / 4, /* of values at a time: FEW times as many sums stay in registers */
    FEW_SLOTS = 16 * LANES,  /* values that stay near for the next FEW queries */
};

/* Heads of other sizes take the panels. */
static inline bool few_fit(size_t m, size_t e) {
    return m <= MOST_FEW && e % (FEW_VECTORS * LANES) == 0;
}

/* s[r][j] for m queries, at most FEW, and `keys` keys, at most LANES. */
INLINE void few_scores_of(size_t m, const float *q, size_t ldq, const uint16_t *k, size_t keys,
                          size_t e, float scale, float *s, size_t lds) {
    vf sums[FEW][LANES];
    for (size_t j = 0; j < keys; j++) {
        vf sum[FEW];
        for (size_t r = 0; r < m; r++) {
            sum[r] = vf_set(0);
        }
        for (size_t c = 0; c < e; c += LANES) {
            const vf key = vf_load_f16(k + j * e + c);
            for (size_t r = 0; r < m; r++) {
                sum[r] = vf_fma(key, vf_load(q + r * ldq + c), sum[r]);
            }
        }
        for (size_t r = 0; r < m; r++) {
            sums[r][j] = sum[r];
        }
    }
    for (size_t r = 0; r < m; r++) {
        for (size_t j = keys; j < LANES; j++) {
            sums[r][j] = vf_set(0);
        }
        vf_store_some(s + r * lds, vf_sum_each(sums[r]) * vf_set(scale), keys);
    }
}

static inline void few_scores(const float *q, size_t m, size_t ldq, const uint16_t *k, size_t n,
                              size_t e, float scale, float *s, size_t lds) {
    for (size_t j = 0; j < n; j += LANES) {
        const size_t keys = n - j < LANES ? n - j : LANES;
        for (size_t r = 0; r < m; r += FEW) {
            const float *x = q + r * ldq;
            float *to = s + r * lds + j;
            switch (m - r) {
            case 1:
                few_scores_of(1, x, ldq, k + j * e, keys, e, scale, to, lds);
                break;
            case 2:
                few_scores_of(2, x, ldq, k + j * e, keys, e, scale, to, lds);
                break;
            case 3:
                few_scores_of(3, x, ldq, k + j * e, keys, e, scale, to, lds);
                break;
            default:
                few_scores_of(FEW, x, ldq, k + j * e, keys, e, scale, to, lds);
            }
        }
    }
}

/* o[r][0 .. FEW_VECTORS * LANES) += p[r][0 .. n) v, for m queries, at most FEW. */
INLINE void few_mix_of(size_t m, const float *p, size_t ldp, const uint16_t *v, size_t n, size_t e,
                       float *o, size_t ldo) {
    vf sum[FEW][FEW_VECTORS];
#pragma GCC unroll 16
    for (size_t i = 0; i < m * FEW_VECTORS; i++) {
        const size_t r = i / FEW_VECTORS, c = i % FEW_VECTORS;
        sum[r][c] = vf_load(o + r * ldo + c * LANES);
    }
    for (size_t j = 0; j < n; j++) {
#pragma GCC unroll 16
        for (size_t i = 0; i < m * FEW_VECTORS; i++) {
            const size_t r = i % m, c = i / m;
            sum[r][c] =
                vf_fma(vf_load_f16(v + j * e + c * LANES), vf_set(p[r * ldp + j]), sum[r][c]);
        }
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < m * FEW_VECTORS; i++) {
        const size_t r = i / FEW_VECTORS, c = i % FEW_VECTORS;
        vf_store(o + r * ldo + c * LANES, sum[r][c]);
    }
}

static inline void few_mix(const float *p, size_t m, size_t ldp, const uint16_t *v, size_t n,
                           size_t e, float *o, size_t ldo) {
    for (size_t r = 0; r < m; r++) {
        memset(o + r * ldo, 0, e * sizeof *o);
    }
    for (size_t j = 0; j < n; j += FEW_SLOTS) {
        const size_t slots = n - j < FEW_SLOTS ? n - j : FEW_SLOTS;
        for (size_t i = 0; i < (m + FEW - 1) / FEW * e; i += FEW_VECTORS * LANES) {
            const size_t r = i / e * FEW, c = i % e;
            const float *x = p + r * ldp + j;
            const uint16_t *values = v + j * e + c;
            float *to = o + r * ldo + c;
            switch (m - r) {
            case 1:
                few_mix_of(1, x, ldp, values, slots, e, to, ldo);
                break;
            case 2:
                few_mix_of(2, x, ldp, values, slots, e, to, ldo);
                break;
            case 3:
                few_mix_of(3, x, ldp, values, slots, e, to, ldo);
                break;
            default:
                few_mix_of(FEW, x, ldp, values, slots, e, to, ldo);
            }
        }
    }
}
