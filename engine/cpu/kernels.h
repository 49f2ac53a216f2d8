/* SPDX-License-Identifier: Apache-2.0
 *
 * The hot loops of the CPU backend, as one table per instruction set. kernels_reference.c is plain
 * C, stays for ever and defines the truth; the others are compared with it. A kernel runs on the
 * caller's thread and allocates nothing: the backend splits work over threads and owns the scratch.
 *
 * All matrices are row-major floats unless said; `ld` is the distance between rows, in elements.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/quant.h"

/* A way to multiply weights, as they stand in the file, with activations. Activations are packed
 * row by row first (to bf16, to 8 bits in blocks, or just copied), so that packing can be split
 * over threads and is paid once for all the weights that share an input. */
struct product {
    /* Bytes of a packed row of k values, a multiple of 64; never less for a larger k. */
    size_t (*packed_bytes)(size_t k);
    void (*pack)(const float *x, size_t k, void *packed);
    /* y[i*ldy + r] = sum over j of w[r][j] * x[i][j], for r in [0, rows), i in [0, n).
     * w: `rows` rows of k values of `type`, quant_row_bytes apart, any alignment.
     * packed: n rows, packed_bytes(k) apart, 64-byte aligned. scratch: scratch_bytes(k) bytes,
     * 64-byte aligned. k is a multiple of the type's block and of 32 for quantised types; rows and
     * n are anything from 1 (multiples of 32 rows are fastest). The value of y[i][r] does not
     * depend on how rows are split, nor on n, but for whether it is 1. */
    void (*multiply)(enum quant_type type, const void *w, size_t rows, size_t k, const void *packed,
                     size_t n, float *y, size_t ldy, void *scratch);
    size_t (*scratch_bytes)(size_t k);
};

/* See merged_costs. */
struct merged_pair {
    float part, other_part;                /* shares of the whole's count */
    float slack, other_slack, whole_slack; /* 1 / sqrt(count) */
    float between;                         /* part other_part |x - y|^2 */
};

struct kernels {
    const char *name; /* "reference", "avx2", "avxvnni", "avx512", "avx512bf16" */
    bool (*runs_here)(void);

    struct product batch;  /* many rows of activations: prefill */
    struct product single; /* few rows: decode; reads weights once, without expanding them */

    /* s[i*lds + j] = scale * sum over c of q[i*ldq + c] * k[j*e + c]; q is [m][e], k is f16 [n][e].
     * scratch: attention_scratch_bytes(n, e), as for mix. */
    void (*scores)(const float *q, size_t m, size_t ldq, const uint16_t *k, size_t n, size_t e,
                   float scale, float *s, size_t lds, void *scratch);
    /* o[i*ldo + c] = sum over j of p[i*ldp + j] * v[j*e + c]; v is f16 [n][e]. */
    void (*mix)(const float *p, size_t m, size_t ldp, const uint16_t *v, size_t n, size_t e,
                float *o, size_t ldo, void *scratch);
    size_t (*attention_scratch_bytes)(size_t n, size_t e);
    /* Softmax of s[0..n) in place; entries of -INFINITY give 0, at least one is finite.
     * Returns log(sum(exp(s))). */
    float (*softmax)(float *s, size_t n);

    /* C = op(A) op(B), or C += with `accumulate`: C is [m][n], op(A) [m][k], op(B) [k][n]; with
     * transpose_a A is stored as [k][m], with transpose_b B as [n][k]. All fp32. */
    void (*gemm)(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, const float *a,
                 size_t lda, const float *b, size_t ldb, float *c, size_t ldc, bool accumulate);

    void (*rms_norm)(float *y, const float *x, const float *weight, size_t n, float eps);
    void (*silu_mul)(float *y, const float *gate, const float *up,
                     size_t n); /* y = silu(gate)*up */
    /* The way back through silu(gate) * up, given d, the gradient at the product:
     * gate <- d * up * silu'(gate), up <- d * silu(gate). */
    void (*swiglu_back)(float *gate, float *up, const float *d, size_t n);
    /* y = exp(min(x, limit)), limit at most 88 */
    void (*exp)(float *y, const float *x, float limit, size_t n);
    void (*add)(float *y, const float *x, size_t n);                 /* y += x */
    void (*add_scaled)(float *y, float a, const float *x, size_t n); /* y += a x */
    void (*scale)(float *x, float a, size_t n);                      /* x *= a */
    float (*square_sum)(const float *x, size_t n);
    /* Where the smallest is, the first of equals; n > 0. */
    size_t (*least)(const float *x, size_t n);
    /* Of merge.h's costs. From products of points: row[j] becomes the cost
     * max(square + squares[j] - 2 row[j], 0) / (slack + slacks[j]). */
    void (*pair_costs)(float *row, const float *squares, const float *slacks, float square,
                       float slack, size_t n);
    /* From what two parts cost with each other point, row and other, to what their whole does:
     * row[j] <- max(part (slack + slacks[j]) row[j] + other_part (other_slack + slacks[j]) other[j]
     *               - between, 0) / (whole_slack + slacks[j]). INFINITY stays. */
    void (*merged_costs)(float *row, const float *other, const float *slacks,
                         const struct merged_pair *pair, size_t n);
    /* Where row[j] < bounds[j]: bounds[j] <- row[j], nearest[j] <- i. Elsewhere, where nearest[j]
     * is i or gone: nearest[j] <- j. */
    void (*now_nearer)(const float *row, float *bounds, int32_t *nearest, int32_t i, int32_t gone,
                       size_t n);
    void (*to_f16)(uint16_t *y, const float *x, size_t n); /* round to nearest even */
    void (*from_f16)(float *y, const uint16_t *x, size_t n);
};

/* The fastest set that runs here; ALLMEM_KERNELS=name picks one by name, if it runs here. */
const struct kernels *kernels_choose(void);
/* Every set compiled in, slowest first, NULL at the end; some may not run here. */
const struct kernels *const *kernels_all(void);
