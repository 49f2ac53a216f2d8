/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the memory, forwards and back. The R query heads that share a memory are stacked: rows
 * r C + i of the matrices below are query t + i of reader r.
 *
 *   q^ = rms(q_map rms(q)),  o = W h,  h = silu(g) * u,  g = w1 q^,  u = w3 q^
 *   s = phi_q . z, phi_q = [softmax(a), softmax(-a)], a = ev_q q e^-1/4
 *   logit = x . gate_w + gate_b + gate_lse lse + log(s + eps),  y = (1 - gate) SWA + gate alpha o
 */
#include <math.h>
#include <string.h>

#include "engine/finetune/branch_private.h"

static const float EVIDENCE_EPS = 1e-9f;

/* Activations of one chunk's queries, n = R C rows. */
struct queries {
    float *q;                    /* [n][e] */
    float *unit;                 /* [n][e]: rms(q) */
    float *hat;                  /* [n][e]: q^ */
    float *unit_factor, *factor; /* [n]: of the first and the second rms */
    float *phi;                  /* [n][2e] */
    float *g, *u;                /* [n][f] */
    float *h;                    /* [n][f] */
    float *dh;                   /* [n][f]: adjoint of h */
    float *d;                    /* [n][e]: adjoints of o, then of q^ */
    float *da;                   /* [n][e]: adjoint of a */
};

size_t read_scratch(const struct branch_shape *s) {
    const size_t n = s->heads / s->kv_heads * s->chunk;
    return n * (7 * s->head_dim + 4 * s->memory_width + 2);
}

static struct queries lay_queries(const struct head *h, float *at) {
    const size_t n = h->R * h->C, e = h->e, f = h->f;
    struct queries c;
    c.q = at;
    c.unit = c.q + n * e;
    c.hat = c.unit + n * e;
    c.phi = c.hat + n * e;
    c.d = c.phi + n * 2 * e;
    c.da = c.d + n * e;
    c.g = c.da + n * e;
    c.u = c.g + n * f;
    c.h = c.u + n * f;
    c.dh = c.h + n * f;
    c.unit_factor = c.dh + n * f;
    c.factor = c.unit_factor + n;
    return c;
}

/* Everything up to h and phi; the same on both ways. */
static void features(const struct head *h, size_t t, const struct queries *c) {
    const struct branch_pass *p = h->pass;
    const struct kernels *k = h->k;
    const size_t e = h->e, f = h->f, C = h->C, n = h->R * C;
    for (size_t r = 0; r < h->R; r++) {
        const size_t head = h->m * h->R + r;
        float *q = c->q + r * C * e, *unit = c->unit + r * C * e, *hat = c->hat + r * C * e;
        for (size_t i = 0; i < C; i++) {
            memcpy(q + i * e, p->q + ((t + i) * h->H + head) * e, e * sizeof *q);
            c->unit_factor[r * C + i] = rms_row(k, q + i * e, e, unit + i * e);
        }
        k->gemm(false, true, C, e, e, unit, e, p->values.q_map + head * e * e, e, hat, e, false);
        k->gemm(false, true, C, e, e, q, e, p->values.ev_q + head * e * e, e,
                c->phi + r * C * 2 * e, 2 * e, false);
    }
    for (size_t i = 0; i < n; i++) {
        c->factor[i] = rms_row(k, c->hat + i * e, e, c->hat + i * e);
        float *plus = c->phi + i * 2 * e, *minus = plus + e;
        for (size_t l = 0; l < e; l++) {
            plus[l] *= h->c4;
            minus[l] = -plus[l];
        }
        k->softmax(plus, e);
        k->softmax(minus, e);
    }
    k->gemm(false, true, n, f, e, c->hat, e, h->w1, e, c->g, f, false);
    k->gemm(false, true, n, f, e, c->hat, e, h->w3, e, c->u, f, false);
    k->silu_mul(c->h, c->g, c->u, n * f);
}

void read_forward(const struct head *h, size_t j, size_t t, float *scratch) {
    const struct branch_pass *p = h->pass;
    const struct queries c = lay_queries(h, scratch);
    const size_t e = h->e, f = h->f, C = h->C, at = read_row(h, 0, t);
    const float *z = h->z + j * 2 * e;
    float *answers = h->o + at * e;
    features(h, t, &c);
    h->k->gemm(false, true, h->R * C, e, f, c.h, f, h->fast + j * h->fe, f, answers, e, false);
    for (size_t r = 0; r < h->R; r++) {
        const size_t head = h->m * h->R + r;
        const float *o = answers + r * C * e, *alpha = p->values.alpha + head * e;
        for (size_t i = 0; i < C; i++) {
            const size_t row = (t + i) * h->H + head;
            const float s = dot(c.phi + (r * C + i) * 2 * e, z, 2 * e);
            const float logit =
                p->gates[row] + p->values.gate_lse[head] * p->lse[row] + logf(s + EVIDENCE_EPS);
            const float gate = sigmoid(logit);
            h->logit[at + r * C + i] = logit;
            for (size_t l = 0; l < e; l++) {
                p->y[row * e + l] =
                    (1 - gate) * p->swa[row * e + l] + gate * alpha[l] * o[i * e + l];
            }
        }
    }
}

