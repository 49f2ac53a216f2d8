/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels over one row: softmax, norm, activation, conversions. Bound: memory, or the exponential.
 */
#pragma once

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "engine/cpu/simd_panel.h"

/* e^x within 2 units in the last place, for x in [-87, 88]; x beyond is drawn into that range.
 * With n = round(x / ln 2), e^x = 2^n e^r with |r| <= ln(2) / 2, and e^r as its power series. */
static inline vf vf_exp(vf x) {
    x = vf_min(vf_max(x, vf_set(-87)), vf_set(88));
    vi n = vi_of_float(x * vf_set(1.44269504f));
    vf whole = vf_of_int(n);
    vf r = vf_fma(whole, vf_set(-0x1.62e4p-1f), x); /* ln 2, its upper 15 bits first */
    r = vf_fma(whole, vf_set(-1.42860677e-6f), r);
    vf sum = vf_set(1.0f / 720);
    sum = vf_fma(sum, r, vf_set(1.0f / 120));
    sum = vf_fma(sum, r, vf_set(1.0f / 24));
    sum = vf_fma(sum, r, vf_set(1.0f / 6));
    sum = vf_fma(sum, r, vf_set(0.5f));
    sum = vf_fma(sum, r, vf_set(1));
    sum = vf_fma(sum, r, vf_set(1));
    return (vf)((vi)sum + (n << 23));
}

static inline vf sigmoid(vf x) {
    return 1 / (1 + vf_exp(-x));
}

/* e^(x - max), and 0 where that is less than e^-85, as for x = -infinity. */
static inline vf softmax_part(vf x, float max) {
    x -= vf_set(max);
    return (vf)((vi)vf_exp(x) & (x > vf_set(-85)));
}

static float softmax(float *s, size_t n) {
    size_t whole = n - n % LANES, rest = n - whole;
    float padded[LANES]; /* the last values */
    vf_store(padded, vf_set(-INFINITY));
    memcpy(padded, s + whole, rest * sizeof *s);

    vf peak = vf_load(padded);
    for (size_t j = 0; j < whole; j += LANES) {
        peak = vf_max(peak, vf_load(s + j));
    }
    float max = vf_max_lanes(peak);
    vf last = softmax_part(vf_load(padded), max), sum = last;
    for (size_t j = 0; j < whole; j += LANES) {
        vf part = softmax_part(vf_load(s + j), max);
        vf_store(s + j, part);
        sum += part;
    }
    float total = vf_sum_lanes(sum);
    vf inverse = vf_set(1 / total);
    for (size_t j = 0; j < whole; j += LANES) {
        vf_store(s + j, vf_load(s + j) * inverse);
    }
    vf_store_some(s + whole, last * inverse, rest);
    return max + logf(total);
}

static float square_sum(const float *x, size_t n) {
    vf even = vf_set(0), odd = vf_set(0);
    for (size_t j = 0; j < n; j += 2 * LANES) {
        vf a = vf_load_some(x + j, n - j);
        even = vf_fma(a, a, even);
        if (j + LANES < n) {
            vf b = vf_load_some(x + j + LANES, n - j - LANES);
            odd = vf_fma(b, b, odd);
        }
    }
    return vf_sum_lanes(even + odd);
}

static void rms_norm(float *y, const float *x, const float *weight, size_t n, float eps) {
    vf inverse = vf_set(1 / sqrtf(square_sum(x, n) / (float)n + eps));
    for (size_t j = 0; j < n; j += LANES) {
        vf value = vf_load_some(x + j, n - j) * inverse * vf_load_some(weight + j, n - j);
        vf_store_some(y + j, value, n - j);
    }
}

static void silu_mul(float *y, const float *gate, const float *up, size_t n) {
    for (size_t j = 0; j < n; j += LANES) {
        vf g = vf_load_some(gate + j, n - j);
        vf_store_some(y + j, g * sigmoid(g) * vf_load_some(up + j, n - j), n - j);
    }
}

static void swiglu_back(float *gate, float *up, const float *d, size_t n) {
    for (size_t j = 0; j < n; j += LANES) {
        vf g = vf_load_some(gate + j, n - j), u = vf_load_some(up + j, n - j);
        vf slope = vf_load_some(d + j, n - j), part = sigmoid(g);
        vf_store_some(gate + j, slope * u * vf_fma(g * part, 1 - part, part), n - j);
        vf_store_some(up + j, slope * g * part, n - j);
    }
}

