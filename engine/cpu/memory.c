/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory branch on the CPU: one fast-weight network per key-value head, trained by the tokens
 * that leave the window, read by the queries. Symbols as in engine/README.md; a block of tokens is
 * [n][...] row-major.
 */
#include <math.h>
#include <string.h>

#include "engine/cpu/cpu.h"

static const float RMS_EPS = 1e-6f;
static const float EVIDENCE_EPS = 1e-9f;
static const float EVIDENCE_LIMIT = 15;

/* A memory head's state, in the layer's state. */
struct fast {
    float *w1, *w2, *w3; /* [f][e], [e][f], [f][e] */
    float *momentum;     /* [3][f*e], in the order w1, w2, w3 */
    float *z;            /* [2e] evidence */
};

static struct fast fast_of(const struct attention_step *step, size_t m) {
    struct window_layout l = window_layout(step->shape);
    size_t e = step->shape->head_dim, fe = step->shape->memory_width * e;
    char *base = (char *)step->state->data;
    float *w = (float *)(void *)(base + l.fast) + m * 3 * fe;
    return (struct fast){
        .w1 = w,
        .w2 = w + fe,
        .w3 = w + 2 * fe,
        .momentum = (float *)(void *)(base + l.momentum) + m * 3 * fe,
        .z = (float *)(void *)(base + l.evidence) + m * 2 * e,
    };
}

struct task {
    struct cpu_backend *b;
    const struct attention_step *step;
    size_t blocks;
};

/* y[i] = rms(map rms(x[i])), n rows of e; y and x may not overlap. `t` holds n rows. */
static void map_features(const struct cpu_backend *b, const float *x, const float *map, size_t n,
                         size_t e, float *t, float *y) {
    const struct kernels *k = b->kernels;
    for (size_t i = 0; i < n; i++) {
        k->rms_norm(t + i * e, x + i * e, b->ones.data, e, RMS_EPS);
    }
    k->gemm(false, true, n, e, e, t, e, map, e, y, e, false);
    for (size_t i = 0; i < n; i++) {
        k->rms_norm(y + i * e, y + i * e, b->ones.data, e, RMS_EPS);
    }
}

/* Every row of w goes back to the L2 norm that it had in the adapter. */
static void renormalise(const struct kernels *k, float *w, const float *norm, size_t rows,
                        size_t n) {
    for (size_t r = 0; r < rows; r++) {
        k->scale(w + r * n, norm[r] / (sqrtf(k->square_sum(w + r * n, n)) + RMS_EPS), n);
    }
}

/* Rows i of x times lr[i * 4]. */
static void weigh_rows(const struct kernels *k, float *x, const float *lr, size_t n, size_t width) {
    for (size_t i = 0; i < n; i++) {
        k->scale(x + i * width, lr[i * 4], width);
    }
}

/* m = theta m + d, w -= m, with d first clipped to a Frobenius norm of `cap`. */
static void descend(const struct kernels *k, float *w, float *m, float *d, float theta, float cap,
                    size_t n) {
    float norm = sqrtf(k->square_sum(d, n));
    k->scale(m, theta, n);
    k->add_scaled(m, norm > cap ? cap / norm : 1, d, n);
    k->add_scaled(w, -1, m, n);
}

/* z += sum over rows of [exp(min(a, limit)), exp(min(-a, limit))], a = ev_k k e^-1/4. */
static void gather_evidence(const struct kernels *k, const float *keys, const float *ev_k, size_t n,
                            size_t e, float *a, float *z) {
    float c = powf((float)e, -0.25f);
    k->gemm(false, true, n, e, e, keys, e, ev_k, e, a, e, false);
    for (size_t i = 0; i < n * e; i++) {
        float v = a[i] * c;
        z[i % e] += expf(fminf(v, EVIDENCE_LIMIT));
        z[e + i % e] += expf(fminf(-v, EVIDENCE_LIMIT));
    }
}