/* g <- the adjoint at a, from that at p = softmax(a). */
static void softmax_back(const float *p, float *g, size_t n) {
    const float along = dot(p, g, n);
    for (size_t i = 0; i < n; i++) {
        g[i] = p[i] * (g[i] - along);
    }
}

/* One query: from the adjoint at y to those at alpha, o, the gate's logit, z and a, and at what the
 * base brings. */
static void query_back(const struct head *h, const struct queries *c, size_t j, size_t t, size_t r,
                       size_t i, const struct adjoint *a) {
    const struct branch_pass *p = h->pass;
    const struct branch_values *g = &p->gradients;
    const size_t e = h->e, head = h->m * h->R + r, row = (t + i) * h->H + head, n = r * h->C + i;
    const size_t read = read_row(h, r, t + i);
    const float *gy = p->y + row * e, *swa = p->swa + row * e, *o = h->o + read * e;
    const float *alpha = p->values.alpha + head * e, *z = h->z + j * 2 * e;
    const float gate = sigmoid(h->logit[read]);
    float d_gate = 0;
    for (size_t l = 0; l < e; l++) {
        d_gate += gy[l] * (alpha[l] * o[l] - swa[l]);
        g->alpha[head * e + l] += gy[l] * gate * o[l];
        c->d[n * e + l] = gy[l] * gate * alpha[l];
    }
    const float d_logit = d_gate * gate * (1 - gate);
    g->gate_lse[head] += d_logit * p->lse[row];
    p->gates[row] = d_logit;
    if (p->inputs.lse) {
        p->inputs.lse[row] += d_logit * p->values.gate_lse[head];
    }
    if (p->inputs.swa) {
        h->k->add_scaled(p->inputs.swa + row * e, 1 - gate, gy, e);
    }

    float *phi = c->phi + n * 2 * e, *da = c->da + n * e, minus[1024];
    const float ds = d_logit / (dot(phi, z, 2 * e) + EVIDENCE_EPS);
    h->k->add_scaled(a->z, ds, phi, 2 * e);
    for (size_t l = 0; l < e; l++) {
        da[l] = ds * z[l];
        minus[l] = ds * z[e + l];
    }
    softmax_back(phi, da, e);
    softmax_back(phi + e, minus, e);
    for (size_t l = 0; l < e; l++) {
        da[l] = (da[l] - minus[l]) * h->c4;
    }
}

/* From the adjoints at q_map rms(q) and at ev_q q to that at the base's queries, of one reader. */
static void inputs_back(const struct head *h, size_t t, size_t r, const struct queries *c,
                        float *d_query) {
    const struct branch_pass *p = h->pass;
    const struct kernels *k = h->k;
    const size_t e = h->e, C = h->C, head = h->m * h->R + r, map = head * e * e, at = r * C * e;
    k->gemm(false, false, C, e, e, c->d + at, e, p->values.q_map + map, e, d_query, e, false);
    for (size_t i = 0; i < C; i++) {
        rms_row_back(c->unit + at + i * e, c->unit_factor[r * C + i], e, d_query + i * e);
    }
    k->gemm(false, false, C, e, e, c->da + at, e, p->values.ev_q + map, e, d_query, e, true);
    for (size_t i = 0; i < C; i++) {
        k->add(p->inputs.q + ((t + i) * h->H + head) * e, d_query + i * e, e);
    }
}

void read_back(const struct head *h, size_t j, size_t t, const struct adjoint *a, float *scratch) {
    const struct branch_values *grad = &h->pass->gradients;
    const struct kernels *k = h->k;
    const struct queries c = lay_queries(h, scratch);
    const size_t e = h->e, f = h->f, C = h->C, n = h->R * C;
    features(h, t, &c);
    for (size_t i = 0; i < n; i++) {
        query_back(h, &c, j, t, i / C, i % C, a);
    }
    k->gemm(false, false, n, f, e, c.d, e, h->fast + j * h->fe, f, c.dh, f, false);
    k->gemm(true, false, e, f, n, c.d, e, c.h, f, a->fast, f, true);
    k->swiglu_back(c.g, c.u, c.dh, n * f);
    k->gemm(true, false, f, e, n, c.g, f, c.hat, e, h->d_w1, e, true);
    k->gemm(true, false, f, e, n, c.u, f, c.hat, e, h->d_w3, e, true);
    k->gemm(false, false, n, e, f, c.g, f, h->w1, e, c.d, e, false);
    k->gemm(false, false, n, e, f, c.u, f, h->w3, e, c.d, e, true);
    for (size_t i = 0; i < n; i++) {
        rms_row_back(c.hat + i * e, c.factor[i], e, c.d + i * e);
    }
    for (size_t r = 0; r < h->R; r++) {
        const size_t map = (h->m * h->R + r) * e * e, at = r * C * e;
        k->gemm(true, false, e, e, C, c.d + at, e, c.unit + at, e, grad->q_map + map, e, true);
        k->gemm(true, false, e, e, C, c.da + at, e, c.q + at, e, grad->ev_q + map, e, true);
        if (h->pass->inputs.q) {
            inputs_back(h, t, r, &c, c.phi);
        }
    }
}
