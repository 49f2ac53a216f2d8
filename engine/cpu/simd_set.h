/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of a kernel set: included once by the file of each instruction set, after the headers
 * that define its vectors and its way with floats in batches. A packed row of activations is held
 * twice, in 8-bit blocks for the quantised formats of simd_formats.h and in floating point for all
 * other types.
 */
#pragma once

#include "engine/cpu/simd_few.h"
#include "engine/cpu/simd_gemm.h"
#include "engine/cpu/simd_product8.h"
#include "engine/cpu/simd_rows.h"
#include "engine/cpu/simd_single_f32.h"
#include "engine/cpu/simd_single_k.h"

static inline size_t round_up_64(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

/* Where the floating-point half of a packed row begins. */
static inline size_t packed8_bytes(size_t k) {
    return round_up_64(packed8_blocks(k) * sizeof(struct packed8));
}

static size_t batch_packed_bytes(size_t k) {
    return packed8_bytes(k) + round_up_64(batch_float_bytes(k));
}

static void batch_pack(const float *x, size_t k, void *packed) {
    pack8(x, k, packed);
    batch_float_pack(x, k, (char *)packed + packed8_bytes(k));
}

/* Where the packed_k part of a row of few begins; it is filled if K formats have rows of k. */
static inline size_t single_k_at(size_t k) {
    return packed8_bytes(k) + round_up_64(k * sizeof(float));
}

/* Never less for more values: the backend asks for the widest row. */
static size_t single_packed_bytes(size_t k) {
    return single_k_at(k) + k / K_VALUES * sizeof(struct packed_k);
}

static void single_pack(const float *x, size_t k, void *packed) {
    pack8(x, k, packed);
    char *floats = (char *)packed + packed8_bytes(k);
    size_t used = k * sizeof(float);
    memcpy(floats, x, used);
    memset(floats + used, 0, round_up_64(used) - used);
    if (k % K_VALUES == 0) {
        void *blocks = (char *)packed + single_k_at(k);
        pack_k(packed, k, blocks);
    }
}

static size_t product_scratch_bytes(size_t k) {
    size_t a = product8_scratch_bytes(k), b = batch_float_scratch_bytes(k);
    return a > b ? a : b;
}

static size_t attention_scratch_bytes(size_t n, size_t e) {
    (void)n;
    size_t a = scores_scratch_bytes(e), b = mix_scratch_bytes(e);
    return a > b ? a : b;
}

static void scores(const float *q, size_t m, size_t ldq, const uint16_t *k, size_t n, size_t e,
                   float scale, float *s, size_t lds, void *scratch) {
    if (few_fit(m, e)) {
        few_scores(q, m, ldq, k, n, e, scale, s, lds);
    } else {
        panel_scores(q, m, ldq, k, n, e, scale, s, lds, scratch);
    }
}

static void mix(const float *p, size_t m, size_t ldp, const uint16_t *v, size_t n, size_t e,
                float *o, size_t ldo, void *scratch) {
    if (few_fit(m, e)) {
        few_mix(p, m, ldp, v, n, e, o, ldo);
    } else {
        panel_mix(p, m, ldp, v, n, e, o, ldo, scratch);
    }
}

static void batch_multiply(enum quant_type type, const void *w, size_t rows, size_t k,
                           const void *packed, size_t n, float *y, size_t ldy, void *scratch) {
    struct product_job job = {w, rows, k, packed, batch_packed_bytes(k), n, y, ldy, scratch};
    const struct format *format = format_of(type);
    if (format) {
        batch8(format, &job);
    } else {
        job.x += packed8_bytes(k);
        batch_float(type, &job);
    }
}

static void single_multiply(enum quant_type type, const void *w, size_t rows, size_t k,
                            const void *packed, size_t n, float *y, size_t ldy, void *scratch) {
    struct product_job job = {w, rows, k, packed, single_packed_bytes(k), n, y, ldy, scratch};
    if (n == 1 && single_k_of[type]) {
        job.x += single_k_at(k);
        single_k_of[type](&job);
    } else if (single8_of[type]) {
        single8_of[type](&job);
    } else if (format_of(type)) {
        batch8(format_of(type), &job); /* of more tokens, also if few */
    } else {
        job.x += packed8_bytes(k);
        single_float(type, &job);
    }
}
