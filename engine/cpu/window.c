/* SPDX-License-Identifier: Apache-2.0
 *
 * The moving of data that window.h's arithmetic asks for: turns of the batch, new rows into the
 * ring, and the block that leaves it: sinks and kept tokens take their places, the rest is laid out
 * for the memory.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "engine/base/floats.h"
#include "engine/cpu/view.h"

/* ---- turns ---- */

void cpu_positions(struct backend *backend, const struct rope *rope, const struct window_shape *s,
                   uint64_t from, size_t count) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    b->rope = rope;
    b->from = from;
    float *clipped = b->clipped.data, *middle = b->middle.data;
    for (size_t i = 0; i < count; i++) {
        uint64_t p = from + i;
        rope_row(rope, p, b->turns.data + i * rope->dims);
        if (p % s->chunk != 0 || p < window_ring(s)) {
            continue;
        }
        for (size_t j = 0; j < s->chunk; j++) {
            /* The block that leaves at p; it may reach past the batch's last row. */
            rope_row(rope, p - window_ring(s) + j, b->departed.data + (i + j) * rope->dims);
        }
        rope_row(rope, p > s->clip ? p - s->clip : 0, clipped);
        clipped += rope->dims;
        if (s->merge) {
            const struct window_distances far = window_merged_distances(s);
            rope_row(rope, p + s->chunk / 2, middle);
            rope_mean_row(rope, far.from, far.to, b->mean.data);
            middle += rope->dims;
        }
    }
}

static const float *departed_turn(const struct cpu_backend *b, const struct window_shape *s,
                                  uint64_t position) {
    return b->departed.data + (position + window_ring(s) - b->from) * b->rope->dims;
}

size_t cpu_chunk_row(const struct cpu_backend *b, const struct window_shape *s, uint64_t t) {
    uint64_t first = b->from > window_ring(s) ? b->from : window_ring(s);
    first = (first + s->chunk - 1) / s->chunk * s->chunk;
    return (t - first) / s->chunk * b->rope->dims;
}

/* ---- a block leaves ---- */

/* Tokens compete for the kept places: those kept so far (index = place), then the block's. i goes
 * before j: the lower worth, and of equal ones the later. */
static bool goes_first(const float *worth, uint32_t i, uint32_t j) {
    return worth[i] < worth[j] || (worth[i] == worth[j] && i > j);
}

static void sift_down(const float *worth, uint32_t *heap, size_t n) {
    for (size_t at = 0;;) {
        size_t child = 2 * at + 1;
        if (child >= n) {
            return;
        }
        if (child + 1 < n && goes_first(worth, heap[child], heap[child + 1])) {
            child++;
        }
        if (!goes_first(worth, heap[at], heap[child])) {
            return;
        }
        uint32_t moved = heap[at];
        heap[at] = heap[child];
        heap[child] = moved;
        at = child;
    }
}

static void sift_up(const float *worth, uint32_t *heap, size_t at) {
    while (at && goes_first(worth, heap[(at - 1) / 2], heap[at])) {
        uint32_t moved = heap[at];
        heap[at] = heap[(at - 1) / 2];
        heap[(at - 1) / 2] = moved;
        at = (at - 1) / 2;
    }
}

/* The `drop` of `n` contestants that go, in rising order of index. A heap holds the best of those
 * that go so far on top. */
static void choose_dropped(const float *worth, size_t n, uint32_t *out, size_t drop) {
    size_t held = 0;
    for (uint32_t i = 0; drop && i < n; i++) {
        if (held < drop) {
            out[held] = i;
            sift_up(worth, out, held++);
        } else if (goes_first(worth, i, out[0])) {
            out[0] = i;
            sift_down(worth, out, held);
        }
    }
    for (size_t i = 1; i < drop; i++) { /* few, so insertion sort */
        uint32_t v = out[i];
        size_t j = i;
        for (; j && out[j - 1] > v; j--) {
            out[j] = out[j - 1];
        }
        out[j] = v;
    }
}

