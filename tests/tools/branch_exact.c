/* SPDX-License-Identifier: Apache-2.0
 *
 * Straight from the maths: for each chunk a list of tokens is written, then each query reads. A
 * write is the minimiser of its squared errors, by the normal equations of W's rows.
 */
#include "tests/tools/branch_exact.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Variables by name. */
struct exact {
    const struct branch_problem *b;
    const double *w1, *w2, *w3, *q_map, *k_map, *ev_q, *ev_k, *gate_lse, *alpha, *gate_w, *gate_b,
        *rates_w, *rates_b;
    double v_scale;
    const double *x, *q, *k, *v, *swa, *lse;
    size_t d, H, M, e, f, C;
    double *fast;   /* [e][f]: W */
    double *system; /* [f][f]: of a write */
    double z[2][64];
};

static double sigma(double x) {
    return 1 / (1 + exp(-x));
}

/* y = rms(map rms(x)) */
static void features(const double *map, const double *x, size_t e, double *y) {
    double unit[64], square = 0;
    for (size_t i = 0; i < e; i++) {
        square += x[i] * x[i];
    }
    for (size_t i = 0; i < e; i++) {
        unit[i] = x[i] / sqrt(square / (double)e + 1e-6);
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

static double project(const double *w, double b, const double *x, size_t d) {
    return b + product(w, x, d);
}

/* a = ev x e^-1/4 */
static void evidence_logits(const double *ev, const double *x, size_t e, double *a) {
    for (size_t i = 0; i < e; i++) {
        a[i] = product(ev + i * e, x, e) * pow((double)e, -0.25);
    }
}

/* h = silu(w1 hat) * (w3 hat) */
static void hidden(const struct exact *c, size_t m, const double *hat, double *h) {
    for (size_t j = 0; j < c->f; j++) {
        const size_t row = (m * c->f + j) * c->e;
        const double g = product(c->w1 + row, hat, c->e);
        h[j] = g * sigma(g) * product(c->w3 + row, hat, c->e);
    }
}

/* Solves w A = w for each of `rows` rows of w, A [n][n] positive definite and overwritten. */
static void solve_rows(double *a, size_t n, double *w, size_t rows) {
    for (size_t p = 0; p < n; p++) {
        for (size_t i = p + 1; i < n; i++) {
            const double factor = a[i * n + p] / a[p * n + p];
            for (size_t l = p; l < n; l++) {
                a[i * n + l] -= factor * a[p * n + l];
            }
            for (size_t r = 0; r < rows; r++) {
                w[r * n + i] -= factor * w[r * n + p];
            }
        }
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = n; i-- > 0;) {
            for (size_t l = i + 1; l < n; l++) {
                w[r * n + i] -= a[i * n + l] * w[r * n + l];
            }
            w[r * n + i] /= a[i * n + i];
        }
    }
}

/* Adds a token to the normal equations W (I + sum d^2 h h^T) = W' + sum d^2 v h^T, and to z. */
static void add_token(struct exact *c, size_t m, size_t token) {
    const size_t e = c->e, f = c->f, row = (token * c->M + m) * e;
    double hat[64], h[64], a[64];
    const double raw = project(c->rates_w + m * c->d, c->rates_b[m], c->x + token * c->d, c->d);
    const double square = pow(log1p(exp(raw)), 2) / (double)f;
    features(c->k_map + m * e * e, c->k + row, e, hat);
    hidden(c, m, hat, h);
    for (size_t j = 0; j < f; j++) {
        for (size_t l = 0; l < f; l++) {
            c->system[j * f + l] += square * h[j] * h[l];
        }
        for (size_t i = 0; i < e; i++) {
            c->fast[i * f + j] += square * c->v[row + i] / c->v_scale * h[j];
        }
    }
    evidence_logits(c->ev_k + m * e * e, c->k + row, e, a);
    for (size_t i = 0; i < e; i++) {
        c->z[0][i] += exp(fmin(a[i], 15));
        c->z[1][i] += exp(fmin(-a[i], 15));
    }
}

static void write_list(struct exact *c, size_t m, const uint32_t *tokens, size_t n) {
    const size_t e = c->e, f = c->f, decay = c->M + m;
    double stays = 0;
    for (size_t i = 0; i < n; i++) {
        stays += sigma(project(c->rates_w + decay * c->d, c->rates_b[decay],
                               c->x + tokens[i] * c->d, c->d)) /
                 (double)n;
    }
    for (size_t i = 0; n && i < e * f; i++) {
        const double first = c->w2[m * e * f + i];
        c->fast[i] = first + stays * (c->fast[i] - first);
    }
    for (size_t i = 0; n && i < e; i++) {
        c->z[0][i] *= stays;
        c->z[1][i] *= stays;
    }
    for (size_t i = 0; i < f * f; i++) {
        c->system[i] = i / f == i % f;
    }
    for (size_t i = 0; i < n; i++) {
        add_token(c, m, tokens[i]);
    }
    solve_rows(c->system, f, c->fast, e);
}

static void read_query(const struct exact *c, size_t h, size_t t, double *y) {
    const size_t e = c->e, f = c->f, row = t * c->H + h;
    double hat[64], act[64], a[64], s = 0, plus = 0, minus = 0;
    features(c->q_map + h * e * e, c->q + row * e, e, hat);
    hidden(c, h / (c->H / c->M), hat, act);
    evidence_logits(c->ev_q + h * e * e, c->q + row * e, e, a);
    for (size_t i = 0; i < e; i++) {
        plus += exp(a[i]);
        minus += exp(-a[i]);
    }
    for (size_t i = 0; i < e; i++) {
        s += exp(a[i]) / plus * c->z[0][i] + exp(-a[i]) / minus * c->z[1][i];
    }
    const double gate = sigma(project(c->gate_w + h * c->d, c->gate_b[h], c->x + t * c->d, c->d) +
                              c->gate_lse[h] * c->lse[row] + log(s + 1e-9));
    for (size_t i = 0; i < e; i++) {
        y[i] = (1 - gate) * c->swa[row * e + i] +
               gate * c->alpha[h * e + i] * product(c->fast + i * f, act, f);
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

static void run_head(struct exact *c, size_t m, double *y) {
    const struct branch_pass *p = &c->b->pass;
    const size_t fe = c->f * c->e, C = c->C, R = c->H / c->M;
    const size_t writes = branch_writes(p->shape, p->length, p->window);
    memcpy(c->fast, c->w2 + m * fe, fe * sizeof *c->fast);
    memset(c->z, 0, sizeof c->z);
    for (size_t t = 0; t < p->length; t++) {
        const bool leaves = t >= p->window + C;
        if (t % C == 0 && leaves) {
            const size_t j = (t - p->window) / C - 1;
            write_list(c, m, p->written + (m * writes + j) * C, p->written_count[j]);
        }
        for (size_t h = m * R; h < (m + 1) * R; h++) {
            double *out = y + (t * c->H + h) * c->e;
            memcpy(out, c->swa + (t * c->H + h) * c->e, c->e * sizeof *out);
            if (leaves) {
                read_query(c, h, t, out);
            }
        }
    }
}

double branch_exact_loss(const struct branch_problem *b, const double *variables, double *out) {
    const struct branch_pass *p = &b->pass;
    const struct branch_shape *s = p->shape;
    /* The same places as in the problem's own run of floats. */
    const struct branch_values *v = &p->values;
    struct exact c = {
        .b = b,
        .w1 = variables + (v->w1 - b->variables),
        .w2 = variables + (v->w2 - b->variables),
        .w3 = variables + (v->w3 - b->variables),
        .q_map = variables + (v->q_map - b->variables),
        .k_map = variables + (v->k_map - b->variables),
        .ev_q = variables + (v->ev_q - b->variables),
        .ev_k = variables + (v->ev_k - b->variables),
        .gate_lse = variables + (v->gate_lse - b->variables),
        .alpha = variables + (v->alpha - b->variables),
        .gate_w = variables + (v->gate_w - b->variables),
        .gate_b = variables + (v->gate_b - b->variables),
        .rates_w = variables + (v->rates_w - b->variables),
        .rates_b = variables + (v->rates_b - b->variables),
        .v_scale = variables[v->v_scale - b->variables],
        .x = variables + (p->x - b->variables),
        .q = variables + (p->q - b->variables),
        .k = variables + (p->k - b->variables),
        .v = variables + (p->v - b->variables),
        .swa = variables + (p->swa - b->variables),
        .lse = variables + (p->lse - b->variables),
        .d = s->width,
        .H = s->heads,
        .M = s->kv_heads,
        .e = s->head_dim,
        .f = s->memory_width,
        .C = s->chunk,
    };
    const size_t fe = c.f * c.e, rows = p->length * c.H * c.e;
    double *memory = calloc(fe + c.f * c.f + rows, sizeof *memory);
    if (!memory) {
        return NAN;
    }
    c.fast = memory;
    c.system = memory + fe;
    double *y = c.system + c.f * c.f;
    for (size_t m = 0; m < c.M; m++) {
        run_head(&c, m, y);
    }
    if (out) {
        memcpy(out, y, rows * sizeof *out);
    }
    const double loss = loss_of(&c, y);
    free(memory);
    return loss;
}
