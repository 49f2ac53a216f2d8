/* SPDX-License-Identifier: Apache-2.0
 *
 * Merged tokens from one retirement to the next, and back.
 */
#include "engine/finetune/merged_pass.h"

#include <string.h>

#include "engine/model.h"

/* A retirement of one head. */
struct retirement {
    size_t before, after, points, begin;
    const uint32_t *into, *written;
    const float *share;
};

static struct retirement retirement_of(const struct merged_pass *p, size_t m, size_t t) {
    const struct window_shape *s = p->shape;
    const size_t C = s->chunk, M = s->kv_heads, begin = t - window_ring(s), j = begin / C;
    const size_t at = (j * M + m) * (s->merge + C);
    return (struct retirement){
        .before = window_merged_at(s, t - C),
        .after = window_merged_at(s, t),
        .points = window_pass_points(s, t),
        .begin = begin,
        .into = p->trace->merged_into + at,
        .written = p->trace->written + (m * window_pass_retirements(s, p->length) + j) * C,
        .share = p->trace->merged_share + at,
    };
}

static const float *turn_of(const struct merged_pass *p, size_t position) {
    return p->turns + position * p->rope->dims;
}

const float *merged_pass_turn(const struct merged_pass *p, size_t t) {
    return turn_of(p, t + p->shape->chunk / 2);
}

/* A written token's point [2e]. One that was kept has had its key unturned in binary16. */
static void token_point(const struct merged_pass *p, size_t m, size_t position, bool was_kept,
                        float *point) {
    const size_t e = p->shape->head_dim, slot = (m * p->length + position) * e;
    uint16_t kept[MODEL_MAX_HEAD];
    p->kernels->from_f16(point, p->keys + slot, e);
    p->kernels->from_f16(point + e, p->values + slot, e);
    rope_turn(p->rope, turn_of(p, position), true, point);
    if (was_kept) {
        p->kernels->to_f16(kept, point, e);
        p->kernels->from_f16(point, kept, e);
    }
    rope_turn(p->rope, p->mean_turn, true, point);
}

size_t merged_pass_scratch(const struct window_shape *s) {
    return ((size_t)s->merge * 2 + 1) * 2 * s->head_dim + 16;
}

void merged_pass_run(const struct merged_pass *p, size_t m, float *scratch) {
    const struct window_shape *s = p->shape;
    const size_t C = s->chunk, e = s->head_dim, wide = 2 * e, M = s->kv_heads, G = s->merge;
    float *now = scratch, *next = now + G * wide, *point = next + G * wide;
    for (size_t t = window_ring(s); t < p->length; t += C) {
        const struct retirement r = retirement_of(p, m, t);
        memset(next, 0, r.after * wide * sizeof *next);
        for (size_t i = 0; i < r.points; i++) {
            if (i >= r.before) {
                const size_t position = r.written[i - r.before];
                token_point(p, m, position, position < r.begin, point);
            }
            p->kernels->add_scaled(next + r.into[i] * wide, r.share[i],
                                   i < r.before ? now + i * wide : point, wide);
        }
        const size_t to = (r.begin / C * M + m) * G * e;
        for (size_t i = 0; i < r.after; i++) {
            memcpy(point, next + i * wide, wide * sizeof *point);
            rope_turn(p->rope, merged_pass_turn(p, t), false, point);
            p->kernels->to_f16(p->merged_keys + to + i * e, point, e);
            p->kernels->to_f16(p->merged_values + to + i * e, point + e, e);
        }
        float *swap = now;
        now = next;
        next = swap;
    }
}

void merged_pass_back(const struct merged_pass *p, size_t m, size_t t, const float *d,
                      float *before, float *dk, float *dv) {
    const size_t e = p->shape->head_dim, wide = 2 * e;
    const struct retirement r = retirement_of(p, m, t);
    memset(before, 0, r.before * wide * sizeof *before);
    for (size_t i = 0; i < r.points; i++) {
        const float *from = d + r.into[i] * wide;
        if (i < r.before) {
            p->kernels->add_scaled(before + i * wide, r.share[i], from, wide);
            continue;
        }
        const size_t position = r.written[i - r.before];
        float key[MODEL_MAX_HEAD];
        memcpy(key, from, e * sizeof *key);
        rope_turn(p->rope, p->mean_turn, false, key);
        rope_turn(p->rope, turn_of(p, position), false, key);
        p->kernels->add_scaled(dk + position * e, r.share[i], key, e);
        p->kernels->add_scaled(dv + position * e, r.share[i], from + e, e);
    }
}