struct retire {
    struct cpu_backend *b;
    const struct attention_step *step;
};

static void turn_to_f16(struct cpu_backend *b, const uint16_t *from, const float *turn, bool back,
                        size_t e, uint16_t *to) {
    float key[MODEL_MAX_HEAD];
    b->kernels->from_f16(key, from, e);
    rope_turn(b->rope, turn, back, key);
    b->kernels->to_f16(to, key, e);
}

/* Copies ring slot `from` of head m into the far place `place` (sinks first, then kept). */
static void settle(struct cpu_backend *b, struct view *v, size_t m, size_t from, uint64_t position,
                   size_t place) {
    size_t e = v->s.head_dim, to = v->ring + place;
    uint16_t *keys = v->keys + m * v->slots * e, *values = v->values + m * v->slots * e;
    memcpy(keys + to * e, keys + from * e, e * sizeof *keys);
    memcpy(values + to * e, values + from * e, e * sizeof *values);
    v->scores[m * v->slots + to] = v->scores[m * v->slots + from];
    memcpy(v->rates + (m * v->slots + to) * WINDOW_RATES,
           v->rates + (m * v->slots + from) * WINDOW_RATES, WINDOW_RATES * sizeof(float));
    turn_to_f16(b, keys + from * e, departed_turn(b, &v->s, position), true, e,
                v->far_keys + (m * (v->s.sinks + v->s.keep) + place) * e);
    if (place >= v->s.sinks) {
        v->kept_at[m * v->s.keep + place - v->s.sinks] = (uint32_t)position;
    }
}

/* Lays a token that is dropped out of the slots as the i-th of the leaving ones. `far_key` is its
 * key before RoPE, or NULL to turn the slot's back. */
static void drop(struct cpu_backend *b, struct view *v, size_t m, size_t slot,
                 const uint16_t *far_key, uint64_t position, size_t i) {
    size_t e = v->s.head_dim, at = (m * v->s.chunk + i);
    float *key = b->leaving.keys.data + at * e;
    if (far_key) {
        b->kernels->from_f16(key, far_key, e);
    } else {
        b->kernels->from_f16(key, v->keys + (m * v->slots + slot) * e, e);
        rope_turn(b->rope, departed_turn(b, &v->s, position), true, key);
    }
    b->kernels->from_f16(b->leaving.values.data + at * e, v->values + (m * v->slots + slot) * e, e);
    memcpy(b->leaving.rates.data + at * WINDOW_RATES,
           v->rates + (m * v->slots + slot) * WINDOW_RATES, WINDOW_RATES * sizeof(float));
}

/* What is further than D away is read as if D away. */
static void clip_distances(struct cpu_backend *b, struct view *v, size_t m, uint64_t t,
                           size_t sinks, size_t kept) {
    if (t <= v->s.clip) {
        return;
    }
    const float *turn = b->clipped.data + cpu_chunk_row(b, &v->s, t);
    size_t e = v->s.head_dim, S = v->s.sinks;
    for (size_t i = 0; i < sinks + kept; i++) {
        uint64_t position = i < S ? i : v->kept_at[m * v->s.keep + i - S];
        if (position < t - v->s.clip) {
            turn_to_f16(b, v->far_keys + (m * (S + v->s.keep) + i) * e, turn, false, e,
                        v->keys + (m * v->slots + v->ring + i) * e);
        }
    }
}

/* worth[i] of the tokens in slots [from, from + n) of head m: score times length of the value. */
static void weigh(const struct cpu_backend *b, const struct view *v, size_t m, size_t from,
                  size_t n, float *worth) {
    const size_t e = v->s.head_dim, first = m * v->slots + from;
    float value[MODEL_MAX_HEAD];
    for (size_t i = 0; i < n; i++) {
        b->kernels->from_f16(value, v->values + (first + i) * e, e);
        worth[i] = v->scores[first + i] * sqrtf(b->kernels->square_sum(value, e));
    }
}

size_t cpu_retire_scratch(const struct window_shape *s) {
    return floats_rounded(s->keep + s->chunk) + s->chunk;
}

