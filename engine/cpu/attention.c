/* SPDX-License-Identifier: Apache-2.0
 *
 * Window attention on the CPU: the ring, the sinks and the kept tokens of a layer, in the layout of
 * window.h. A task has the queries of one key-value head: of many rows (prefill) a block, of one
 * row (decode) a segment of the slots, merged by log-sum-exp.
 */
#include <math.h>
#include <string.h>

#include "engine/cpu/view.h"

/* Slots in a segment of a single row's attention, rounded to whole chunks so that each holds at
 * least one visible slot. */
enum { SEGMENT = 512 };

/* Queries of a task, about: more would not leave its scores in a core's cache. */
enum { TASK_QUERIES = 64 };

/* Rows in a task: a power of two, so that chunks of 64 fall into equal blocks. */
static size_t task_rows(const struct window_shape *s) {
    size_t rows = 1;
    while (rows * 2 * (s->heads / s->kv_heads) <= TASK_QUERIES) {
        rows *= 2;
    }
    return rows;
}

/* Floats between the rows of scores; the next array is aligned. */
static size_t slots_room(size_t slots) {
    return (slots + 15) / 16 * 16;
}

struct attend {
    struct cpu_backend *b;
    const struct attention_step *step;
    struct view v;
    float scale;
    size_t rows;    /* many rows: in a task */
    size_t blocks;  /* tasks per key-value head */
    size_t segment; /* one row: slots in a segment */
    size_t segments;
};

/* Hides the slots of the current chunk that hold positions after p. */
static void hide_future(const struct view *v, uint64_t p, float *s, size_t begin, size_t end) {
    size_t base = (p - p % v->s.chunk) % v->ring;
    size_t from = base + p % v->s.chunk + 1, to = base + v->s.chunk;
    for (size_t j = from > begin ? from : begin; j < to && j < end; j++) {
        s[j - begin] = -INFINITY;
    }
}

/* A merged token counts as often as it stands for tokens, times what the gate of query head h, row
 * `row`, makes of it: s = scores of slots [begin, end). */
static void weigh_merged(const struct attend *c, size_t h, size_t row, float *s, size_t begin,
                         size_t end) {
    const struct view *v = &c->v;
    const struct buffer *gate = c->step->merged_gate;
    const size_t m = h / (v->s.heads / v->s.kv_heads);
    const size_t first = v->slots - v->s.merge, from = begin > first ? begin : first;
    if (from < end) {
        c->b->kernels->add(s + from - begin, v->weights + m * v->s.merge + from - first,
                           end - from);
    }
    const float offset = gate ? gate->data[(c->step->row + row) * v->s.heads + h] : 0;
    for (size_t j = from; gate && j < end; j++) {
        s[j - begin] += offset;
    }
}

/* sum += shares of the slots in [begin, end) that hold kept tokens or the ring's, of these except
 * the positions in (p - WINDOW_SCORE_DELAY, p]. */
static void add_scores(const struct cpu_backend *b, const struct view *v, uint64_t p,
                       const float *shares, size_t begin, size_t end, float *sum) {
    size_t delay = p + 1 < WINDOW_SCORE_DELAY ? (size_t)p + 1 : WINDOW_SCORE_DELAY;
    size_t near = (p + 1 - delay) % v->ring, past = near + delay; /* may run over the ring's end */
    const size_t kept = v->ring + v->s.sinks;
    /* Of the ring [past - ring, near) if the near ones wrap, else [0, near) and [past, ring). */
    size_t spans[3][2] = {{past > v->ring ? past - v->ring : 0, near},
                          {past < v->ring ? past : v->ring, v->ring},
                          {kept, kept + v->s.keep}};
    for (size_t i = 0; i < 3; i++) {
        size_t from = spans[i][0] > begin ? spans[i][0] : begin;
        size_t to = spans[i][1] < end ? spans[i][1] : end;
        if (from < to) {
            b->kernels->add(sum + from, shares + from - begin, to - from);
        }
    }
}

/* The queries of one key-value head on c->rows rows: they share keys and values, which are unpacked
 * once for all of them. Row i of head m * R + r is row i * R + r of the products. */
