/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernels in plain C: the definition that every faster set is compared with, and the set that
 * runs on any machine. Weights are expanded row by row with quant_row and activations stay fp32.
 *
 * Sums over long rows are kept in LANES partial sums, lane l taking the elements l, l + LANES, ...,
 * and the lanes are added at the end: rounding errors grow less than along one chain, and a
 * compiler can use vectors without leave to reorder.
 */
#include "engine/cpu/kernels_sets.h"

#include <math.h>
#include <string.h>

enum { LANES = 16 };

static float dot(const float *a, const float *b, size_t n) {
    float lanes[LANES] = {0};
    size_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        for (size_t l = 0; l < LANES; l++) {
            lanes[l] += a[j + l] * b[j + l];
        }
    }
    for (size_t l = 0; j + l < n; l++) {
        lanes[l] += a[j + l] * b[j + l];
    }
    for (size_t half = LANES / 2; half > 0; half /= 2) {
        for (size_t l = 0; l < half; l++) {
            lanes[l] += lanes[l + half];
        }
    }
    return lanes[0];
}

/* y += a * x */
static void add_scaled(float *y, float a, const float *x, size_t n) {
    for (size_t j = 0; j < n; j++) {
        y[j] += a * x[j];
    }
}

static size_t round_up_64(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

/* A packed row, and the scratch, are one row of floats. */
static size_t row_bytes(size_t k) {
    return round_up_64(k * sizeof(float));
}

static void pack(const float *x, size_t k, void *packed) {
    memcpy(packed, x, k * sizeof(float));
}

static void multiply(enum quant_type type, const void *w, size_t rows, size_t k, const void *packed,
                     size_t n, float *y, size_t ldy, void *scratch) {
    size_t w_bytes = quant_row_bytes(type, k);
    size_t x_bytes = row_bytes(k);
    float *weights = scratch;
    for (size_t r = 0; r < rows; r++) {
        quant_row(type, (const char *)w + r * w_bytes, weights, k);
        for (size_t i = 0; i < n; i++) {
            const float *x = (const float *)((const char *)packed + i * x_bytes);
            y[i * ldy + r] = dot(weights, x, k);
        }
    }
}

static size_t attention_scratch_bytes(size_t n, size_t e) {
    (void)n;
    return row_bytes(e);
}

static void from_f16(float *y, const uint16_t *x, size_t n) {
    for (size_t j = 0; j < n; j++) {
        y[j] = quant_f16_to(x[j]);
    }
}

static void to_f16(uint16_t *y, const float *x, size_t n) {
    for (size_t j = 0; j < n; j++) {
        y[j] = quant_f16_of(x[j]);
    }
}

static void scores(const float *q, size_t m, size_t ldq, const uint16_t *k, size_t n, size_t e,
                   float scale, float *s, size_t lds, void *scratch) {
    float *key = scratch;
    for (size_t j = 0; j < n; j++) {
        from_f16(key, k + j * e, e);
        for (size_t i = 0; i < m; i++) {
            s[i * lds + j] = scale * dot(q + i * ldq, key, e);
        }
    }
}

static void mix(const float *p, size_t m, size_t ldp, const uint16_t *v, size_t n, size_t e,
                float *o, size_t ldo, void *scratch) {
    float *value = scratch;
    for (size_t i = 0; i < m; i++) {
        memset(o + i * ldo, 0, e * sizeof(float));
    }
    for (size_t j = 0; j < n; j++) {
        from_f16(value, v + j * e, e);
        for (size_t i = 0; i < m; i++) {
            add_scaled(o + i * ldo, p[i * ldp + j], value, e);
        }
    }
}

static float softmax(float *s, size_t n) {
    float max = s[0];
    for (size_t j = 1; j < n; j++) {
        max = fmaxf(max, s[j]);
    }
    double sum = 0;
    for (size_t j = 0; j < n; j++) {
        s[j] = expf(s[j] - max);
        sum += s[j];
    }
    float inverse = (float)(1 / sum);
    for (size_t j = 0; j < n; j++) {
        s[j] *= inverse;
    }
    return max + (float)log(sum);
}

static void gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, const float *a,
                 size_t lda, const float *b, size_t ldb, float *c, size_t ldc, bool accumulate) {
    for (size_t i = 0; i < m; i++) {
        float *c_row = c + i * ldc;
        if (!accumulate) {
            memset(c_row, 0, n * sizeof(float));
        }
        for (size_t l = 0; l < k; l++) {
            float a_il = transpose_a ? a[l * lda + i] : a[i * lda + l];
            if (!transpose_b) {
                add_scaled(c_row, a_il, b + l * ldb, n);
                continue;
            }
            for (size_t j = 0; j < n; j++) {
                c_row[j] += a_il * b[j * ldb + l];
            }
        }
    }
}