static void retire_head(void *context, size_t m, size_t thread) {
    const struct retire *c = context;
    struct cpu_backend *b = c->b;
    struct view v = view_of(c->step);
    uint64_t t = c->step->position, begin = t - v.ring;
    size_t base = begin % v.ring, e = v.s.head_dim, S = v.s.sinks;
    size_t sinks = begin == 0 ? S : 0; /* that settle now */
    for (size_t i = 0; i < sinks; i++) {
        settle(b, &v, m, base + i, i, i);
    }
    size_t fresh = v.s.chunk - sinks, before = window_kept_at(&v.s, t - v.s.chunk),
           after = window_kept_at(&v.s, t);
    float *scratch = cpu_scratch(b, thread);
    float *worth = floats_take(&scratch, v.s.keep + v.s.chunk);
    uint32_t *gone = (uint32_t *)(void *)scratch;
    size_t drops = before + fresh - after;
    b->kernels->scale(v.scores + m * v.slots + v.ring + S, window_score_stays(&v.s), before);
    weigh(b, &v, m, v.ring + S, before, worth);
    weigh(b, &v, m, base + sinks, fresh, worth + before);
    choose_dropped(worth, before + fresh, gone, drops);

    size_t kept_gone = 0; /* the first of `gone` are kept ones: their places become free */
    while (kept_gone < drops && gone[kept_gone] < before) {
        size_t place = gone[kept_gone];
        const uint16_t *far = v.far_keys + (m * (S + v.s.keep) + S + place) * e;
        drop(b, &v, m, v.ring + S + place, far, 0, kept_gone++);
    }
    size_t next_gone = kept_gone, free_place = 0, grown = before;
    for (size_t i = 0; i < fresh; i++) {
        uint64_t position = begin + sinks + i;
        size_t slot = base + sinks + i;
        if (next_gone < drops && gone[next_gone] == before + i) {
            drop(b, &v, m, slot, NULL, position, next_gone++);
        } else {
            size_t place = free_place < kept_gone ? gone[free_place++] : grown++;
            settle(b, &v, m, slot, position, S + place);
        }
    }
    assert(next_gone == drops && grown == after);
    clip_distances(b, &v, m, t, S, after);
}

void cpu_window_retire(struct backend *backend, const struct attention_step *step) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    const struct window_shape *s = step->shape;
    struct retire c = {b, step};
    b->leaving.count = (size_t)(window_written_at(s, step->position) -
                                window_written_at(s, step->position - s->chunk));
    pool_run(b->pool, s->kv_heads, retire_head, &c);
}

/* ---- new rows ---- */

static void store_head(void *context, size_t m, size_t thread) {
    const struct retire *c = context;
    struct cpu_backend *b = c->b;
    const struct attention_step *step = c->step;
    struct view v = view_of(step);
    size_t e = v.s.head_dim, M = v.s.kv_heads;
    float *key = cpu_scratch(b, thread);
    for (size_t i = 0; i < step->rows; i++) {
        size_t row = step->row + i, slot = m * v.slots + (step->position + i) % v.ring;
        memcpy(key, step->k->data + (row * M + m) * e, e * sizeof *key);
        rope_turn(b->rope, b->turns.data + (step->position + i - b->from) * b->rope->dims, false,
                  key);
        b->kernels->to_f16(v.keys + slot * e, key, e);
        b->kernels->to_f16(v.values + slot * e, step->v->data + (row * M + m) * e, e);
        v.scores[slot] = 0;
        if (step->memory) {
            const float *raw = step->rates->data + row * WINDOW_RATES * M;
            v.rates[slot * WINDOW_RATES] = window_step(raw[m]);
            v.rates[slot * WINDOW_RATES + 1] = window_decay(raw[M + m]);
        }
    }
}

void cpu_window_store(struct backend *backend, const struct attention_step *step) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    struct retire c = {b, step};
    pool_run(b->pool, step->shape->kv_heads, store_head, &c);
}
