/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing a block of n tokens, forwards and back. The block's matrices are row-major, a token a
 * row; W, z are the state before, W_, z_ after; d = s / sqrt(f).
 *
 *   W' = w2 + lambda (W - w2),  lambda the mean of lambda_i;   z_ = lambda z + sum phi_k(k)
 *   K = rms(rms(k) k_map^T),  V = v / v_scale,  H = silu(K w1^T) * (K w3^T)
 *   A = I + diag(d) H H^T diag(d);  A Y = diag(d) (V - H W'^T);  W_ = W' + Y^T diag(d) H
 *
 * The way back solves the same system for T. W_ minimises what the write is about, so that
 * Y = diag(d) (V - H W_^T), and the terms of the adjoints at H and d fall together:
 *
 *   A T = diag(d) H gW_^T;  gW' = gW_ - (diag(d) T)^T H;  gV = diag(d) T
 *   X = Y gW' - T W_;  gH = diag(d) X;  gd_i = X_i . H_i + T_i . V_i
 */
#include <math.h>
#include <string.h>

#include "engine/cpu/cholesky.h"
#include "engine/finetune/branch_private.h"
#include "engine/window.h"

static const float EVIDENCE_LIMIT = 15;
static const float NO_LIMIT = 80; /* of exponents: both exp(x) and its inverse are finite */

/* Activations of a block, room for C tokens. */
struct block {
    size_t n;
    const uint32_t *at;          /* [n]: positions */
    float *keys, *values;        /* [n][e]; V */
    float *unit, *hat;           /* [n][e]: rms(k); K */
    float *unit_factor, *factor; /* [n]: of the two rms */
    float *d, *d_step;           /* [n]; adjoint of s */
    float *g, *u, *h;            /* [n][f]: H = silu(g) * u */
    float *x;                    /* [n][f] */
    float *a;                    /* [n][n]: A, then its factor */
    float *y, *t, *spare;        /* [n][e] */
    float *rest;                 /* for cholesky.h */
};

size_t write_scratch(const struct branch_shape *s) {
    const size_t e = s->head_dim, f = s->memory_width, C = s->chunk;
    return C * (7 * e + 4 * f + C + 4) + cholesky_scratch(C, e);
}

static struct block lay_block(const struct head *h, size_t j, float *at) {
    const size_t e = h->e, f = h->f, C = h->C;
    const struct branch_pass *p = h->pass;
    struct block b = {.n = p->written_count[j - 1],
                      .at = p->written + (h->m * h->writes + j - 1) * C};
    b.g = at;
    b.u = b.g + C * f;
    b.h = b.u + C * f;
    b.x = b.h + C * f;
    b.keys = b.x + C * f;
    b.values = b.keys + C * e;
    b.unit = b.values + C * e;
    b.hat = b.unit + C * e;
    b.y = b.hat + C * e;
    b.t = b.y + C * e;
    b.spare = b.t + C * e;
    b.a = b.spare + C * e;
    b.unit_factor = b.a + C * C;
    b.factor = b.unit_factor + C;
    b.d = b.factor + C;
    b.d_step = b.d + C;
    b.rest = b.d_step + C;
    return b;
}

/* Features of the block's keys, its values, and A's factor. */
static void block_forward(const struct head *h, size_t j, const struct block *b) {
    const struct branch_pass *p = h->pass;
    const struct kernels *k = h->k;
    const size_t e = h->e, f = h->f, n = b->n;
    for (size_t i = 0; i < n; i++) {
        const size_t from = (b->at[i] * h->M + h->m) * e;
        memcpy(b->keys + i * e, p->k + from, e * sizeof(float));
        memcpy(b->values + i * e, p->v + from, e * sizeof(float));
        b->unit_factor[i] = rms_row(k, b->keys + i * e, e, b->unit + i * e);
        b->d[i] = h->step[j * h->C + i] / sqrtf((float)f);
    }
    k->scale(b->values, 1 / *p->values.v_scale, n * e);
    k->gemm(false, true, n, e, e, b->unit, e, p->values.k_map + h->m * e * e, e, b->hat, e, false);
    for (size_t i = 0; i < n; i++) {
        b->factor[i] = rms_row(k, b->hat + i * e, e, b->hat + i * e);
    }
    k->gemm(false, true, n, f, e, b->hat, e, h->w1, e, b->g, f, false);
    k->gemm(false, true, n, f, e, b->hat, e, h->w3, e, b->u, f, false);
    k->silu_mul(b->h, b->g, b->u, n * f);

    k->gemm(false, true, n, n, f, b->h, f, b->h, f, b->a, n, false);
    for (size_t i = 0; i < n; i++) {
        for (size_t c = i; c < n; c++) {
            b->a[i * n + c] *= b->d[i] * b->d[c];
        }
        b->a[i * n + i] += 1;
    }
    cholesky_factor(k, b->a, n, b->rest);
}

/* y <- diag(d) (V - H W^T) */
static void weighed_error(const struct head *h, const struct block *b, const float *w, float *y) {
    const struct kernels *k = h->k;
    const size_t e = h->e, f = h->f;
    k->gemm(false, true, b->n, e, f, b->h, f, w, f, y, e, false);
    for (size_t i = 0; i < b->n; i++) {
        k->scale(y + i * e, -b->d[i], e);
        k->add_scaled(y + i * e, b->d[i], b->values + i * e, e);
    }
}

/* Rows of x times d. */
static void weigh(const struct kernels *k, const struct block *b, float *x, size_t width) {
    for (size_t i = 0; i < b->n; i++) {
        k->scale(x + i * width, b->d[i], width);
    }
}

/* a <- ev_k k e^-1/4 */
static void evidence_logits(const struct head *h, const struct block *b, float *a) {
    const size_t e = h->e;
    h->k->gemm(false, true, b->n, e, e, b->keys, e, h->pass->values.ev_k + h->m * e * e, e, a, e,
               false);
    h->k->scale(a, h->c4, b->n * e);
}

static void gather_evidence(const struct head *h, const struct block *b, float *z) {
    const size_t e = h->e;
    evidence_logits(h, b, b->spare);
    for (size_t sign = 0; sign < 2; sign++) {
        h->k->exp(b->t, b->spare, EVIDENCE_LIMIT, b->n * e);
        for (size_t i = 0; i < b->n; i++) {
            h->k->add(z + sign * e, b->t + i * e, e);
        }
        h->k->scale(b->spare, -1, b->n * e);
    }
}

/* s, lambda_i and their mean, from the raw rates. */
static void take_rates(const struct head *h, size_t j, const struct block *b) {
    float *step = h->step + j * h->C, *decay = h->decay + j * h->C, sum = 0;
    for (size_t i = 0; i < b->n; i++) {
        const float *raw = h->pass->rates + b->at[i] * 2 * h->M + h->m;
        step[i] = window_step(raw[0]);
        decay[i] = window_decay(raw[h->M]);
        sum += decay[i];
    }
    h->stays[j] = sum / (float)b->n;
}

void write_forward(const struct head *h, size_t j, float *scratch) {
    const struct kernels *k = h->k;
    const struct block b = lay_block(h, j, scratch);
    const size_t e = h->e, f = h->f;
    float *w = h->fast + j * h->fe, *z = h->z + j * 2 * e;
    memcpy(w, w - h->fe, h->fe * sizeof *w);
    memcpy(z, z - 2 * e, 2 * e * sizeof *z);
    if (b.n == 0) {
        return;
    }
    take_rates(h, j, &b);
    k->scale(w, h->stays[j], h->fe);
    k->add_scaled(w, 1 - h->stays[j], h->w2, h->fe);
    k->scale(z, h->stays[j], 2 * e);

    block_forward(h, j, &b);
    gather_evidence(h, &b, z);
    weighed_error(h, &b, w, b.y);
    cholesky_solve(k, b.a, b.n, b.y, e, b.rest);
    weigh(k, &b, b.y, e);
    k->gemm(true, false, e, f, b.n, b.y, e, b.h, f, w, f, true);
}

/* ---- the way back ---- */

/* From the adjoint at W_, which becomes that at W', to X (b->x), diag(d) T (b->t) and the adjoint
 * at the steps. */
static void system_back(const struct head *h, size_t j, const struct block *b, float *g) {
    const struct kernels *k = h->k;
    const size_t e = h->e, f = h->f, n = b->n;
    const float *after = h->fast + j * h->fe, root = 1 / sqrtf((float)f);
    k->gemm(false, true, n, e, f, b->h, f, g, f, b->t, e, false);
    weigh(k, b, b->t, e);
    cholesky_solve(k, b->a, n, b->t, e, b->rest);

    memcpy(b->spare, b->t, n * e * sizeof *b->t);
    k->scale(b->spare, -1, n * e);
    k->gemm(false, false, n, f, e, b->spare, e, after, f, b->x, f, false);
    weigh(k, b, b->spare, e);
    k->gemm(true, false, e, f, n, b->spare, e, b->h, f, g, f, true);
    weighed_error(h, b, after, b->y);
    k->gemm(false, false, n, f, e, b->y, e, g, f, b->x, f, true);
    for (size_t i = 0; i < n; i++) {
        const float d_d =
            dot(b->x + i * f, b->h + i * f, f) + dot(b->t + i * e, b->values + i * e, e);
        b->d_step[i] = d_d * root;
    }
    weigh(k, b, b->t, e);
}

/* From X to the features' gradients; b->spare becomes the adjoint at k_map rms(k). */
static void features_back(const struct head *h, const struct block *b) {
    const struct kernels *k = h->k;
    const size_t e = h->e, f = h->f, n = b->n;
    weigh(k, b, b->x, f);
    k->swiglu_back(b->g, b->u, b->x, n * f);
    k->gemm(true, false, f, e, n, b->g, f, b->hat, e, h->d_w1, e, true);
    k->gemm(true, false, f, e, n, b->u, f, b->hat, e, h->d_w3, e, true);
    k->gemm(false, false, n, e, f, b->g, f, h->w1, e, b->spare, e, false);
    k->gemm(false, false, n, e, f, b->u, f, h->w3, e, b->spare, e, true);
    for (size_t i = 0; i < n; i++) {
        rms_row_back(b->hat + i * e, b->factor[i], e, b->spare + i * e);
    }
    k->gemm(true, false, e, e, n, b->spare, e, b->unit, e, h->pass->gradients.k_map + h->m * e * e,
            e, true);
}

/* v <- the adjoint at ev_k k. */
static void evidence_back(const struct head *h, const struct block *b, const float *d_z, float *v,
                          float *grown) {
    const struct kernels *k = h->k;
    const size_t e = h->e, n = b->n;
    evidence_logits(h, b, v);
    k->exp(grown, v, NO_LIMIT, n * e);
    for (size_t i = 0; i < n * e; i++) {
        const float up = v[i] < EVIDENCE_LIMIT ? d_z[i % e] * grown[i] : 0;
        const float down = v[i] > -EVIDENCE_LIMIT ? d_z[e + i % e] / grown[i] : 0;
        v[i] = (up - down) * h->c4;
    }
    k->gemm(true, false, e, e, n, v, e, b->keys, e, h->pass->gradients.ev_k + h->m * e * e, e,
            true);
}

/* The adjoint at lambda, from those at W' and z_. */
static float stays_back(const struct head *h, size_t j, const struct adjoint *a) {
    const float *w = h->fast + (j - 1) * h->fe, *z = h->z + (j - 1) * 2 * h->e;
    float sum = dot(a->z, z, 2 * h->e);
    for (size_t r = 0; r < h->e; r++) {
        float row = 0;
        for (size_t c = r * h->f; c < (r + 1) * h->f; c++) {
            row += a->fast[c] * (w[c] - h->w2[c]);
        }
        sum += row;
    }
    return sum;
}

static void rates_back(const struct head *h, size_t j, const struct block *b, float d_stays) {
    for (size_t i = 0; i < b->n; i++) {
        float *rate = h->pass->rates + b->at[i] * 2 * h->M + h->m;
        const float step = h->step[j * h->C + i], decay = h->decay[j * h->C + i];
        rate[0] =
            step < WINDOW_MAX_STEP ? b->d_step[i] * -expm1f(-step) : 0; /* by softplus itself */
        rate[h->M] = d_stays / (float)b->n * decay * (1 - decay);
    }
}

/* From the adjoints at k_map rms(k), at ev_k k and at V to those at the base's keys and values. */
static void inputs_back(const struct head *h, const struct block *b, const float *d_map,
                        const float *d_evidence, const float *d_values, float *d_key) {
    const struct branch_pass *p = h->pass;
    const struct kernels *k = h->k;
    const size_t e = h->e, n = b->n, map = h->m * e * e;
    k->gemm(false, false, n, e, e, d_map, e, p->values.k_map + map, e, d_key, e, false);
    for (size_t i = 0; i < n; i++) {
        rms_row_back(b->unit + i * e, b->unit_factor[i], e, d_key + i * e);
    }
    k->gemm(false, false, n, e, e, d_evidence, e, p->values.ev_k + map, e, d_key, e, true);
    for (size_t i = 0; i < n; i++) {
        const size_t to = (b->at[i] * h->M + h->m) * e;
        if (p->inputs.k) {
            k->add(p->inputs.k + to, d_key + i * e, e);
        }
        if (p->inputs.v) {
            k->add_scaled(p->inputs.v + to, 1 / *p->values.v_scale, d_values + i * e, e);
        }
    }
}

void write_back(const struct head *h, size_t j, const struct adjoint *a, float *scratch) {
    const struct kernels *k = h->k;
    const struct block b = lay_block(h, j, scratch);
    if (b.n == 0) {
        return;
    }
    block_forward(h, j, &b);
    system_back(h, j, &b, a->fast);
    features_back(h, &b);
    evidence_back(h, &b, a->z, b.y, b.hat);
    rates_back(h, j, &b, stays_back(h, j, a));
    if (h->pass->inputs.k || h->pass->inputs.v) {
        inputs_back(h, &b, b.spare, b.y, b.t, b.hat);
    }
    /* W' = w2 + lambda (W - w2),  z_ = lambda z + ... */
    k->add_scaled(h->d_w2, 1 - h->stays[j], a->fast, h->fe);
    k->scale(a->fast, h->stays[j], h->fe);
    k->scale(a->z, h->stays[j], 2 * h->e);
}
