/* SPDX-License-Identifier: Apache-2.0
 *
 * Merged tokens: what left the window and is not kept joins those of its head; when there are too
 * many, they are merged (merge.h); all of them take their slots as the chunk sees them.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

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

static size_t rounded(size_t n) {
    return (n + 15) / 16 * 16;
}

static size_t points_room(const struct window_shape *s) {
    return s->merge + s->chunk;
}

bool cpu_merged_prepare(struct cpu_backend *b, const struct window_shape *s) {
    const size_t points = points_room(s), e = s->head_dim;
    const size_t floats = rounded(points * 2 * e) + rounded(points) + merge_scratch(points, e);
    b->merging.head_floats = floats > b->merging.head_floats ? floats : b->merging.head_floats;
    return s->merge == 0 ||
           cpu_reserve(&b->merging.heads, s->kv_heads * b->merging.head_floats * sizeof(float));
}

/* A head's points; *scratch is what merge.h asks for. */
static struct merge_points points_of(const struct merged *c, size_t m, float **scratch) {
    const struct window_shape *s = c->step->shape;
    float *points = c->b->merging.heads.data + m * c->b->merging.head_floats;
    float *counts = points + rounded(points_room(s) * 2 * s->head_dim);
    *scratch = counts + rounded(points_room(s));
    return (struct merge_points){points, counts, c->count, s->head_dim};
}

/* Lays out the points of a head. */
static void gather_head(void *context, size_t m, size_t thread) {
    (void)thread;
    const struct merged *c = context;
    const struct cpu_backend *b = c->b;
    const struct view v = view_of(c->step);
    const size_t e = v.s.head_dim, G = v.s.merge;
    float *scratch;
    const struct merge_points p = points_of(c, m, &scratch);
    memcpy(p.points, v.merged + m * G * 2 * e, c->before * 2 * e * sizeof *p.points);
    for (size_t i = 0; i < c->before; i++) {
        p.counts[i] = fmaxf(v.counts[m * G + i], LEAST_COUNT); /* a saved state may say anything */
    }
    for (size_t i = c->before; i < c->count; i++) {
        const size_t from = (m * v.s.chunk + i - c->before) * e;
        float *key = p.points + i * 2 * e;
        memcpy(key, b->leaving.keys.data + from, e * sizeof *key);
        rope_turn(b->rope, b->mean.data, true, key);
        memcpy(key + e, b->leaving.values.data + from, e * sizeof *key);
        p.counts[i] = 1;
    }
    if (c->after < c->count) {
        merge_prepare(b->kernels, &p, scratch);
    }
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
 * count stays above 0, however rare its like. */
static void limit_counts(float *counts, size_t n, float most) {
    double sum = 0; /* of many equal ones: roundings to single precision would add up */
    for (size_t i = 0; i < n; i++) {
        sum += (double)counts[i];
    }
    const float share = (float)((double)most / sum);
    for (size_t i = 0; share < 1 && i < n; i++) {
        counts[i] = fmaxf(counts[i] * share, LEAST_COUNT);
    }
}

/* Merges a head's points, and those that are left take their slots: keys as if at t + C/2. */
static void merge_head(void *context, size_t m, size_t thread) {
    (void)thread;
    const struct merged *c = context;
    struct cpu_backend *b = c->b;
    struct view v = view_of(c->step);
    const size_t e = v.s.head_dim, G = v.s.merge;
    float *scratch, *counts = v.counts + m * G;
    struct merge_points p = points_of(c, m, &scratch);
    if (c->after < c->count) {
        merge_until(b->kernels, &p, c->after, scratch);
    }
    assert(p.count == c->after);
    limit_counts(p.counts, p.count, (float)v.s.clip);
    memcpy(v.merged + m * G * 2 * e, p.points, p.count * 2 * e * sizeof *p.points);
    memcpy(counts, p.counts, p.count * sizeof *counts);

    const float *turn = b->middle.data + cpu_chunk_row(b, &v.s, c->step->position);
    const size_t first = m * v.slots + v.ring + v.s.sinks + v.s.keep;
    for (size_t i = 0; i < p.count; i++) {
        float *key = p.points + i * 2 * e;
        v.weights[m * G + i] = logf(counts[i]);
        rope_turn(b->rope, turn, false, key);
        b->kernels->to_f16(v.keys + (first + i) * e, key, e);
        b->kernels->to_f16(v.values + (first + i) * e, key + e, e);
    }
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
    const struct window_shape *s = step->shape;
    struct merged c = merged_of(b, step);
    if (c.after == 0) {
        return;
    }
    pool_run(b->pool, s->kv_heads, gather_head, &c);
    if (c.after < c.count) {
        pool_run(b->pool, s->kv_heads * c.panels, cost_panel, &c);
    }
    pool_run(b->pool, s->kv_heads, merge_head, &c);
}