static void attend_block(void *context, size_t index, size_t thread) {
    const struct attend *c = context;
    const struct attention_step *step = c->step;
    const struct kernels *k = c->b->kernels;
    const struct view *v = &c->v;
    const size_t e = v->s.head_dim, H = v->s.heads, R = H / v->s.kv_heads;
    const size_t m = index / c->blocks, first = index % c->blocks * c->rows;
    const size_t rows = step->rows - first < c->rows ? step->rows - first : c->rows;
    const uint64_t p = step->position + first;
    const size_t n = window_visible(&v->s, p + rows - 1), all = rows * R;

    const size_t room = (all * e + 15) / 16 * 16; /* what a kernel gets begins at 64 bytes */
    float *q = cpu_scratch(c->b, thread), *o = q + room, *s = o + room;
    float *rest = s + all * slots_room(v->slots);
    const size_t from = ((step->row + first) * H + m * R) * e; /* head m R of the first row */
    for (size_t i = 0; i < rows; i++) {
        const float *turn = c->b->turns.data + (p + i - c->b->from) * c->b->rope->dims;
        memcpy(q + i * R * e, step->q->data + from + i * H * e, R * e * sizeof *q);
        for (size_t r = 0; r < R; r++) {
            rope_turn(c->b->rope, turn, false, q + (i * R + r) * e);
        }
    }
    k->scores(q, all, e, v->keys + m * v->slots * e, n, e, c->scale, s, v->slots, rest);
    float *sum = c->b->sums.data + index * v->slots;
    memset(sum, 0, v->slots * sizeof *sum);
    for (size_t i = 0; i < all; i++) {
        float *row = s + i * v->slots;
        hide_future(v, p + i / R, row, 0, n);
        weigh_merged(c, m * R + i % R, first + i / R, row, 0, n);
        c->b->lse.data[(first + i / R) * H + m * R + i % R] = k->softmax(row, n);
        if (v->s.keep) {
            add_scores(c->b, v, p + i / R, row, 0, n, sum);
        }
    }
    k->mix(s, all, v->slots, v->values + m * v->slots * e, n, e, o, e, rest);
    for (size_t i = 0; i < rows; i++) {
        memcpy(step->out->data + from + i * H * e, o + i * R * e, R * e * sizeof *o);
    }
}

static void sum_scores(void *context, size_t m, size_t thread) {
    (void)thread;
    const struct attend *c = context;
    const struct view *v = &c->v;
    for (size_t i = m * c->blocks; i < (m + 1) * c->blocks; i++) {
        c->b->kernels->add(v->scores + m * v->slots, c->b->sums.data + i * v->slots, v->slots);
    }
}

static void attend_segment(void *context, size_t index, size_t thread) {
    const struct attend *c = context;
    const struct attention_step *step = c->step;
    const struct kernels *k = c->b->kernels;
    const struct view *v = &c->v;
    size_t e = v->s.head_dim, R = v->s.heads / v->s.kv_heads, m = index / c->segments;
    size_t part = index % c->segments, begin = part * c->segment;
    size_t n = window_visible(&v->s, step->position);
    size_t end = begin + c->segment < n ? begin + c->segment : n;

    float *q = cpu_scratch(c->b, thread), *rest = q + (R * e + 15) / 16 * 16;
    memcpy(q, step->q->data + (step->row * v->s.heads + m * R) * e, R * e * sizeof *q);
    const float *turn = c->b->turns.data + (step->position - c->b->from) * c->b->rope->dims;
    for (size_t r = 0; r < R; r++) {
        rope_turn(c->b->rope, turn, false, q + r * e);
    }
    float *s = c->b->shares.data + m * R * v->slots + begin;
    k->scores(q, R, e, v->keys + (m * v->slots + begin) * e, end - begin, e, c->scale, s, v->slots,
              rest);
    for (size_t r = 0; r < R; r++) {
        hide_future(v, step->position, s + r * v->slots, begin, end);
        weigh_merged(c, m * R + r, 0, s + r * v->slots, begin, end);
        c->b->sums.data[(m * R + r) * c->segments + part] =
            k->softmax(s + r * v->slots, end - begin);
    }
    k->mix(s, R, v->slots, v->values + (m * v->slots + begin) * e, end - begin, e,
           c->b->parts.data + (m * R * c->segments + part) * e, c->segments * e, rest);
}

