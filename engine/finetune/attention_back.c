/* SPDX-License-Identifier: Apache-2.0
 *
 * The way back through window attention, a query head at a time, chunk by chunk.
 */
#include "engine/finetune/attention_back.h"

#include <math.h>
#include <string.h>

#include "engine/base/floats.h"
#include "engine/model.h"

/* One chunk's work for one head. Columns are the far tokens (sinks, then kept, then merged), then
 * the window's positions [low, t + C). */
struct block {
    size_t m, h, t, low, single, far, near, ld; /* single: sinks and kept, without merged ones */
    size_t retirement;
    float scale;
    float *q, *dout, *p, *ds, *dq, *dfar; /* [C][e] [C][e] [C][ld] [C][ld] [C][e] [far][e] */
    uint16_t *far_keys, *far_values;      /* [far][e] */
    float *rest;
};

size_t attention_back_scratch(const struct kernels *k, const struct window_shape *s) {
    const size_t C = s->chunk, e = s->head_dim, far = s->sinks + s->keep + s->merge,
                 ld = floats_rounded(far + window_ring(s));
    return 2 * floats_rounded(2 * s->merge * e) + 3 * floats_rounded(C * e) + 2 * C * ld +
           floats_rounded(far * e) + 2 * floats_rounded(far * e / 2 + 1) +
           floats_rounded(k->attention_scratch_bytes(ld, e) / sizeof(float)) + 16;
}

static struct block block_of(const struct attention_back *b, size_t h, size_t t, float *scratch) {
    const struct window_shape *s = b->shape;
    const size_t C = s->chunk, e = s->head_dim, begin = t >= window_ring(s) ? t - s->window : 0;
    struct block o = {.m = h / (s->heads / s->kv_heads),
                      .h = h,
                      .t = t,
                      .low = begin,
                      .single = window_sinks_at(s, t) + window_kept_at(s, t),
                      .far = window_sinks_at(s, t) + window_kept_at(s, t) + window_merged_at(s, t),
                      .retirement = t >= window_ring(s) ? (t - window_ring(s)) / C : 0,
                      .near = t + C - begin,
                      .scale = b->rope->magnitude * b->rope->magnitude / sqrtf((float)e)};
    o.ld = floats_rounded(o.far + o.near);
    o.q = floats_take(&scratch, C * e);
    o.dout = floats_take(&scratch, C * e);
    o.dq = floats_take(&scratch, C * e);
    o.p = floats_take(&scratch, C * o.ld);
    o.ds = floats_take(&scratch, C * o.ld);
    o.dfar = floats_take(&scratch, o.far * e);
    o.far_keys = (uint16_t *)(void *)floats_take(&scratch, o.far * e / 2 + 1);
    o.far_values = (uint16_t *)(void *)floats_take(&scratch, o.far * e / 2 + 1);
    o.rest = scratch;
    return o;
}

static const float *turn_of(const struct attention_back *b, size_t position) {
    return b->turns + position * b->rope->dims;
}

static size_t far_position(const struct attention_back *b, const struct block *o, size_t i) {
    const struct window_shape *s = b->shape;
    const size_t at = (o->retirement * s->kv_heads + o->m) * s->keep;
    return i < s->sinks ? i : b->kept[at + i - s->sinks];
}

/* Where the far token's key is read: what is further than D away, as if D away. */
static size_t read_at(const struct attention_back *b, const struct block *o, size_t position) {
    const size_t D = b->shape->clip;
    return o->t > D && position < o->t - D ? o->t - D : position;
}

