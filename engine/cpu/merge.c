/* SPDX-License-Identifier: Apache-2.0
 *
 * The costs of all pairs are computed once, by matrix products; what a merged pair would cost with
 * each other point follows from what its two parts would have. A merge rewrites one row of the
 * matrix; the other rows' columns follow when such a row is next looked at.
 */
#include "engine/cpu/merge.h"

#include <math.h>
#include <string.h>

#include "engine/base/floats.h"

/* cost [count][count], INFINITY on the diagonal and wherever a point is gone; a lower bound of what
 * merging a point costs, and with which it costs that. Where a point's nearest was merged it is
 * itself, for unknown, until it is looked for again. */
struct costs {
    size_t count, merges;
    float *cost, *mean, *centred; /* mean [2 width], centred [count][2 width] */
    float *squares;               /* |centred|^2 */
    float *slacks;                /* 1 / sqrt(count) */
    float *bounds;
    int32_t *nearest;
    int32_t *into, *gone; /* [merges]: which went into which */
    int32_t *seen;        /* the merges that a row knows of */
};

static int32_t *take_numbers(float **at, size_t n) {
    return (int32_t *)(void *)floats_take(at, n);
}

static struct costs costs_in(float *scratch, size_t n, size_t width) {
    struct costs c = {.count = n};
    c.cost = floats_take(&scratch, n * n);
    c.mean = floats_take(&scratch, 2 * width);
    c.centred = floats_take(&scratch, n * 2 * width);
    c.squares = floats_take(&scratch, n);
    c.slacks = floats_take(&scratch, n);
    c.bounds = floats_take(&scratch, n);
    c.nearest = take_numbers(&scratch, n);
    c.into = take_numbers(&scratch, n);
    c.gone = take_numbers(&scratch, n);
    c.seen = take_numbers(&scratch, n);
    return c;
}

size_t merge_scratch(size_t count, size_t width) {
    return floats_rounded(count * count) + floats_rounded(2 * width) +
           floats_rounded(count * 2 * width) + 7 * floats_rounded(count);
}

/* ---- the costs of all pairs ---- */

/* Sum of squares of columns [from, from + width). */
static double sum_of_squares(const struct kernels *k, const struct costs *c, size_t from,
                             size_t width) {
    double sum = 0;
    for (size_t i = 0; i < c->count; i++) {
        sum += (double)k->square_sum(c->centred + i * 2 * width + from, width);
    }
    return sum;
}

void merge_prepare(const struct kernels *k, const struct merge_points *p, float *scratch) {
    const struct costs c = costs_in(scratch, p->count, p->width);
    const size_t n = p->count, wide = 2 * p->width;
    memset(c.mean, 0, wide * sizeof *c.mean);
    for (size_t i = 0; i < n; i++) {
        k->add_scaled(c.mean, 1 / (float)n, p->points + i * wide, wide);
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(c.centred + i * wide, p->points + i * wide, wide * sizeof *c.mean);
        k->add_scaled(c.centred + i * wide, -1, c.mean, wide);
        c.slacks[i] = 1 / sqrtf(p->counts[i]);
    }
    const double keys = sum_of_squares(k, &c, 0, p->width),
                 values = sum_of_squares(k, &c, p->width, p->width);
    const float unit = values > 0 ? (float)sqrt(keys / values) : 0;
    for (size_t i = 0; i < n; i++) {
        k->scale(c.centred + i * wide + p->width, unit, p->width);
        c.squares[i] = k->square_sum(c.centred + i * wide, wide);
    }
}

void merge_costs(const struct kernels *k, const struct merge_points *p, size_t from, size_t rows,
                 float *scratch) {
    const struct costs c = costs_in(scratch, p->count, p->width);
    const size_t n = p->count, wide = 2 * p->width;
    k->gemm(false, true, rows, n, wide, c.centred + from * wide, wide, c.centred, wide,
            c.cost + from * n, n, false);
    for (size_t i = from; i < from + rows; i++) {
        float *row = c.cost + i * n;
        k->pair_costs(row, c.squares, c.slacks, c.squares[i], c.slacks[i], n);
        row[i] = INFINITY;
        c.nearest[i] = (int32_t)k->least(row, n);
        c.bounds[i] = row[c.nearest[i]];
        c.seen[i] = 0;
    }
}

