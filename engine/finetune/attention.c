/* SPDX-License-Identifier: Apache-2.0
 *
 * Full attention and window attention of one layer over a sequence.
 */
#include "engine/finetune/attention.h"

#include <math.h>
#include <string.h>

void attention_store(const struct attention_pass *p, size_t from, size_t rows) {
    const size_t e = p->head_dim, M = p->kv_heads;
    float key[1024];
    for (size_t i = from; i < from + rows; i++) {
        for (size_t m = 0; m < M; m++) {
            const size_t slot = (m * p->length + i) * e;
            memcpy(key, p->k + (i * M + m) * e, e * sizeof *key);
            rope_turn(p->rope, p->turns + i * p->rope->dims, false, key);
            p->kernels->to_f16(p->keys + slot, key, e);
            p->kernels->to_f16(p->values + slot, p->v + (i * M + m) * e, e);
        }
    }
}

/* Softmax over the first `n` columns of a row of `all`; the others, which are later than the
 * query, become 0. */
static float softmax_row(const struct attention_pass *p, float *row, size_t n, size_t all) {
    memset(row + n, 0, (all - n) * sizeof *row);
    return p->kernels->softmax(row, n);
}

/* A multiple of 16, so that rows of scores start on a cache line. */
static size_t rounded(size_t n) {
    return (n + 15) / 16 * 16;
}

size_t attention_scratch(const struct attention_pass *p) {
    const size_t C = p->chunk, e = p->head_dim, columns = p->sinks + p->window + C;
    const size_t rest = p->kernels->attention_scratch_bytes(p->length, e) / sizeof(float);
    return rounded(C * e) + C * rounded(p->length) + C * rounded(columns) + rounded(p->sinks * e) +
           rounded(rest) + 16;
}

/* Sinks that are further than D away are read as if D away: their scores are made anew. */
static void score_clipped_sinks(const struct attention_pass *p, size_t m, size_t t, const float *q,
                                float scale, float *scores, size_t ld, float *key, float *rest) {
    const size_t e = p->head_dim;
    uint16_t *keys = (uint16_t *)(void *)key;
    float turned[1024];
    for (size_t i = 0; i < p->sinks; i++) {
        const size_t at = i < t - p->clip ? t - p->clip : i;
        memcpy(turned, p->k + (i * p->kv_heads + m) * e, e * sizeof *turned);
        rope_turn(p->rope, p->turns + at * p->rope->dims, false, turned);
        p->kernels->to_f16(keys + i * e, turned, e);
    }
    if (p->sinks) {
        p->kernels->scores(q, p->chunk, e, keys, p->sinks, e, scale, scores, ld, rest);
    }
}

void attention_block(const struct attention_pass *p, size_t h, size_t t, float *scratch) {
    const struct kernels *k = p->kernels;
    const size_t e = p->head_dim, H = p->heads, C = p->chunk, S = p->sinks, end = t + C;
    const size_t m = h / (H / p->kv_heads), ld = rounded(p->length), row = H * e;
    const uint16_t *keys = p->keys + m * p->length * e, *values = p->values + m * p->length * e;
    const size_t ld_near = rounded(S + p->window + C);
    float *q = scratch, *scores = q + rounded(C * e), *near = scores + C * ld;
    float *sink_keys = near + C * ld_near, *rest = sink_keys + rounded(S * e);
    const float scale = p->rope->magnitude * p->rope->magnitude / sqrtf((float)e);

    for (size_t i = 0; i < C; i++) {
        memcpy(q + i * e, p->q + ((t + i) * H + h) * e, e * sizeof *q);
        rope_turn(p->rope, p->turns + (t + i) * p->rope->dims, false, q + i * e);
    }
    k->scores(q, C, e, keys, end, e, scale, scores, ld, rest);
    /* Of the window's columns: sinks first, then [low, end). */
    const size_t low = t > p->window ? t - p->window : 0, sinks = low ? S : 0, n = end - low;
    for (size_t i = 0; i < C; i++) {
        memcpy(near + i * ld_near, scores + i * ld, sinks * sizeof *near);
        memcpy(near + i * ld_near + sinks, scores + i * ld + low, n * sizeof *near);
    }
    if (sinks && t > p->clip) {
        score_clipped_sinks(p, m, t, q, scale, near, ld_near, sink_keys, rest);
    }
    for (size_t i = 0; i < C; i++) {
        softmax_row(p, scores + i * ld, t + i + 1, end);
        p->lse[(t + i) * H + h] =
            softmax_row(p, near + i * ld_near, sinks + t + i + 1 - low, sinks + n);
    }
    float *full = p->full + t * row + h * e, *swa = p->swa + t * row + h * e;
    k->mix(scores, C, ld, values, end, e, full, row, rest);
    k->mix(near + sinks, C, ld_near, values + low * e, n, e, swa, row, rest);
    for (size_t s = 0; s < sinks; s++) {
        float value[1024];
        k->from_f16(value, values + s * e, e);
        for (size_t i = 0; i < C; i++) {
            k->add_scaled(swa + i * row, near[i * ld_near + s], value, e);
        }
    }
}