static void gather_far(const struct attention_back *b, const struct block *o) {
    const struct kernels *k = b->kernels;
    const size_t e = b->shape->head_dim;
    for (size_t i = 0; i < o->single; i++) {
        const size_t position = far_position(b, o, i), at = read_at(b, o, position),
                     slot = (o->m * b->length + position) * e;
        memcpy(o->far_values + i * e, b->values + slot, e * sizeof *o->far_values);
        memcpy(o->far_keys + i * e, b->keys + slot, e * sizeof *o->far_keys);
        if (at != position) {
            float key[MODEL_MAX_HEAD];
            k->from_f16(key, b->keys + slot, e);
            rope_turn(b->rope, turn_of(b, position), true, key);
            k->to_f16(o->far_keys + i * e, key, e); /* as the state keeps it */
            k->from_f16(key, o->far_keys + i * e, e);
            rope_turn(b->rope, turn_of(b, at), false, key);
            k->to_f16(o->far_keys + i * e, key, e);
        }
    }
    if (o->far > o->single) {
        const size_t from = (o->retirement * b->shape->kv_heads + o->m) * b->shape->merge * e,
                     to = o->single * e, bytes = (o->far - o->single) * e * sizeof *o->far_keys;
        memcpy(o->far_keys + to, b->merged->merged_keys + from, bytes);
        memcpy(o->far_values + to, b->merged->merged_values + from, bytes);
    }
}

/* What adds to the scores of merged tokens. */
static void weigh_merged(const struct attention_back *b, const struct block *o) {
    const struct window_shape *s = b->shape;
    const size_t at = (o->retirement * s->kv_heads + o->m) * s->merge, n = o->far - o->single;
    for (size_t i = 0; n && i < s->chunk; i++) {
        float *p = o->p + i * o->ld + o->single;
        const float gate = b->gate ? b->gate[(o->t + i) * s->heads + o->h] : 0;
        b->kernels->add(p, b->merged->trace->merged_weight + at, n);
        for (size_t j = 0; b->gate && j < n; j++) {
            p[j] += gate;
        }
    }
}

/* y[C][far + near] = scale x . (keys or values) */
static void against(const struct attention_back *b, const struct block *o, const float *x,
                    const uint16_t *far, const uint16_t *all, float scale, float *y) {
    const size_t C = b->shape->chunk, e = b->shape->head_dim;
    if (o->far) {
        b->kernels->scores(x, C, e, far, o->far, e, scale, y, o->ld, o->rest);
    }
    b->kernels->scores(x, C, e, all + (o->m * b->length + o->low) * e, o->near, e, scale,
                       y + o->far, o->ld, o->rest);
}

static float dot(const float *a, const float *b, size_t n) {
    float lanes[16] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++) {
        lanes[i % 16] += a[i] * b[i];
    }
    for (size_t l = 0; l < 16; l++) {
        sum += lanes[l];
    }
    return sum;
}

/* p and ds from scores and do . v. */
static void shares_back(const struct attention_back *b, const struct block *o) {
    const size_t C = b->shape->chunk, H = b->shape->heads, all = o->far + o->near;
    for (size_t i = 0; i < C; i++) {
        const size_t row = (o->t + i) * H + o->h, seen = all - (C - 1 - i);
        float *p = o->p + i * o->ld, *ds = o->ds + i * o->ld;
        b->kernels->softmax(p, seen);
        memset(p + seen, 0, (all - seen) * sizeof *p);
        memset(ds + seen, 0, (all - seen) * sizeof *ds);
        const float shift = b->dlse[row] - dot(p, ds, seen);
        for (size_t j = 0; j < seen; j++) {
            ds[j] = p[j] * (ds[j] + shift);
        }
        float sum = 0;
        for (size_t j = o->single; j < o->far; j++) {
            sum += ds[j];
        }
        if (b->gate) {
            b->gate[row] = sum;
        }
    }
}

/* dq = scale ds K, turned back. */
static void queries_back(const struct attention_back *b, const struct block *o) {
    const struct kernels *k = b->kernels;
    const size_t C = b->shape->chunk, e = b->shape->head_dim, H = b->shape->heads;
    const uint16_t *near = b->keys + (o->m * b->length + o->low) * e;
    for (size_t part = o->far ? 0 : 1; part < 2; part++) {
        k->mix(o->ds + (part ? o->far : 0), C, o->ld, part ? near : o->far_keys,
               part ? o->near : o->far, e, o->dq, e, o->rest);
        for (size_t i = 0; i < C; i++) {
            rope_turn(b->rope, turn_of(b, o->t + i), true, o->dq + i * e);
            k->add_scaled(b->dq + ((o->t + i) * H + o->h) * e, o->scale, o->dq + i * e, e);
        }
    }
}

