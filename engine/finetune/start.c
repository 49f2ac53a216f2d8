/* SPDX-License-Identifier: Apache-2.0
 *
 * The start of training.
 */
#include "engine/finetune/start.h"

#include <math.h>
#include <string.h>

static const double FIRST_STEP = 0.2; /* s */
static const float FIRST_DECAY = 6;   /* lambda = 0.9975, before the logistic function */
static const float FIRST_LSE = -1;    /* the gate opens as the window's own attention thins out */

uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double random_unit(uint64_t *state) {
    return (double)(random_next(state) >> 11) * 0x1p-53;
}

/* Box and Muller's transform, half of it. */
static void fill_normal(uint64_t *random, float *to, size_t n, double deviation) {
    for (size_t i = 0; i < n; i++) {
        const double u = 1 - random_unit(random), v = random_unit(random);
        to[i] = (float)(deviation * sqrt(-2 * log(u)) * cos(2 * M_PI * v));
    }
}

static void fill(float *to, size_t n, float value) {
    for (size_t i = 0; i < n; i++) {
        to[i] = value;
    }
}

/* The mean of the turns by `distances`, of each pair of a head: map and evidence of queries take
 * its angle, both sides the root of its magnitude. Values that do not turn stay as they are. */
static void far_maps(const struct rope *rope, struct far_distances distances, size_t e, float *of_q,
                     float *of_k) {
    memset(of_q, 0, e * e * sizeof *of_q);
    memset(of_k, 0, e * e * sizeof *of_k);
    for (size_t i = 0; i < e; i++) {
        of_q[i * e + i] = of_k[i * e + i] = 1;
    }
    if (distances.to <= distances.from) {
        return;
    }
    const size_t half = rope->dims / 2, step = rope->interleaved ? 2 : 1,
                 apart = rope->interleaved ? 1 : half;
    float row[MODEL_MAX_HEAD];
    rope_mean_row(rope, distances.from, distances.to, row);
    for (size_t i = 0; i < half; i++) {
        const double c = (double)row[i], s = (double)row[half + i];
        const double root = sqrt(hypot(c, s)), size = root + 1e-30;
        const size_t a = i * step, b = a + apart;
        of_q[a * e + a] = of_q[b * e + b] = (float)(c / size);
        of_q[a * e + b] = (float)(-s / size);
        of_q[b * e + a] = (float)(s / size);
        of_k[a * e + a] = of_k[b * e + b] = (float)root;
    }
}

static void copies(float *to, size_t n, size_t floats) {
    for (size_t i = 1; i < n; i++) {
        memcpy(to + i * floats, to, floats * sizeof *to);
    }
}

void start_values(const struct branch_shape *s, const struct rope *rope, struct far_distances far,
                  uint64_t seed, const struct branch_values *v) {
    const size_t d = s->width, H = s->heads, M = s->kv_heads, e = s->head_dim, f = s->memory_width;
    uint64_t random = seed;
    if (f == 0) {
        fill(v->merged_w, H * d, 0);
        fill(v->merged_b, 2 * H, 0);
        return;
    }
    fill_normal(&random, v->w1, M * f * e, 1 / sqrt((double)e));
    fill_normal(&random, v->w3, M * f * e, 1 / sqrt((double)e));
    fill(v->w2, M * e * f, 0);
    far_maps(rope, far, e, v->q_map, v->k_map);
    memcpy(v->ev_q, v->q_map, e * e * sizeof *v->ev_q);
    memcpy(v->ev_k, v->k_map, e * e * sizeof *v->ev_k);
    copies(v->q_map, H, e * e);
    copies(v->ev_q, H, e * e);
    copies(v->k_map, M, e * e);
    copies(v->ev_k, M, e * e);
    fill(v->rates_w, 2 * M * d, 0);
    fill(v->rates_b, M, (float)log(expm1(FIRST_STEP)));
    fill(v->rates_b + M, M, FIRST_DECAY);
    fill(v->gate_w, H * d, 0);
    fill(v->gate_b, H, 0);
    fill(v->gate_lse, H, FIRST_LSE);
    fill(v->alpha, H * e, 1);
    *v->v_scale = 1;
}
