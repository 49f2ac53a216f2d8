/* SPDX-License-Identifier: Apache-2.0
 *
 * Straight from the maths: for each chunk the block that left is written, then each query reads.
 */
#include "tests/tools/branch_exact.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Parameters by name, as doubles. */
struct exact {
    const struct branch_problem *b;
    const double *w[3];
    const double *q_map, *k_map, *ev_q, *ev_k, *gate_lse, *alpha, *gate_w, *gate_b, *rates_w,
        *rates_b;
    double v_scale;
    size_t d, H, M, e, f, C;
    double *fast, *momentum; /* [3][f e] */
    double z[2][64];
};

static double sigma(double x) {
    return 1 / (1 + exp(-x));
}

static double norm_of(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += x[i] * x[i];
    }
    return sqrt(sum);
}

/* y = rms(map rms(x)) */
static void features(const double *map, const float *x, size_t e, double *y) {
    double unit[64], square = 0;
    for (size_t i = 0; i < e; i++) {
        square += (double)x[i] * (double)x[i];
    }
    for (size_t i = 0; i < e; i++) {
        unit[i] = (double)x[i] / sqrt(square / (double)e + 1e-6);
    }
    square = 0;
    for (size_t i = 0; i < e; i++) {
        y[i] = 0;
        for (size_t j = 0; j < e; j++) {
            y[i] += map[i * e + j] * unit[j];
        }
        square += y[i] * y[i];
    }
    for (size_t i = 0; i < e; i++) {
        y[i] /= sqrt(square / (double)e + 1e-6);
    }
}

static double product(const double *w, const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += w[i] * x[i];
    }
    return sum;
}

static double project(const double *w, double b, const float *x, size_t d) {
    for (size_t i = 0; i < d; i++) {
        b += w[i] * (double)x[i];
    }
    return b;
}

/* a = ev x e^-1/4 */
static void evidence_logits(const double *ev, const float *x, size_t e, double *a) {
    for (size_t i = 0; i < e; i++) {
        a[i] = project(ev + i * e, 0, x, e) * pow((double)e, -0.25);
    }
}

static void renormalise(const struct exact *c, size_t m) {
    const size_t fe = c->f * c->e;
    for (size_t i = 0; i < 3; i++) {
        const size_t columns = i == 1 ? c->f : c->e, rows = fe / columns;
        for (size_t r = 0; r < rows; r++) {
            double *row = c->fast + i * fe + r * columns;
            const double to = norm_of(c->w[i] + m * fe + r * columns, columns);
            const double scale = to / (norm_of(row, columns) + 1e-6);
            for (size_t l = 0; l < columns; l++) {
                row[l] *= scale;
            }
        }
    }
}

/* Adds a token's inner gradient times its step sizes to the steps. */
static void add_token(const struct exact *c, size_t m, size_t token, double *step, double *theta) {
    const struct branch_pass *p = &c->b->pass;
    const size_t e = c->e, f = c->f, fe = f * e, d = c->d, M = c->M;
    const float *x = p->x + token * d;
    const double *w1 = c->fast, *w2 = c->fast + fe, *w3 = c->fast + 2 * fe;
    double hat[64], h[64], g[64], u[64], err[64], lr[3];
    for (size_t i = 0; i < 3; i++) {
        lr[i] = log1p(exp(project(c->rates_w + (i * M + m) * d, c->rates_b[i * M + m], x, d)));
    }
    *theta += sigma(project(c->rates_w + (3 * M + m) * d, c->rates_b[3 * M + m], x, d));
    features(c->k_map + m * e * e, p->k + (token * M + m) * e, e, hat);
    for (size_t j = 0; j < f; j++) {
        g[j] = product(w1 + j * e, hat, e);
        u[j] = product(w3 + j * e, hat, e);
        h[j] = g[j] * sigma(g[j]) * u[j];
    }
    for (size_t i = 0; i < e; i++) {
        err[i] = product(w2 + i * f, h, f) - (double)p->v[(token * M + m) * e + i] / c->v_scale;
    }
    for (size_t j = 0; j < f; j++) {
        double dh = 0;
        for (size_t i = 0; i < e; i++) {
            dh += w2[i * f + j] * err[i];
            step[fe + i * f + j] += lr[1] * err[i] * h[j];
        }
        const double s = sigma(g[j]);
        for (size_t i = 0; i < e; i++) {
            step[j * e + i] += lr[0] * dh * u[j] * (s + g[j] * s * (1 - s)) * hat[i];
            step[2 * fe + j * e + i] += lr[2] * dh * g[j] * s * hat[i];
        }
    }
}

static void write_block(struct exact *c, size_t m, size_t from, size_t to, double *step) {
    const struct branch_pass *p = &c->b->pass;
    const size_t e = c->e, fe = c->f * e;
    double theta = 0;
    memset(step, 0, 3 * fe * sizeof *step);
    renormalise(c, m);
    for (size_t token = from; token < to; token++) {
        double a[64];
        add_token(c, m, token, step, &theta);
        evidence_logits(c->ev_k + m * e * e, p->k + (token * c->M + m) * e, e, a);
        for (size_t i = 0; i < e; i++) {
            c->z[0][i] += exp(fmin(a[i], 15));
            c->z[1][i] += exp(fmin(-a[i], 15));
        }
    }
    theta /= (double)(to - from);
    for (size_t i = 0; i < 3; i++) {
        const double cap = (double)p->shape->clip * norm_of(c->w[i] + m * fe, fe);
        const double norm = norm_of(step + i * fe, fe);
        for (size_t l = i * fe; l < (i + 1) * fe; l++) {
            c->momentum[l] = theta * c->momentum[l] + step[l] * (norm > cap ? cap / norm : 1);
            c->fast[l] -= c->momentum[l];
        }
    }
}