/* ---- merging ---- */

/* Brings row i up to date with the merges since it was last looked at. */
static float *row_of(struct costs *c, size_t i) {
    float *row = c->cost + i * c->count;
    for (size_t m = (size_t)c->seen[i]; m < c->merges; m++) {
        const size_t into = (size_t)c->into[m];
        row[into] = c->cost[into * c->count + i];
        row[c->gone[m]] = INFINITY;
    }
    c->seen[i] = (int32_t)c->merges;
    return row;
}

static void find_nearest(const struct kernels *k, struct costs *c, size_t i) {
    const float *row = row_of(c, i);
    c->nearest[i] = (int32_t)k->least(row, c->count);
    c->bounds[i] = row[c->nearest[i]];
}

static void average(const struct kernels *k, float *to, const float *from, float share, size_t n) {
    k->scale(to, 1 - share, n);
    k->add_scaled(to, share, from, n);
}

/* Point j goes into i. */
static void merge_pair(const struct kernels *k, struct merge_points *p, struct costs *c, size_t i,
                       size_t j) {
    const size_t wide = 2 * p->width;
    float *row = row_of(c, i);
    const float *other = row_of(c, j);
    const float a = p->counts[i], b = p->counts[j], all = a + b;
    struct merged_pair pair = {a / all, b / all, c->slacks[i], c->slacks[j], 1 / sqrtf(all), 0};
    pair.between = pair.part * pair.other_part * row[j] * (pair.slack + pair.other_slack);
    average(k, p->points + i * wide, p->points + j * wide, b / all, wide);
    p->counts[i] = all;
    p->counts[j] = 0;

    k->merged_costs(row, other, c->slacks, &pair, c->count);
    row[i] = row[j] = INFINITY;
    c->slacks[i] = pair.whole_slack;
    c->into[c->merges] = (int32_t)i;
    c->gone[c->merges++] = (int32_t)j;
    c->seen[i] = (int32_t)c->merges;
    k->now_nearer(row, c->bounds, c->nearest, (int32_t)i, (int32_t)j, c->count);
    c->bounds[j] = INFINITY;
    find_nearest(k, c, i);
}

static void close_gaps(struct merge_points *p) {
    const size_t wide = 2 * p->width;
    size_t to = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (p->counts[i] > 0) {
            memmove(p->points + to * wide, p->points + i * wide, wide * sizeof *p->points);
            p->counts[to++] = p->counts[i];
        }
    }
    p->count = to;
}

void merge_until(const struct kernels *k, struct merge_points *p, size_t most, float *scratch) {
    struct costs c = costs_in(scratch, p->count, p->width);
    while (p->count - c.merges > most) {
        size_t a = k->least(c.bounds, c.count);
        while ((size_t)c.nearest[a] == a) {
            find_nearest(k, &c, a);
            a = k->least(c.bounds, c.count);
        }
        const size_t b = (size_t)c.nearest[a];
        merge_pair(k, p, &c, a < b ? a : b, a < b ? b : a);
    }
    close_gaps(p);
}

void merge_groups(size_t count, size_t after, size_t width, float *scratch, uint32_t *to) {
    const struct costs c = costs_in(scratch, count, width);
    int32_t *place = c.seen; /* of those that are left; the merging is over */
    for (size_t i = 0; i < count; i++) {
        to[i] = (uint32_t)i;
        place[i] = 1;
    }
    for (size_t m = count - after; m-- > 0;) { /* what it went into may have gone later */
        to[c.gone[m]] = to[c.into[m]];
        place[c.gone[m]] = 0;
    }
    for (size_t i = 0, n = 0; i < count; i++) {
        place[i] = place[i] ? (int32_t)n++ : -1;
    }
    for (size_t i = 0; i < count; i++) {
        to[i] = (uint32_t)place[to[i]];
    }
}