static void write_head(void *context, size_t m, size_t thread) {
    const struct task *c = context;
    const struct cpu_backend *b = c->b;
    const struct kernels *k = b->kernels;
    const struct window_shape *s = c->step->shape;
    const struct memory_branch *p = c->step->memory;
    size_t e = s->head_dim, f = s->memory_width, n = b->leaving.count, fe = f * e;
    const float *keys = b->leaving.keys.data + m * s->chunk * e;
    const float *values = b->leaving.values.data + m * s->chunk * e;
    const float *rates = b->leaving.rates.data + m * s->chunk * 4;
    struct fast w = fast_of(c->step, m);

    float *at = cpu_scratch(c->b, thread);
    float *khat = at, *err = khat + n * e, *g = err + n * e, *u = g + n * f, *h = u + n * f;
    float *dh = h + n * f, *d = dh + n * f;
    gather_evidence(k, keys, p->ev_k + m * e * e, n, e, err, w.z);
    if (!c->step->writes) {
        return;
    }
    const float *norm = p->row_norm + m * (2 * f + e), *cap = p->cap + m * 3;
    renormalise(k, w.w1, norm, f, e);
    renormalise(k, w.w2, norm + f, e, f);
    renormalise(k, w.w3, norm + f + e, f, e);

    map_features(b, keys, p->k_map + m * e * e, n, e, err, khat);
    k->gemm(false, true, n, f, e, khat, e, w.w1, e, g, f, false);
    k->gemm(false, true, n, f, e, khat, e, w.w3, e, u, f, false);
    k->silu_mul(h, g, u, n * f);
    k->gemm(false, true, n, e, f, h, f, w.w2, f, err, e, false);
    k->add_scaled(err, -1 / p->v_scale, values, n * e);
    k->gemm(false, false, n, f, e, err, e, w.w2, f, dh, f, false);

    float theta = 0;
    for (size_t i = 0; i < n; i++) {
        theta += rates[i * 4 + 3] / (float)n;
    }
    /* w2: sum lr2 err h^T. err is not needed afterwards, nor is h. */
    weigh_rows(k, err, rates + 1, n, e);
    k->gemm(true, false, e, f, n, err, e, h, f, d, f, false);
    descend(k, w.w2, w.momentum + fe, d, theta, cap[1], fe);
    /* g, u become the gradients at the inputs of silu and of the product. */
    k->swiglu_back(g, u, dh, n * f);
    weigh_rows(k, u, rates + 2, n, f);
    k->gemm(true, false, f, e, n, u, f, khat, e, d, e, false);
    descend(k, w.w3, w.momentum + 2 * fe, d, theta, cap[2], fe);
    weigh_rows(k, g, rates, n, f);
    k->gemm(true, false, f, e, n, g, f, khat, e, d, e, false);
    descend(k, w.w1, w.momentum, d, theta, cap[0], fe);
}

void cpu_memory_write(struct backend *backend, const struct attention_step *step) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    struct task c = {.b = b, .step = step};
    if (b->leaving.count) {
        pool_run(b->pool, step->shape->kv_heads, write_head, &c);
    }
}

/* log(phi_q . z + eps), phi_q = [softmax(a), softmax(-a)]; overwrites a. */
static float evidence_of(const struct kernels *k, float *a, const float *z, size_t e) {
    float *b = a + e;
    for (size_t i = 0; i < e; i++) {
        b[i] = -a[i];
    }
    k->softmax(a, e);
    k->softmax(b, e);
    float sum = 0;
    for (size_t i = 0; i < 2 * e; i++) {
        sum += a[i] * z[i];
    }
    return logf(sum + EVIDENCE_EPS);
}

static void read_block(void *context, size_t index, size_t thread) {
    const struct task *c = context;
    const struct cpu_backend *b = c->b;
    const struct kernels *k = b->kernels;
    const struct attention_step *step = c->step;
    const struct window_shape *s = step->shape;
    const struct memory_branch *p = step->memory;
    size_t e = s->head_dim, f = s->memory_width, H = s->heads;
    size_t h = index / c->blocks, first = index % c->blocks * CPU_ROW_BLOCK;
    size_t n = step->rows - first < CPU_ROW_BLOCK ? step->rows - first : CPU_ROW_BLOCK;
    struct fast w = fast_of(step, h / (H / s->kv_heads));

    float *q = cpu_scratch(c->b, thread), *t = q + n * e, *qhat = t + n * e, *g = qhat + n * e;
    float *u = g + n * f, *o = u + n * f, *phi = o + n * e;
    for (size_t i = 0; i < n; i++) {
        memcpy(q + i * e, step->q->data + ((step->row + first + i) * H + h) * e, e * sizeof *q);
    }
    map_features(b, q, p->q_map + h * e * e, n, e, t, qhat);
    k->gemm(false, true, n, f, e, qhat, e, w.w1, e, g, f, false);
    k->gemm(false, true, n, f, e, qhat, e, w.w3, e, u, f, false);
    k->silu_mul(g, g, u, n * f);
    k->gemm(false, true, n, e, f, g, f, w.w2, f, o, e, false);

    k->gemm(false, true, n, e, e, q, e, p->ev_q + h * e * e, e, t, e, false);
    float c4 = powf((float)e, -0.25f);
    for (size_t i = 0; i < n; i++) {
        size_t row = step->row + first + i;
        for (size_t j = 0; j < e; j++) {
            phi[j] = t[i * e + j] * c4;
        }
        float logit = step->gate->data[row * H + h] +
                      p->gate_lse[h] * b->lse.data[(first + i) * H + h] +
                      evidence_of(k, phi, w.z, e);
        float gate = 1 / (1 + expf(-logit));
        float *out = step->out->data + (row * H + h) * e;
        for (size_t j = 0; j < e; j++) {
            out[j] = (1 - gate) * out[j] + gate * p->alpha[h * e + j] * o[i * e + j];
        }
    }
}

void cpu_memory_read(struct backend *backend, const struct attention_step *step) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    struct task c = {
        .b = b, .step = step, .blocks = (step->rows + CPU_ROW_BLOCK - 1) / CPU_ROW_BLOCK};
    pool_run(b->pool, step->shape->heads * c.blocks, read_block, &c);
}

size_t cpu_memory_scratch(const struct window_shape *s) {
    size_t e = s->head_dim, f = s->memory_width, C = s->chunk;
    size_t write = C * (2 * e + 4 * f) + f * e;
    size_t read = CPU_ROW_BLOCK * (4 * e + 2 * f) + 2 * e;
    return f == 0 ? 0 : write > read ? write : read;
}
