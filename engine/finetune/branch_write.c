/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing a block of n tokens, forwards and back. With N the weights whose rows were brought back
 * to their initial norms:
 *
 *   k^ = rms(k_map rms(k)),  v^ = v / v_scale
 *   g = w1 k^,  u = w3 k^,  h = silu(g) * u,  err = w2 h - v^,  dh = w2^T err
 *   A = dh * u * silu'(g),  B = dh * silu(g)
 *   d1 = sum lr1 A k^^T,  d2 = sum lr2 err h^T,  d3 = sum lr3 B k^^T, each clipped to cap_i
 *   m <- theta m + d,  w <- N - m
 *   z <- z + sum phi_k(k)
 *
 * Matrices of the block are row-major, a token a row: d1 = (lr1 A)^T K and so on.
 */
#include <math.h>
#include <string.h>

#include "engine/finetune/branch_private.h"

static const float EVIDENCE_LIMIT = 15;
static const float NORM_EPS = 1e-6f; /* as cpu/memory.c adds it to a row's norm */

/* Activations of a block; a name with d_ is the adjoint of what follows it. */
struct block {
    size_t n, first;       /* tokens [first, first + n) */
    float *lr, *d_lr;      /* [3][C] */
    float *keys;           /* [n][e] */
    float *unit;           /* [n][e]: rms(k) */
    float *hat;            /* [n][e]: k^ */
    float *factor;         /* [C]: of the second rms */
    float *err, *weighed;  /* [n][e]: err, and lr2 err */
    float *g, *u, *h, *dh; /* [n][f] */
    float *a, *b;          /* [n][f]: lr1 A, lr3 B */
    float *d_g, *d_u;      /* [n][f] */
    float *d_hat, *d_err;  /* [n][e] */
    float *weights;        /* [set]: N */
    float *step;           /* [set]: d1, d2, d3, or their adjoints */
};

size_t write_scratch(const struct branch_shape *s) {
    const size_t e = s->head_dim, f = s->memory_width, C = s->chunk;
    return C * (7 + 7 * e + 8 * f) + 6 * f * e;
}

static struct block lay_block(const struct head *h, size_t j, float *at) {
    const size_t e = h->e, f = h->f, C = h->C, sinks = j == 1 ? h->pass->shape->sinks : 0;
    struct block b = {.n = C - sinks, .first = (j - 1) * C + sinks};
    b.weights = at;
    b.step = b.weights + h->set;
    b.g = b.step + h->set;
    b.u = b.g + C * f;
    b.h = b.u + C * f;
    b.dh = b.h + C * f;
    b.a = b.dh + C * f;
    b.b = b.a + C * f;
    b.d_g = b.b + C * f;
    b.d_u = b.d_g + C * f;
    b.keys = b.d_u + C * f;
    b.unit = b.keys + C * e;
    b.hat = b.unit + C * e;
    b.err = b.hat + C * e;
    b.weighed = b.err + C * e;
    b.d_hat = b.weighed + C * e;
    b.d_err = b.d_hat + C * e;
    b.lr = b.d_err + C * e;
    b.d_lr = b.lr + 3 * C;
    b.factor = b.d_lr + 3 * C;
    return b;
}

static float softplus(float x) {
    return x > 20 ? x : log1pf(expf(x));
}

static float *rate_of(const struct head *h, size_t token, size_t i) {
    return h->pass->rates + token * 4 * h->M + i * h->M + h->m;
}

/* The rows of one matrix, in the order of row_norm. */
static void renormalise(const struct kernels *k, float *w, const float *norm, size_t rows,
                        size_t columns) {
    for (size_t r = 0; r < rows; r++) {
        float *row = w + r * columns;
        k->scale(row, norm[r] / (sqrtf(k->square_sum(row, columns)) + NORM_EPS), columns);
    }
}

static void renormalise_set(const struct head *h, float *set) {
    const struct fast w = fast_at(h, set);
    renormalise(h->k, w.w1, h->row_norm, h->f, h->e);
    renormalise(h->k, w.w2, h->row_norm + h->f, h->e, h->f);
    renormalise(h->k, w.w3, h->row_norm + h->f + h->e, h->f, h->e);
}

