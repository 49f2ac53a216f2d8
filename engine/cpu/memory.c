/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory branch on the CPU: one fast-weight network per key-value head, trained by the tokens
 * that leave the window, read by the queries. Symbols as in engine/README.md; a block of tokens is
 * [n][...] row-major.
 */
#include <math.h>
#include <string.h>

#include "engine/cpu/cholesky.h"
#include "engine/cpu/cpu.h"

static const float RMS_EPS = 1e-6f;
static const float EVIDENCE_EPS = 1e-9f;
static const float EVIDENCE_LIMIT = 15;

/* A memory head's state, in the layer's state. */
struct fast {
    float *w; /* [e][f] */
    float *z; /* [2e] evidence */
};

static struct fast fast_of(const struct attention_step *step, size_t m) {
    const struct window_layout l = window_layout(step->shape);
    const size_t e = step->shape->head_dim, f = step->shape->memory_width;
    char *base = (char *)step->state->data;
    return (struct fast){
        .w = (float *)(void *)(base + l.fast) + m * e * f,
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

/* h = silu(w1 x) * (w3 x), n rows of f; `u` holds n rows. */
static void hidden(const struct kernels *k, const struct memory_branch *p, size_t m, const float *x,
                   size_t n, size_t e, size_t f, float *u, float *h) {
    k->gemm(false, true, n, f, e, x, e, p->w1 + m * f * e, e, h, f, false);
    k->gemm(false, true, n, f, e, x, e, p->w3 + m * f * e, e, u, f, false);
    k->silu_mul(h, h, u, n * f);
}

/* z += sum over rows of [exp(min(a, limit)), exp(min(-a, limit))], a = ev_k k e^-1/4. `a` and `t`
 * hold n rows and one. */
static void gather_evidence(const struct kernels *k, const float *keys, const float *ev_k, size_t n,
                            size_t e, float *a, float *t, float *z) {
    k->gemm(false, true, n, e, e, keys, e, ev_k, e, a, e, false);
    k->scale(a, powf((float)e, -0.25f), n * e);
    for (size_t sign = 0; sign < 2; sign++) {
        for (size_t i = 0; i < n; i++) {
            k->exp(t, a + i * e, EVIDENCE_LIMIT, e);
            k->add(z + sign * e, t, e);
        }
        k->scale(a, -1, n * e);
    }
}

/* The implicit gradient step: W becomes the minimiser of
 * sum |W h_i - v_i|^2 d_i^2 / 2 + |W - W_before|^2 / 2, with d_i = step_i / sqrt(f). */
static void write_head(void *context, size_t m, size_t thread) {
    const struct task *c = context;
    const struct cpu_backend *b = c->b;
    const struct kernels *k = b->kernels;
    const struct window_shape *s = c->step->shape;
    const struct memory_branch *p = c->step->memory;
    const size_t e = s->head_dim, f = s->memory_width, n = b->leaving.count;
    const float *keys = b->leaving.keys.data + m * s->chunk * e;
    const float *values = b->leaving.values.data + m * s->chunk * e;
    const float *rates = b->leaving.rates.data + m * s->chunk * WINDOW_RATES;
    const struct fast state = fast_of(c->step, m);

    float *khat = cpu_scratch(c->b, thread), *err = khat + n * e, *h = err + n * e;
    float *u = h + n * f, *a = u + n * f, *rest = a + n * n;
    float stays = 0; /* lambda */
    for (size_t i = 0; i < n; i++) {
        stays += rates[i * WINDOW_RATES + 1] / (float)n;
    }
    k->scale(state.z, stays, 2 * e);
    gather_evidence(k, keys, p->ev_k + m * e * e, n, e, err, khat, state.z);
    if (!c->step->writes) {
        return;
    }
    k->scale(state.w, stays, e * f);
    k->add_scaled(state.w, 1 - stays, p->w2 + m * e * f, e * f);

    map_features(b, keys, p->k_map + m * e * e, n, e, err, khat);
    hidden(k, p, m, khat, n, e, f, u, h);
    k->gemm(false, true, n, e, f, h, f, state.w, f, err, e, false);
    k->scale(err, -1, n * e);
    k->add_scaled(err, 1 / p->v_scale, values, n * e);
    for (size_t i = 0; i < n; i++) {
        const float d = rates[i * WINDOW_RATES] / sqrtf((float)f);
        k->scale(h + i * f, d, f);
        k->scale(err + i * e, d, e);
    }
    k->gemm(false, true, n, n, f, h, f, h, f, a, n, false);
    for (size_t i = 0; i < n; i++) {
        a[i * n + i] += 1;
    }
    cholesky_factor(k, a, n, rest);
    cholesky_solve(k, a, n, err, e, rest);
    k->gemm(true, false, e, f, n, err, e, h, f, state.w, f, true);
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

/* A memory head's readers, on rows [first, first + rows) of the step. */
static void read_block(void *context, size_t index, size_t thread) {
    const struct task *c = context;
    const struct cpu_backend *b = c->b;
    const struct kernels *k = b->kernels;
    const struct attention_step *step = c->step;
    const struct window_shape *s = step->shape;
    const struct memory_branch *p = step->memory;
    const size_t e = s->head_dim, f = s->memory_width, H = s->heads, R = H / s->kv_heads;
    const size_t m = index / c->blocks, first = index % c->blocks * CPU_ROW_BLOCK;
    const size_t left = step->rows - first, rows = left < CPU_ROW_BLOCK ? left : CPU_ROW_BLOCK;
    const size_t n = R * rows; /* head by head */
    const struct fast state = fast_of(step, m);

    float *q = cpu_scratch(c->b, thread), *qhat = q + n * e, *a = qhat + n * e, *t = a + n * e;
    float *h = t + n * e, *u = h + n * f, *phi = u + n * f, *o = t;
    for (size_t r = 0; r < R; r++) {
        float *x = q + r * rows * e;
        for (size_t i = 0; i < rows; i++) {
            const size_t row = step->row + first + i;
            memcpy(x + i * e, step->q->data + (row * H + m * R + r) * e, e * sizeof *x);
        }
        const size_t map = (m * R + r) * e * e;
        map_features(b, x, p->q_map + map, rows, e, t, qhat + r * rows * e);
        k->gemm(false, true, rows, e, e, x, e, p->ev_q + map, e, a + r * rows * e, e, false);
    }
    hidden(k, p, m, qhat, n, e, f, u, h);
    k->gemm(false, true, n, e, f, h, f, state.w, f, o, e, false);

    k->scale(a, powf((float)e, -0.25f), n * e);
    for (size_t j = 0; j < n; j++) {
        const size_t head = m * R + j / rows, i = first + j % rows, row = step->row + i;
        memcpy(phi, a + j * e, e * sizeof *phi);
        const float logit = step->gate->data[row * H + head] +
                            p->gate_lse[head] * b->lse.data[i * H + head] +
                            evidence_of(k, phi, state.z, e);
        const float gate = 1 / (1 + expf(-logit));
        float *out = step->out->data + (row * H + head) * e;
        for (size_t l = 0; l < e; l++) {
            out[l] = (1 - gate) * out[l] + gate * p->alpha[head * e + l] * o[j * e + l];
        }
    }
}

void cpu_memory_read(struct backend *backend, const struct attention_step *step) {
    struct cpu_backend *b = (struct cpu_backend *)backend;
    struct task c = {
        .b = b, .step = step, .blocks = (step->rows + CPU_ROW_BLOCK - 1) / CPU_ROW_BLOCK};
    pool_run(b->pool, step->shape->kv_heads * c.blocks, read_block, &c);
}

size_t cpu_memory_scratch(const struct window_shape *s) {
    const size_t e = s->head_dim, f = s->memory_width, C = s->chunk;
    const size_t write = C * (2 * e + 2 * f + C) + cholesky_scratch(C, e);
    const size_t read = CPU_ROW_BLOCK * (s->heads / s->kv_heads) * (4 * e + 2 * f) + 2 * e;
    return f == 0 ? 0 : write > read ? write : read;
}
