/* SPDX-License-Identifier: Apache-2.0
 *
 * Merged tokens: what left the window and is not kept joins those of its head; when there are too
 * many, they are merged (merge.h); all of them take their slots as the chunk sees them.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "engine/base/floats.h"
#include "engine/cpu/merge.h"
#include "engine/cpu/view.h"

static const float LEAST_COUNT = 1e-3f;

/* Rows of a head's costs that one task computes. */
enum { COST_ROWS = 64 };

struct merged {
    struct cpu_backend *b;
    const struct attention_step *step;
    size_t before, count, after; /* merged tokens; those and what leaves; how many may be left */
    size_t panels;               /* tasks per head */
};

static size_t points_room(const struct window_shape *s) {
    return s->merge + s->chunk;
}

bool cpu_merged_prepare(struct cpu_backend *b, const struct window_shape *s) {
    const size_t points = points_room(s), e = s->head_dim;
    const size_t floats =
        floats_rounded(points * 2 * e) + floats_rounded(points) + merge_scratch(points, e);
    b->merging.head_floats = floats > b->merging.head_floats ? floats : b->merging.head_floats;
    return s->merge == 0 ||
           cpu_reserve(&b->merging.heads, s->kv_heads * b->merging.head_floats * sizeof(float));
}

/* A head's points; *scratch is what merge.h asks for. */
static struct merge_points points_of(const struct merged *c, size_t m, float **scratch) {
    const struct window_shape *s = c->step->shape;
    *scratch = c->b->merging.heads.data + m * c->b->merging.head_floats;
    float *points = floats_take(scratch, points_room(s) * 2 * s->head_dim);
    float *counts = floats_take(scratch, points_room(s));
    return (struct merge_points){points, counts, c->count, s->head_dim};
}

/* The tokens of a head that leave, as points. */
static void lay_leaving(const struct merged *c, size_t m, float *points, float *counts) {
    const struct cpu_backend *b = c->b;
    const size_t e = c->step->shape->head_dim;
    for (size_t i = 0; i < b->leaving.count; i++) {
        const size_t from = (m * c->step->shape->chunk + i) * e;
        float *key = points + i * 2 * e;
        memcpy(key, b->leaving.keys.data + from, e * sizeof *key);
        rope_turn(b->rope, b->mean.data, true, key);
        memcpy(key + e, b->leaving.values.data + from, e * sizeof *key);
        counts[i] = 1;
    }
}

/* Lays out all points of a head for merging. */
static void gather_head(void *context, size_t m, size_t thread) {
    (void)thread;
    const struct merged *c = context;
    const struct view v = view_of(c->step);
    const size_t e = v.s.head_dim, G = v.s.merge;
    float *scratch;
    const struct merge_points p = points_of(c, m, &scratch);
    memcpy(p.points, v.merged + m * G * 2 * e, c->before * 2 * e * sizeof *p.points);
    for (size_t i = 0; i < c->before; i++) {
        p.counts[i] = fmaxf(v.counts[m * G + i], LEAST_COUNT); /* a saved state may say anything */
    }
    lay_leaving(c, m, p.points + c->before * 2 * e, p.counts + c->before);
    merge_prepare(c->b->kernels, &p, scratch);
}

static void cost_panel(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct merged *c = context;
    const size_t from = index % c->panels * COST_ROWS;
    const size_t rows = c->count - from < COST_ROWS ? c->count - from : COST_ROWS;
    float *scratch;
    const struct merge_points p = points_of(c, index / c->panels, &scratch);
    merge_costs(c->b->kernels, &p, from, rows, scratch);
}

/* The counts' sum is held to D: however long the text, what has left weighs no more against the
 * window than in the longest text that the model was trained on, and what left long ago less. A
 * count stays above 0, however rare its like. False: they are as they were. */
