/* SPDX-License-Identifier: Apache-2.0
 *
 * Sizes of keys, queries, values and scores, taken out of the parameters' start.
 */
#include "engine/finetune/calibrate.h"

#include <math.h>
#include <string.h>

#include "engine/finetune/branch_private.h"
#include "engine/model.h"

/* One head's columns of keys or queries. */
struct vectors {
    const float *x;
    size_t n, stride, e;
};

void calibrate_values(const struct branch_pass *p) {
    const size_t n = p->length * p->shape->kv_heads * p->shape->head_dim;
    double square = 0;
    for (size_t i = 0; i < n; i++) {
        square += (double)p->v[i] * (double)p->v[i];
    }
    const float scale = (float)sqrt(square / (double)n);
    *p->values.v_scale = scale > 0 ? scale : 1;
}

/* The mean of the vectors' directions, of length 1, or 0 where they have none. */
static void mean_direction(const struct vectors *v, double *mean) {
    double square = 0;
    memset(mean, 0, v->e * sizeof *mean);
    for (size_t i = 0; i < v->n; i++) {
        const float *x = v->x + i * v->stride;
        const double size = sqrt((double)dot(x, x, v->e)) + 1e-30;
        for (size_t l = 0; l < v->e; l++) {
            mean[l] += (double)x[l] / size;
        }
    }
    for (size_t l = 0; l < v->e; l++) {
        square += mean[l] * mean[l];
    }
    for (size_t l = 0; l < v->e && square > 0; l++) {
        mean[l] /= sqrt(square);
    }
}

/* map <- map (I - u u^T), |u| = 1 */
static void remove_direction(float *map, const double *u, size_t e) {
    for (size_t r = 0; r < e; r++) {
        float *row = map + r * e;
        double along = 0;
        for (size_t l = 0; l < e; l++) {
            along += (double)row[l] * u[l];
        }
        for (size_t l = 0; l < e; l++) {
            row[l] -= (float)(along * u[l]);
        }
    }
}

/* Scales `map` so that the mean square of map x is at most sqrt(e). */
static void limit_products(float *map, const struct vectors *v) {
    const double most = sqrt((double)v->e);
    double square = 0;
    for (size_t i = 0; i < v->n; i++) {
        for (size_t r = 0; r < v->e; r++) {
            const double a = (double)dot(map + r * v->e, v->x + i * v->stride, v->e);
            square += a * a;
        }
    }
    square /= (double)(v->n * v->e);
    const float factor = square > most ? (float)sqrt(most / square) : 1;
    for (size_t i = 0; i < v->e * v->e; i++) {
        map[i] *= factor;
    }
}

static void calibrate_maps(float *map, float *evidence, const struct vectors *v) {
    double u[MODEL_MAX_HEAD];
    mean_direction(v, u);
    remove_direction(map, u, v->e);
    remove_direction(evidence, u, v->e);
    limit_products(evidence, v);
}

static double lse_deviation(const struct branch_pass *p, size_t h) {
    const size_t from = branch_first_read(p->shape, p->window), H = p->shape->heads;
    const double n = (double)(p->length - from);
    double mean = 0, square = 0;
    for (size_t t = from; t < p->length; t++) {
        mean += (double)p->lse[t * H + h] / n;
    }
    for (size_t t = from; t < p->length; t++) {
        const double apart = (double)p->lse[t * H + h] - mean;
        square += apart * apart / n;
    }
    return sqrt(square);
}

void calibrate_head(const struct branch_pass *p, size_t h) {
    const struct branch_shape *s = p->shape;
    const size_t e = s->head_dim, R = s->heads / s->kv_heads, m = h / R;
    const struct vectors q = {p->q + h * e, p->length, s->heads * e, e};
    calibrate_maps(p->values.q_map + h * e * e, p->values.ev_q + h * e * e, &q);
    if (h % R == 0) {
        const struct vectors k = {p->k + m * e, p->length, s->kv_heads * e, e};
        calibrate_maps(p->values.k_map + m * e * e, p->values.ev_k + m * e * e, &k);
    }
    p->values.gate_lse[h] /= (float)fmax(1, lse_deviation(p, h));
}