static void read_query(const struct exact *c, size_t h, size_t t, double *y) {
    const struct branch_pass *p = &c->b->pass;
    const size_t e = c->e, f = c->f, fe = f * e, row = t * c->H + h;
    double hat[64], act[64], a[64], s = 0, plus = 0, minus = 0;
    features(c->q_map + h * e * e, p->q + row * e, e, hat);
    for (size_t j = 0; j < f; j++) {
        const double g = product(c->fast + j * e, hat, e);
        act[j] = g * sigma(g) * product(c->fast + 2 * fe + j * e, hat, e);
    }
    evidence_logits(c->ev_q + h * e * e, p->q + row * e, e, a);
    for (size_t i = 0; i < e; i++) {
        plus += exp(a[i]);
        minus += exp(-a[i]);
    }
    for (size_t i = 0; i < e; i++) {
        s += exp(a[i]) / plus * c->z[0][i] + exp(-a[i]) / minus * c->z[1][i];
    }
    const double gate = sigma(project(c->gate_w + h * c->d, c->gate_b[h], p->x + t * c->d, c->d) +
                              c->gate_lse[h] * (double)p->lse[row] + log(s + 1e-9));
    for (size_t i = 0; i < e; i++) {
        y[i] = (1 - gate) * (double)p->swa[row * e + i] +
               gate * c->alpha[h * e + i] * product(c->fast + fe + i * f, act, f);
    }
}

static double far_square(const struct exact *c, const double *d) {
    const size_t Q = c->H * c->e;
    double sum = 0;
    for (size_t i = 0; i < c->d; i++) {
        double v = 0;
        for (size_t j = 0; j < Q; j++) {
            v += (double)c->b->wo[i * Q + j] * d[j];
        }
        sum += v * v;
    }
    return sum;
}

static double loss_of(const struct exact *c, const double *y) {
    const struct branch_pass *p = &c->b->pass;
    const size_t Q = c->H * c->e;
    double error = 0, base = 0, d[512];
    for (size_t t = p->window; t < p->length; t++) {
        for (size_t i = 0; i < Q; i++) {
            d[i] = y[t * Q + i] - (double)c->b->full[t * Q + i];
        }
        error += far_square(c, d);
        for (size_t i = 0; i < Q; i++) {
            d[i] = (double)p->swa[t * Q + i] - (double)c->b->full[t * Q + i];
        }
        base += far_square(c, d);
    }
    return error / base;
}

static void run_head(struct exact *c, size_t m, double *y, double *step) {
    const struct branch_pass *p = &c->b->pass;
    const size_t fe = c->f * c->e, C = c->C, R = c->H / c->M, S = p->shape->sinks;
    for (size_t i = 0; i < 3; i++) {
        memcpy(c->fast + i * fe, c->w[i] + m * fe, fe * sizeof *c->fast);
    }
    memset(c->momentum, 0, 3 * fe * sizeof *c->momentum);
    memset(c->z, 0, sizeof c->z);
    for (size_t t = 0; t < p->length; t++) {
        const bool leaves = t >= p->window + C;
        if (t % C == 0 && leaves) {
            const size_t to = t - p->window, from = to - C;
            write_block(c, m, from < S ? S : from, to, step);
        }
        for (size_t h = m * R; h < (m + 1) * R; h++) {
            double *out = y + (t * c->H + h) * c->e;
            for (size_t i = 0; i < c->e; i++) {
                out[i] = (double)p->swa[(t * c->H + h) * c->e + i];
            }
            if (leaves) {
                read_query(c, h, t, out);
            }
        }
    }
}

double branch_exact_loss(const struct branch_problem *b, const double *values, double *out) {
    const struct branch_shape *s = b->pass.shape;
    struct parameter t[PARAMETERS];
    parameters_table(s, t);
    struct exact c = {
        .b = b,
        .w = {values + t[0].offset, values + t[1].offset, values + t[2].offset},
        .q_map = values + t[3].offset,
        .k_map = values + t[4].offset,
        .ev_q = values + t[5].offset,
        .ev_k = values + t[6].offset,
        .gate_lse = values + t[7].offset,
        .alpha = values + t[8].offset,
        .gate_w = values + t[9].offset,
        .gate_b = values + t[10].offset,
        .rates_w = values + t[11].offset,
        .rates_b = values + t[13].offset,
        .v_scale = values[t[15].offset],
        .d = s->width,
        .H = s->heads,
        .M = s->kv_heads,
        .e = s->head_dim,
        .f = s->memory_width,
        .C = s->chunk,
    };
    const size_t set = 3 * c.f * c.e, rows = b->pass.length * c.H * c.e;
    double *memory = calloc(3 * set + rows, sizeof *memory);
    if (!memory) {
        return NAN;
    }
    c.fast = memory;
    c.momentum = memory + set;
    double *y = memory + 3 * set;
    for (size_t m = 0; m < c.M; m++) {
        run_head(&c, m, y, memory + 2 * set);
    }
    if (out) {
        memcpy(out, y, rows * sizeof *out);
    }
    const double loss = loss_of(&c, y);
    free(memory);
    return loss;
}