/* N of write j, and everything up to err and dh. */
static void block_forward(const struct head *h, size_t j, const struct block *b) {
    const struct branch_pass *p = h->pass;
    const struct kernels *k = h->k;
    const size_t e = h->e, f = h->f, n = b->n;
    memcpy(b->weights, h->fast + (j - 1) * h->set, h->set * sizeof(float));
    renormalise_set(h, b->weights);
    for (size_t i = 0; i < n; i++) {
        memcpy(b->keys + i * e, p->k + ((b->first + i) * h->M + h->m) * e, e * sizeof(float));
        rms_row(k, b->keys + i * e, e, b->unit + i * e);
        for (size_t l = 0; l < 3; l++) {
            b->lr[l * h->C + i] = softplus(*rate_of(h, b->first + i, l));
        }
    }
    k->gemm(false, true, n, e, e, b->unit, e, p->values.k_map + h->m * e * e, e, b->hat, e, false);
    for (size_t i = 0; i < n; i++) {
        b->factor[i] = rms_row(k, b->hat + i * e, e, b->hat + i * e);
    }
    const struct fast w = fast_at(h, b->weights);
    k->gemm(false, true, n, f, e, b->hat, e, w.w1, e, b->g, f, false);
    k->gemm(false, true, n, f, e, b->hat, e, w.w3, e, b->u, f, false);
    k->silu_mul(b->h, b->g, b->u, n * f);
    k->gemm(false, true, n, e, f, b->h, f, w.w2, f, b->err, e, false);
    for (size_t i = 0; i < n; i++) {
        k->add_scaled(b->err + i * e, -1 / *p->values.v_scale,
                      p->v + ((b->first + i) * h->M + h->m) * e, e);
        memcpy(b->weighed + i * e, b->err + i * e, e * sizeof(float));
        k->scale(b->weighed + i * e, b->lr[h->C + i], e);
    }
    k->gemm(false, false, n, f, e, b->err, e, w.w2, f, b->dh, f, false);
}

static void gather_evidence(const struct head *h, size_t j, const struct block *b, float *a) {
    const size_t e = h->e;
    float *z = h->z + j * 2 * e;
    memcpy(z, z - 2 * e, 2 * e * sizeof *z);
    h->k->gemm(false, true, b->n, e, e, b->keys, e, h->pass->values.ev_k + h->m * e * e, e, a, e,
               false);
    for (size_t i = 0; i < b->n * e; i++) {
        const float v = a[i] * h->c4;
        z[i % e] += expf(fminf(v, EVIDENCE_LIMIT));
        z[e + i % e] += expf(fminf(-v, EVIDENCE_LIMIT));
    }
}

static float mean_momentum(const struct head *h, const struct block *b) {
    float sum = 0;
    for (size_t i = 0; i < b->n; i++) {
        sum += sigmoid(*rate_of(h, b->first + i, 3));
    }
    return sum / (float)b->n;
}

void write_forward(const struct head *h, size_t j, float *scratch) {
    const struct kernels *k = h->k;
    const struct block b = lay_block(h, j, scratch);
    const size_t e = h->e, f = h->f, fe = f * e, n = b.n;
    block_forward(h, j, &b);
    gather_evidence(h, j, &b, b.d_hat);

    const struct fast d = fast_at(h, b.step);
    k->gemm(true, false, e, f, n, b.weighed, e, b.h, f, d.w2, f, false);
    k->swiglu_back(b.g, b.u, b.dh, n * f); /* A, B */
    for (size_t i = 0; i < n; i++) {
        k->scale(b.g + i * f, b.lr[i], f);
        k->scale(b.u + i * f, b.lr[2 * h->C + i], f);
    }
    k->gemm(true, false, f, e, n, b.g, f, b.hat, e, d.w1, e, false);
    k->gemm(true, false, f, e, n, b.u, f, b.hat, e, d.w3, e, false);

    float *m = h->momentum + j * h->set, *w = h->fast + j * h->set;
    const float theta = h->theta[j] = mean_momentum(h, &b);
    memcpy(m, m - h->set, h->set * sizeof *m);
    memcpy(w, b.weights, h->set * sizeof *w);
    k->scale(m, theta, h->set);
    for (size_t i = 0; i < 3; i++) {
        const float norm = h->step_norm[j * 3 + i] = sqrtf(k->square_sum(b.step + i * fe, fe));
        k->add_scaled(m + i * fe, norm > h->cap[i] ? h->cap[i] / norm : 1, b.step + i * fe, fe);
    }
    k->add_scaled(w, -1, m, h->set);
}

/* ---- the way back ---- */

/* b->step <- the adjoints at d1, d2, d3 before the clip, from those at the momentum. A clipped step
 * is cap d / |d|: what lies along d changes nothing but through cap. */