/* Joins the segments of one key-value head's rows: each was normalised on its own, with log-sum-exp
 * lse_j, so its weight in the whole is exp(lse_j - lse). */
static void merge_segments(void *context, size_t m, size_t thread) {
    (void)thread;
    const struct attend *c = context;
    const struct view *v = &c->v;
    size_t e = v->s.head_dim, R = v->s.heads / v->s.kv_heads;
    size_t n = window_visible(&v->s, c->step->position);
    for (size_t h = m * R; h < (m + 1) * R; h++) {
        float *weights = c->b->sums.data + h * c->segments;
        float lse = c->b->kernels->softmax(weights, c->segments);
        c->b->lse.data[h] = lse;
        float *out = c->step->out->data + (c->step->row * v->s.heads + h) * e;
        memset(out, 0, e * sizeof *out);
        for (size_t part = 0; part < c->segments; part++) {
            const float *o = c->b->parts.data + (h * c->segments + part) * e;
            for (size_t i = 0; i < e; i++) {
                out[i] += weights[part] * o[i];
            }
            size_t begin = part * c->segment;
            size_t end = begin + c->segment < n ? begin + c->segment : n;
            float *shares = c->b->shares.data + h * v->slots + begin;
            for (size_t j = 0; v->s.keep && j < end - begin; j++) {
                shares[j] *= weights[part];
            }
        }
        if (v->s.keep) {
            add_scores(c->b, v, c->step->position, c->b->shares.data + h * v->slots, 0, n,
                       v->scores + m * v->slots);
        }
    }
}

void cpu_window_attend(struct backend *backend, const struct attention_step *step) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    const struct window_shape *s = step->shape;
    size_t chunk = s->chunk;
    struct attend c = {
        .b = b,
        .step = step,
        .v = view_of(step),
        .scale = b->rope->magnitude * b->rope->magnitude / sqrtf((float)s->head_dim),
        .rows = task_rows(s),
        .blocks = (step->rows + task_rows(s) - 1) / task_rows(s),
        .segment = (SEGMENT + chunk - 1) / chunk * chunk,
    };
    if (step->rows == 1) {
        size_t n = window_visible(s, step->position);
        c.segments = (n + c.segment - 1) / c.segment;
        pool_run(b->pool, s->kv_heads * c.segments, attend_segment, &c);
        pool_run(b->pool, s->kv_heads, merge_segments, &c);
    } else {
        pool_run(b->pool, s->kv_heads * c.blocks, attend_block, &c);
        if (s->keep) {
            pool_run(b->pool, s->kv_heads, sum_scores, &c);
        }
    }
}

size_t cpu_attention_scratch(const struct cpu_backend *b, const struct window_shape *s) {
    const size_t slots = slots_room(window_slots(s)), e = s->head_dim;
    const size_t queries = task_rows(s) * (s->heads / s->kv_heads);
    return queries * (2 * e + slots) + 2 * 16 +
           b->kernels->attention_scratch_bytes(slots, e) / sizeof(float);
}

bool cpu_attention_prepare(struct cpu_backend *b, const struct window_shape *s) {
    size_t H = s->heads, M = s->kv_heads, C = s->chunk, e = s->head_dim, slots = window_slots(s);
    size_t blocks = (C + task_rows(s) - 1) / task_rows(s), segments = slots / SEGMENT + 1;
    size_t sums = M * blocks * slots + H * segments;
    return cpu_reserve(&b->sums, sums * 4) && cpu_reserve(&b->shares, H * slots * 4) &&
           cpu_reserve(&b->parts, H * segments * e * 4) && cpu_reserve(&b->lse, C * H * 4) &&
           cpu_reserve(&b->leaving.keys, M * C * e * 4) &&
           cpu_reserve(&b->leaving.values, M * C * e * 4) &&
           cpu_reserve(&b->leaving.rates, M * C * WINDOW_RATES * 4);
}