static void rms_norm(float *y, const float *x, const float *weight, size_t n, float eps) {
    float scale = 1 / sqrtf(dot(x, x, n) / (float)n + eps);
    for (size_t j = 0; j < n; j++) {
        y[j] = x[j] * scale * weight[j];
    }
}

static void silu_mul(float *y, const float *gate, const float *up, size_t n) {
    for (size_t j = 0; j < n; j++) {
        y[j] = gate[j] / (1 + expf(-gate[j])) * up[j];
    }
}

static void exp_limited(float *y, const float *x, float limit, size_t n) {
    for (size_t j = 0; j < n; j++) {
        y[j] = expf(fminf(x[j], limit));
    }
}

static void add(float *y, const float *x, size_t n) {
    for (size_t j = 0; j < n; j++) {
        y[j] += x[j];
    }
}

static void swiglu_back(float *gate, float *up, const float *d, size_t n) {
    for (size_t j = 0; j < n; j++) {
        float g = gate[j], sigmoid = 1 / (1 + expf(-g));
        gate[j] = d[j] * up[j] * (sigmoid + g * sigmoid * (1 - sigmoid));
        up[j] = d[j] * g * sigmoid;
    }
}

static void scale(float *x, float a, size_t n) {
    for (size_t j = 0; j < n; j++) {
        x[j] *= a;
    }
}

static float square_sum(const float *x, size_t n) {
    return dot(x, x, n);
}

static size_t least(const float *x, size_t n) {
    size_t best = 0;
    for (size_t j = 1; j < n; j++) {
        best = x[j] < x[best] ? j : best;
    }
    return best;
}

static void pair_costs(float *row, const float *squares, const float *slacks, float square,
                       float slack, size_t n) {
    for (size_t j = 0; j < n; j++) {
        row[j] = fmaxf(square + squares[j] - 2 * row[j], 0) / (slack + slacks[j]);
    }
}

static void merged_costs(float *row, const float *other, const float *slacks,
                         const struct merged_pair *p, size_t n) {
    for (size_t j = 0; j < n; j++) {
        const float distance = p->part * (p->slack + slacks[j]) * row[j] +
                               p->other_part * (p->other_slack + slacks[j]) * other[j] - p->between;
        row[j] = fmaxf(distance, 0) / (p->whole_slack + slacks[j]);
    }
}

static void now_nearer(const float *row, float *bounds, int32_t *nearest, int32_t i, int32_t gone,
                       size_t n) {
    for (size_t j = 0; j < n; j++) {
        if (row[j] < bounds[j]) {
            bounds[j] = row[j];
            nearest[j] = i;
        } else if (nearest[j] == i || nearest[j] == gone) {
            nearest[j] = (int32_t)j;
        }
    }
}

static bool runs_here(void) {
    return true;
}

const struct kernels kernels_reference = {
    .name = "reference",
    .runs_here = runs_here,
    .batch = {row_bytes, pack, multiply, row_bytes},
    .single = {row_bytes, pack, multiply, row_bytes},
    .scores = scores,
    .mix = mix,
    .attention_scratch_bytes = attention_scratch_bytes,
    .softmax = softmax,
    .gemm = gemm,
    .rms_norm = rms_norm,
    .silu_mul = silu_mul,
    .swiglu_back = swiglu_back,
    .exp = exp_limited,
    .add = add,
    .add_scaled = add_scaled,
    .scale = scale,
    .square_sum = square_sum,
    .least = least,
    .pair_costs = pair_costs,
    .merged_costs = merged_costs,
    .now_nearer = now_nearer,
    .to_f16 = to_f16,
    .from_f16 = from_f16,
};