static void clip_back(const struct head *h, size_t j, const struct block *b,
                      const struct adjoint *a) {
    const struct kernels *k = h->k;
    const size_t fe = h->f * h->e;
    const float *m = h->momentum + j * h->set, *before = m - h->set;
    for (size_t i = 0; i < 3; i++) {
        float *d = b->step + i * fe;
        const float *g = a->momentum + i * fe;
        const float norm = h->step_norm[j * 3 + i], cap = h->cap[i];
        if (norm <= cap) {
            memcpy(d, g, fe * sizeof *d);
            continue;
        }
        /* The direction d / |d|, from the momentum: m = theta m' + cap d / |d|. */
        memcpy(d, m + i * fe, fe * sizeof *d);
        k->add_scaled(d, -h->theta[j], before + i * fe, fe);
        k->scale(d, 1 / cap, fe);
        const float along = dot(d, g, fe);
        a->cap[i] += along;
        k->scale(d, -along * cap / norm, fe);
        k->add_scaled(d, cap / norm, g, fe);
    }
}

/* Adjoints at A and B (in d_g, d_u) and the steps' at lr -> adjoints at dh (in dh), g and u as far
 * as they come from A and B, and at lr1, lr3. g becomes silu(g), u becomes u silu'(g).
 * silu'' = s (1 - s) (2 + g (1 - 2 s)), s the logistic function of g. */
static void inner_gradient_back(const struct head *h, const struct block *b, float *d_lr1,
                                float *d_lr3) {
    const size_t f = h->f;
    for (size_t i = 0; i < b->n; i++) {
        const float lr1 = b->lr[i], lr3 = b->lr[2 * h->C + i];
        float *g = b->g + i * f, *u = b->u + i * f, *dh = b->dh + i * f;
        float *d_g = b->d_g + i * f, *d_u = b->d_u + i * f, *a = b->a + i * f, *bb = b->b + i * f;
        float sum1 = 0, sum3 = 0;
        for (size_t l = 0; l < f; l++) {
            const float s = sigmoid(g[l]), silu = g[l] * s, slope = s + silu * (1 - s);
            const float bend = s * (1 - s) * (2 + g[l] * (1 - 2 * s)), rise = u[l] * slope;
            const float A = dh[l] * rise, B = dh[l] * silu;
            sum1 += A * d_g[l];
            sum3 += B * d_u[l];
            const float dA = lr1 * d_g[l], dB = lr3 * d_u[l];
            d_g[l] = dh[l] * (dA * u[l] * bend + dB * slope);
            d_u[l] = dh[l] * dA * slope;
            dh[l] = dA * rise + dB * silu;
            a[l] = lr1 * A;
            bb[l] = lr3 * B;
            g[l] = silu;
            u[l] = rise;
        }
        d_lr1[i] = sum1;
        d_lr3[i] = sum3;
    }
}

/* From the adjoints at the steps (b->step) to those at N (added to a->fast), at k^ (b->d_hat) and
 * at the step sizes (b->d_lr): the second derivatives of the inner loss. */
static void steps_back(const struct head *h, const struct block *b, const struct adjoint *a) {
    const struct kernels *k = h->k;
    const size_t e = h->e, f = h->f, n = b->n, C = h->C;
    const struct fast w = fast_at(h, b->weights), d = fast_at(h, b->step), g = fast_at(h, a->fast);
    /* d1 = (lr1 A)^T K, d3 = (lr3 B)^T K */
    k->gemm(false, true, n, f, e, b->hat, e, d.w1, e, b->d_g, f, false);
    k->gemm(false, true, n, f, e, b->hat, e, d.w3, e, b->d_u, f, false);
    inner_gradient_back(h, b, b->d_lr, b->d_lr + 2 * C);
    k->gemm(false, false, n, e, f, b->a, f, d.w1, e, b->d_hat, e, false);
    k->gemm(false, false, n, e, f, b->b, f, d.w3, e, b->d_hat, e, true);
    /* d2 = (lr2 err)^T H */
    k->gemm(false, true, n, e, f, b->h, f, d.w2, f, b->d_err, e, false);
    for (size_t i = 0; i < n; i++) {
        b->d_lr[C + i] = dot(b->err + i * e, b->d_err + i * e, e);
        k->scale(b->d_err + i * e, b->lr[C + i], e);
    }
    /* dh = err w2 */
    k->gemm(false, true, n, e, f, b->dh, f, w.w2, f, b->d_err, e, true);
    k->gemm(true, false, e, f, n, b->err, e, b->dh, f, g.w2, f, true);
    /* err = H w2^T - v^; the adjoint of H takes the place of lr1 A */
    k->gemm(false, false, n, f, e, b->weighed, e, d.w2, f, b->a, f, false);
    k->gemm(false, false, n, f, e, b->d_err, e, w.w2, f, b->a, f, true);
    k->gemm(true, false, e, f, n, b->d_err, e, b->h, f, g.w2, f, true);
    for (size_t i = 0; i < n * f; i++) {
        b->d_u[i] += b->a[i] * b->g[i];
        b->d_g[i] += b->a[i] * b->u[i];
    }
    /* g = K w1^T, u = K w3^T */
    k->gemm(true, false, f, e, n, b->d_g, f, b->hat, e, g.w1, e, true);
    k->gemm(true, false, f, e, n, b->d_u, f, b->hat, e, g.w3, e, true);
    k->gemm(false, false, n, e, f, b->d_g, f, w.w1, e, b->d_hat, e, true);
    k->gemm(false, false, n, e, f, b->d_u, f, w.w3, e, b->d_hat, e, true);
}