/* d[j] += sum over i of shares[i][j] x[i], for the window's tokens in place, for the far ones to
 * where they stand; a key that was read elsewhere than at its own position is turned between.
 * Merged tokens have rows of 2e. */
static void tokens_back(const struct attention_back *b, const struct block *o, const float *shares,
                        const float *x, bool keys, float *d, float *merged) {
    const struct kernels *k = b->kernels;
    const size_t C = b->shape->chunk, e = b->shape->head_dim;
    k->gemm(true, false, o->near, e, C, shares + o->far, o->ld, x, e, d + o->low * e, e, true);
    if (!o->far) {
        return;
    }
    k->gemm(true, false, o->far, e, C, shares, o->ld, x, e, o->dfar, e, false);
    for (size_t i = 0; i < o->single; i++) {
        const size_t position = far_position(b, o, i), at = read_at(b, o, position);
        float *to = d + position * e, *from = o->dfar + i * e;
        if (keys && at != position) {
            rope_turn(b->rope, turn_of(b, at), true, from);
            rope_turn(b->rope, turn_of(b, position), false, from);
        }
        k->add(to, from, e);
    }
    for (size_t i = o->single; i < o->far; i++) {
        float *from = o->dfar + i * e;
        if (keys) {
            rope_turn(b->rope, merged_pass_turn(b->merged, o->t), true, from);
        }
        k->add(merged + (i - o->single) * 2 * e, from, e);
    }
}

void attention_back_head(const struct attention_back *b, size_t h, float *scratch) {
    const struct kernels *k = b->kernels;
    const struct window_shape *s = b->shape;
    const size_t C = s->chunk, e = s->head_dim, H = s->heads;
    float *dk = b->head_dk + h * b->length * e, *dv = b->head_dv + h * b->length * e;
    float *merged = floats_take(&scratch, 2 * s->merge * e),
          *before = floats_take(&scratch, 2 * s->merge * e);
    memset(dk, 0, b->length * e * sizeof *dk);
    memset(dv, 0, b->length * e * sizeof *dv);
    memset(merged, 0, 2 * s->merge * e * sizeof *merged);
    for (size_t t = b->length; t > b->first;) {
        t -= C;
        const struct block o = block_of(b, h, t, scratch);
        for (size_t i = 0; i < C; i++) {
            memcpy(o.q + i * e, b->q + ((t + i) * H + h) * e, e * sizeof *o.q);
            rope_turn(b->rope, turn_of(b, t + i), false, o.q + i * e);
            memcpy(o.dout + i * e, b->dout + ((t + i) * H + h) * e, e * sizeof *o.q);
        }
        gather_far(b, &o);
        against(b, &o, o.q, o.far_keys, b->keys, o.scale, o.p);
        weigh_merged(b, &o);
        against(b, &o, o.dout, o.far_values, b->values, 1, o.ds);
        shares_back(b, &o);
        queries_back(b, &o);
        k->scale(o.q, o.scale, C * e);
        tokens_back(b, &o, o.ds, o.q, true, dk, merged);
        tokens_back(b, &o, o.p, o.dout, false, dv, merged + e);
        if (s->merge && t >= window_ring(s)) {
            merged_pass_back(b->merged, o.m, t, merged, before, dk, dv);
            float *swap = merged;
            merged = before;
            before = swap;
        }
    }
}

void attention_back_gather(const struct attention_back *b, size_t from, size_t rows) {
    const size_t e = b->shape->head_dim, H = b->shape->heads, M = b->shape->kv_heads, R = H / M;
    for (size_t i = from; i < from + rows; i++) {
        for (size_t m = 0; m < M; m++) {
            float key[MODEL_MAX_HEAD] = {0};
            for (size_t h = m * R; h < (m + 1) * R; h++) {
                b->kernels->add(key, b->head_dk + (h * b->length + i) * e, e);
                b->kernels->add(b->dv + (i * M + m) * e, b->head_dv + (h * b->length + i) * e, e);
            }
            rope_turn(b->rope, turn_of(b, i), true, key);
            b->kernels->add(b->dk + (i * M + m) * e, key, e);
        }
    }
}
