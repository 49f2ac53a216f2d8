/* SPDX-License-Identifier: Apache-2.0
 *
 * The costs of all pairs are computed once, by one product; what a merged pair would cost with each
 * other point follows from what its two parts would have (Lance and Williams, 1967).
 */
#include "engine/cpu/merge.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* cost [count][count], INFINITY on the diagonal and wherever a point is gone; the nearest other of
 * each point and what merging with it costs. Where a point's nearest was merged, nothing of the
 * point has become cheaper than what stood there (Ward's costs have this property): its nearest is
 * then itself, for unknown, and its least cost a bound from below, until it is looked for again. */
struct costs {
    size_t count;
    float *cost;
    float *least;
    uint32_t *nearest;
};

static void find_nearest(const struct kernels *k, struct costs *c, size_t i) {
    const float *row = c->cost + i * c->count;
    c->nearest[i] = (uint32_t)k->least(row, c->count);
    c->least[i] = row[c->nearest[i]];
}

static struct costs all_costs(const struct kernels *k, const struct merge_points *p,
                              float *scratch) {
    const size_t n = p->count, width = p->width;
    struct costs c = {n, scratch, scratch + n * n, (uint32_t *)(void *)(scratch + n * n + n)};
    float *square = scratch + n * n + 2 * n;
    k->gemm(false, true, n, n, width, p->keys, width, p->keys, width, c.cost, n, false);
    for (size_t i = 0; i < n; i++) {
        square[i] = c.cost[i * n + i];
    }
    for (size_t i = 0; i < n; i++) {
        float *row = c.cost + i * n;
        k->pair_costs(row, square, p->counts, square[i], p->counts[i], n);
        row[i] = INFINITY;
        find_nearest(k, &c, i);
    }
    return c;
}

static void average(const struct kernels *k, float *to, const float *from, float share,
                    size_t width) {
    k->scale(to, 1 - share, width);
    k->add_scaled(to, share, from, width);
}

/* Point j goes into i. */
static void merge_pair(const struct kernels *k, struct merge_points *p, struct costs *c, size_t i,
                       size_t j) {
    const size_t n = c->count, width = p->width;
    const float a = p->counts[i], b = p->counts[j], between = c->cost[i * n + j];
    float *row = c->cost + i * n, *gone = c->cost + j * n;
    average(k, p->keys + i * width, p->keys + j * width, b / (a + b), width);
    average(k, p->values + i * width, p->values + j * width, b / (a + b), width);
    for (size_t l = 0; l < n; l++) {
        const float m = p->counts[l];
        row[l] = ((a + m) * row[l] + (b + m) * gone[l] - m * between) / (a + b + m);
        gone[l] = INFINITY;
    }
    row[i] = row[j] = INFINITY;
    p->counts[i] = a + b;
    p->counts[j] = 0; /* gone */
    for (size_t l = 0; l < n; l++) {
        c->cost[l * n + i] = row[l];
        c->cost[l * n + j] = INFINITY;
    }
    c->least[j] = INFINITY;
    find_nearest(k, c, i);
    for (size_t l = 0; l < n; l++) {
        if (l == i || p->counts[l] == 0) {
            continue;
        }
        if (row[l] < c->least[l]) {
            c->nearest[l] = (uint32_t)i;
            c->least[l] = row[l];
        } else if (c->nearest[l] == i || c->nearest[l] == j) {
            c->nearest[l] = (uint32_t)l;
        }
    }
}

void merge_until(const struct kernels *k, struct merge_points *p, size_t most, float *scratch) {
    if (p->count <= most) {
        return;
    }
    struct costs c = all_costs(k, p, scratch);
    for (size_t left = p->count; left > most; left--) {
        size_t a = k->least(c.least, c.count);
        while (c.nearest[a] == a) {
            find_nearest(k, &c, a);
            a = k->least(c.least, c.count);
        }
        const size_t b = c.nearest[a];
        merge_pair(k, p, &c, a < b ? a : b, a < b ? b : a);
    }
    size_t to = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (p->counts[i] == 0) {
            continue;
        }
        if (to != i) {
            memcpy(p->keys + to * p->width, p->keys + i * p->width, p->width * sizeof(float));
            memcpy(p->values + to * p->width, p->values + i * p->width, p->width * sizeof(float));
            p->counts[to] = p->counts[i];
        }
        to++;
    }
    p->count = to;
}

size_t merge_scratch(size_t count) {
    return count * count + 3 * count;
}