/* From the adjoint at N = w norm / (|w| + eps), rows of one matrix, to those at w and norm. */
static void renormalise_back(const float *w, const float *norm, size_t rows, size_t columns,
                             const struct kernels *k, float *g, float *d_norm) {
    for (size_t r = 0; r < rows; r++, w += columns, g += columns) {
        const float length = sqrtf(k->square_sum(w, columns)), inverse = 1 / (length + NORM_EPS);
        const float along = dot(w, g, columns) * inverse;
        d_norm[r] += along;
        k->scale(g, norm[r] * inverse, columns);
        k->add_scaled(g, -along * norm[r] * inverse / (length + 1e-30f), w, columns);
    }
}

static void evidence_back(const struct head *h, const struct block *b, const struct adjoint *a,
                          float *v) {
    const struct branch_pass *p = h->pass;
    const size_t e = h->e;
    h->k->gemm(false, true, b->n, e, e, b->keys, e, p->values.ev_k + h->m * e * e, e, v, e, false);
    for (size_t i = 0; i < b->n * e; i++) {
        const float x = v[i] * h->c4;
        float g = 0;
        g += x < EVIDENCE_LIMIT ? a->z[i % e] * expf(x) : 0;
        g -= -x < EVIDENCE_LIMIT ? a->z[e + i % e] * expf(-x) : 0;
        v[i] = g * h->c4;
    }
    h->k->gemm(true, false, e, e, b->n, v, e, b->keys, e, p->gradients.ev_k + h->m * e * e, e,
               true);
}

void write_back(const struct head *h, size_t j, const struct adjoint *a, float *scratch) {
    const struct kernels *k = h->k;
    const struct block b = lay_block(h, j, scratch);
    const size_t e = h->e, f = h->f;
    /* w = N - m, m = theta m' + d */
    k->add_scaled(a->momentum, -1, a->fast, h->set);
    const float d_theta = dot(a->momentum, h->momentum + (j - 1) * h->set, h->set);
    clip_back(h, j, &b, a);
    k->scale(a->momentum, h->theta[j], h->set);

    block_forward(h, j, &b);
    steps_back(h, &b, a);
    float *before = h->fast + (j - 1) * h->set;
    const struct fast w = fast_at(h, before), g = fast_at(h, a->fast);
    renormalise_back(w.w1, h->row_norm, f, e, k, g.w1, a->row_norm);
    renormalise_back(w.w2, h->row_norm + f, e, f, k, g.w2, a->row_norm + f);
    renormalise_back(w.w3, h->row_norm + f + e, f, e, k, g.w3, a->row_norm + f + e);

    for (size_t i = 0; i < b.n; i++) {
        rms_row_back(b.hat + i * e, b.factor[i], e, b.d_hat + i * e);
        for (size_t l = 0; l < 3; l++) {
            float *rate = rate_of(h, b.first + i, l);
            *rate = b.d_lr[l * h->C + i] * sigmoid(*rate);
        }
        float *momentum = rate_of(h, b.first + i, 3);
        const float s = sigmoid(*momentum);
        *momentum = d_theta / (float)b.n * s * (1 - s);
    }
    k->gemm(true, false, e, e, b.n, b.d_hat, e, b.unit, e, h->pass->gradients.k_map + h->m * e * e,
            e, true);
    evidence_back(h, &b, a, b.d_err);
}
