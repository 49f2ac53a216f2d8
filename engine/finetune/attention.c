/* SPDX-License-Identifier: Apache-2.0
 *
 * Full attention of one layer over a sequence.
 */
#include "engine/finetune/attention.h"

#include <math.h>
#include <string.h>

#include "engine/base/floats.h"
#include "engine/model.h"

void attention_store(const struct attention_pass *p, size_t from, size_t rows) {
    const size_t e = p->head_dim, M = p->kv_heads;
    float key[MODEL_MAX_HEAD];
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

size_t attention_scratch(const struct attention_pass *p) {
    const size_t C = p->chunk, e = p->head_dim;
    const size_t rest = p->kernels->attention_scratch_bytes(p->length, e) / sizeof(float);
    return floats_rounded(C * e) + C * floats_rounded(p->length) + floats_rounded(rest) + 16;
}

void attention_block(const struct attention_pass *p, size_t h, size_t t, float *scratch) {
    const struct kernels *k = p->kernels;
    const size_t e = p->head_dim, H = p->heads, C = p->chunk, end = t + C;
    const size_t m = h / (H / p->kv_heads), ld = floats_rounded(p->length), row = H * e;
    const uint16_t *keys = p->keys + m * p->length * e, *values = p->values + m * p->length * e;
    float *q = scratch, *scores = q + floats_rounded(C * e), *rest = scores + C * ld;
    const float scale = p->rope->magnitude * p->rope->magnitude / sqrtf((float)e);

    for (size_t i = 0; i < C; i++) {
        memcpy(q + i * e, p->q + ((t + i) * H + h) * e, e * sizeof *q);
        rope_turn(p->rope, p->turns + (t + i) * p->rope->dims, false, q + i * e);
    }
    k->scores(q, C, e, keys, end, e, scale, scores, ld, rest);
    for (size_t i = 0; i < C; i++) {
        /* What is later than the query has no share. */
        memset(scores + i * ld + i + 1 + t, 0, (C - i - 1) * sizeof *scores);
        k->softmax(scores + i * ld, t + i + 1);
    }
    k->mix(scores, C, ld, values, end, e, p->full + t * row + h * e, row, rest);
}