static bool limit_counts(float *counts, size_t n, float most) {
    double sum = 0; /* of many equal ones: roundings to single precision would add up */
    for (size_t i = 0; i < n; i++) {
        sum += (double)counts[i];
    }
    const float share = (float)((double)most / sum);
    for (size_t i = 0; share < 1 && i < n; i++) {
        counts[i] = fmaxf(counts[i] * share, LEAST_COUNT);
    }
    return share < 1;
}

/* A head's merged tokens, the first `same` of which were there before, take their slots: keys as if
 * at t + C/2, so all of them anew. */
static void take_slots(const struct merged *c, struct view *v, size_t m, size_t same) {
    const struct cpu_backend *b = c->b;
    const size_t e = v->s.head_dim, G = v->s.merge;
    const float *turn = b->middle.data + cpu_chunk_row(b, &v->s, c->step->position);
    const float *merged = v->merged + m * G * 2 * e;
    const size_t first = (m * v->slots + v->ring + v->s.sinks + v->s.keep) * e;
    float *counts = v->counts + m * G;
    const bool limited = limit_counts(counts, c->after, (float)v->s.clip);
    for (size_t i = limited ? 0 : same; i < c->after; i++) {
        v->weights[m * G + i] = logf(counts[i]);
    }
    for (size_t i = 0; i < c->after; i++) {
        float key[MODEL_MAX_HEAD];
        memcpy(key, merged + i * 2 * e, e * sizeof *key);
        rope_turn(b->rope, turn, false, key);
        b->kernels->to_f16(v->keys + first + i * e, key, e);
    }
    for (size_t i = same; i < c->after; i++) {
        b->kernels->to_f16(v->values + first + i * e, merged + (i * 2 + 1) * e, e);
    }
}

static void merge_head(void *context, size_t m, size_t thread) {
    (void)thread;
    const struct merged *c = context;
    struct view v = view_of(c->step);
    const size_t e = v.s.head_dim, G = v.s.merge;
    float *scratch;
    struct merge_points p = points_of(c, m, &scratch);
    merge_until(c->b->kernels, &p, c->after, scratch);
    assert(p.count == c->after);
    memcpy(v.merged + m * G * 2 * e, p.points, p.count * 2 * e * sizeof *p.points);
    memcpy(v.counts + m * G, p.counts, p.count * sizeof *p.counts);
    take_slots(c, &v, m, 0);
}

/* There are places for all that leave. */
static void append_head(void *context, size_t m, size_t thread) {
    (void)thread;
    const struct merged *c = context;
    struct view v = view_of(c->step);
    const size_t to = m * v.s.merge + c->before;
    lay_leaving(c, m, v.merged + to * 2 * v.s.head_dim, v.counts + to);
    take_slots(c, &v, m, c->before);
}

static struct merged merged_of(struct cpu_backend *b, const struct attention_step *step) {
    const struct window_shape *s = step->shape;
    struct merged c = {.b = b,
                       .step = step,
                       .before = window_merged_at(s, step->position - s->chunk),
                       .after = window_merged_at(s, step->position)};
    c.count = c.before + b->leaving.count;
    c.panels = (c.count + COST_ROWS - 1) / COST_ROWS;
    return c;
}

void cpu_merged_groups(struct cpu_backend *b, const struct window_shape *s, uint64_t t, size_t m,
                       uint32_t *to) {
    const struct attention_step step = {.shape = s, .position = t};
    const struct merged c = merged_of(b, &step);
    float *scratch;
    points_of(&c, m, &scratch);
    merge_groups(c.count, c.after, s->head_dim, scratch, to);
}

void cpu_window_merge(struct backend *backend, const struct attention_step *step) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    const size_t M = step->shape->kv_heads;
    struct merged c = merged_of(b, step);
    if (c.after == c.count) {
        pool_run(b->pool, M, append_head, &c);
        return;
    }
    pool_run(b->pool, M, gather_head, &c);
    pool_run(b->pool, M * c.panels, cost_panel, &c);
    pool_run(b->pool, M, merge_head, &c);
}