static void exp_limited(float *y, const float *x, float limit, size_t n) {
    for (size_t j = 0; j < n; j += LANES) {
        vf_store_some(y + j, vf_exp(vf_min(vf_load_some(x + j, n - j), vf_set(limit))), n - j);
    }
}

static void add(float *y, const float *x, size_t n) {
    for (size_t j = 0; j < n; j += LANES) {
        vf_store_some(y + j, vf_load_some(y + j, n - j) + vf_load_some(x + j, n - j), n - j);
    }
}

static void add_scaled(float *y, float a, const float *x, size_t n) {
    for (size_t j = 0; j < n; j += LANES) {
        vf sum = vf_fma(vf_set(a), vf_load_some(x + j, n - j), vf_load_some(y + j, n - j));
        vf_store_some(y + j, sum, n - j);
    }
}

static void scale(float *x, float a, size_t n) {
    for (size_t j = 0; j < n; j += LANES) {
        vf_store_some(x + j, vf_load_some(x + j, n - j) * a, n - j);
    }
}

static size_t least(const float *x, size_t n) {
    vf best = vf_set(INFINITY);
    vi at = {0}, here = {0};
    for (int i = 0; i < LANES; i++) {
        here[i] = i;
    }
    for (size_t j = 0; j < n; j += LANES) {
        float padded[LANES];
        const float *from = x + j;
        if (n - j < LANES) {
            vf_store(padded, vf_set(INFINITY));
            memcpy(padded, from, (n - j) * sizeof *x);
            from = padded;
        }
        const vf value = vf_load(from);
        const vi less = (vi)(value < best);
        at = (less & here) | (~less & at);
        best = vf_min(value, best);
        here += LANES;
    }
    int lane = 0;
    for (int i = 1; i < LANES; i++) {
        if (best[i] < best[lane] || (best[i] == best[lane] && at[i] < at[lane])) {
            lane = i;
        }
    }
    return (size_t)at[lane];
}

static void pair_costs(float *row, const float *squares, const float *slacks, float square,
                       float slack, size_t n) {
    for (size_t j = 0; j < n; j += LANES) {
        const vf far = vf_set(square) + vf_load_some(squares + j, n - j);
        const vf distance = vf_max(far - 2 * vf_load_some(row + j, n - j), vf_set(0));
        const vf slacks_here = vf_set(slack) + vf_load_some(slacks + j, n - j);
        vf_store_some(row + j, distance / slacks_here, n - j);
    }
}

static void merged_costs(float *row, const float *other, const float *slacks,
                         const struct merged_pair *p, size_t n) {
    for (size_t j = 0; j < n; j += LANES) {
        const vf slack = vf_load_some(slacks + j, n - j);
        const vf a = p->part * (p->slack + slack) * vf_load_some(row + j, n - j);
        const vf b = p->other_part * (p->other_slack + slack) * vf_load_some(other + j, n - j);
        const vf distance = vf_max(a + b - p->between, vf_set(0));
        vf_store_some(row + j, distance / (p->whole_slack + slack), n - j);
    }
}

static void now_nearer(const float *row, float *bounds, int32_t *nearest, int32_t i, int32_t gone,
                       size_t n) {
    vi here = {0}, at;
    for (int l = 0; l < LANES; l++) {
        here[l] = l;
    }
    size_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        const vf cost = vf_load(row + j), bound = vf_load(bounds + j);
        memcpy(&at, nearest + j, sizeof at);
        const vi nearer = (vi)(cost < bound), lost = ~nearer & ((at == i) | (at == gone));
        at = (nearer & i) | (lost & here) | (~(nearer | lost) & at);
        memcpy(nearest + j, &at, sizeof at);
        vf_store(bounds + j, vf_min(cost, bound));
        here += LANES;
    }
    for (; j < n; j++) {
        if (row[j] < bounds[j]) {
            bounds[j] = row[j];
            nearest[j] = i;
        } else if (nearest[j] == i || nearest[j] == gone) {
            nearest[j] = (int32_t)j;
        }
    }
}

static void to_f16(uint16_t *y, const float *x, size_t n) {
    size_t j = 0;
    for (; j + LANES <= n; j += LANES) {
        vf_store_f16(y + j, vf_load(x + j));
    }
    if (j < n) {
        uint16_t rest[LANES];
        vf_store_f16(rest, vf_load_some(x + j, n - j));
        memcpy(y + j, rest, (n - j) * sizeof *y);
    }
}

static void from_f16(float *y, const uint16_t *x, size_t n) {
    floats_of_f16(y, x, n);
}
