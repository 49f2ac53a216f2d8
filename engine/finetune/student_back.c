/* SPDX-License-Identifier: Apache-2.0
 *
 * The student's way back through one layer: network, output projection, branch, attention,
 * projections, norms. Gradients of rows from `first` on only; s->dx holds that at the layer's
 * output and then at its input.
 */
#include <string.h>

#include "engine/finetune/attention_back.h"
#include "engine/finetune/frozen.h"
#include "engine/finetune/student_private.h"

/* The way back at hand: one layer, rows [first, first + n). */
struct back {
    struct student *s;
    const struct teacher *t;
    const struct transformer_layer *w;
    const struct model_config *c;
    uint32_t l;
    size_t n;
    float *dx;       /* [n][d] */
    float *d_normed; /* [n][d] */
};

static void merged_head(void *context, size_t m, size_t thread) {
    const struct student *s = context;
    merged_pass_run(&s->merged, m, s->scratch + thread * s->scratch_floats);
}

/* The gate and the merged tokens that it is the gate of. */
static void recompute_merged(const struct back *b) {
    struct student *s = b->s;
    s->merged = (struct merged_pass){
        .kernels = b->t->cpu->kernels,
        .rope = &b->t->transformer->rope,
        .turns = b->t->turns->data,
        .mean_turn = b->t->cpu->mean.data,
        .shape = &s->windows[b->l],
        .trace = &s->layers[b->l].trace,
        .length = b->t->length,
        .keys = (const uint16_t *)(const void *)b->t->keys->data,
        .values = (const uint16_t *)(const void *)b->t->values->data,
        .merged_keys = s->merged.merged_keys,
        .merged_values = s->merged.merged_values,
    };
    student_run_gate(s, b->l);
    pool_run(b->t->cpu->pool, s->windows[b->l].merge ? s->shape->kv_heads : 0, merged_head, s);
}

/* Everything inside the layer as on the way forward, up to gate and up; the stream before the
 * network is in t->x. */
static void recompute(const struct back *b) {
    struct student *s = b->s;
    const size_t d = b->c->width, first = s->first, Q = (size_t)b->c->heads * b->c->head_dim;
    struct buffer x = {s->layers[b->l].x, b->t->length * d * sizeof(float)};
    teacher_inputs(b->t, b->l, &x, s->work);
    teacher_store(b->t, s->work);
    if (s->shape->memory_width) {
        student_run_branch(s, b->l);
    } else {
        recompute_merged(b);
    }
    memcpy(b->t->x->data + first * d, x.data + first * d, b->n * d * sizeof(float));
    float *out = s->shape->memory_width ? s->pass->y : s->layers[b->l].swa;
    const struct buffer mixed = {out, b->t->length * Q * sizeof(float)};
    teacher_project(b->t, b->l, &mixed, first);
    teacher_open_network(b->t, b->l, first);
}

static void product(const struct back *b, const struct matrix *w, const float *dy, float *dx,
                    bool accumulate) {
    frozen_product_back(b->t->cpu, w, dy, b->n, dx, accumulate, b->s->expanded);
}

struct gate_job {
    const struct back *b;
    float *gate, *up, *d;
};

static void gate_rows(void *context, size_t i, size_t thread) {
    (void)thread;
    const struct gate_job *j = context;
    const size_t C = j->b->s->shape->chunk, n = C * j->b->c->ffn_width, at = i * n;
    j->b->t->cpu->kernels->swiglu_back(j->gate + at, j->up + at, j->d + at, n);
}

/* x + down(silu(gate) * up) */
static void network_back(const struct back *b) {
    const size_t at = b->s->first * b->c->ffn_width;
    const struct gate_job j = {b, b->t->gate->data + at, b->t->up->data + at, b->s->d_network};
    product(b, b->w->down, b->dx, j.d, false);
    pool_run(b->t->cpu->pool, b->n / b->s->shape->chunk, gate_rows, (void *)&j);
    product(b, b->w->gate, j.gate, b->d_normed, false);
    product(b, b->w->up, j.up, b->d_normed, true);
    frozen_norm_back(b->t->cpu, b->t->x->data + b->s->first * b->c->width, b->w->ffn_norm->data,
                     b->d_normed, b->n, b->c->width, b->c->norm_eps, b->dx, true);
}

static void branch_head(void *context, size_t m, size_t thread) {
    const struct student *s = context;
    branch_back(s->pass, m, s->scratch + thread * s->scratch_floats);
}

/* The parameters' gradients, and those at what the branch reads. Without one the window's output is
 * the layer's; the gate's gradients are window_back's. */
static void memory_back(const struct back *b) {
    struct student *s = b->s;
    const size_t L = b->t->length, H = b->c->heads, e = b->c->head_dim, M = b->c->kv_heads;
    memset(s->d_q, 0, L * H * e * sizeof(float));
    memset(s->d_swa, 0, L * H * e * sizeof(float));
    memset(s->d_lse, 0, L * H * sizeof(float));
    memset(s->d_k, 0, L * M * e * sizeof(float));
    memset(s->d_v, 0, L * M * e * sizeof(float));
    if (s->shape->memory_width == 0) {
        product(b, b->w->attn_output, b->dx, s->d_swa + s->first * H * e, false);
        return;
    }
    memset(s->pass->y, 0, s->first * H * e * sizeof(float));
    product(b, b->w->attn_output, b->dx, s->pass->y + s->first * H * e, false);
    s->pass->inputs = (struct branch_inputs){s->d_q, s->d_k, s->d_v, s->d_swa, s->d_lse};
    pool_run(b->t->cpu->pool, M, branch_head, s);
    branch_project_back(s->pass);
    memset(b->d_normed, 0, b->n * b->c->width * sizeof(float));
    branch_project_inputs(s->pass, s->first, b->n, s->d_normed);
}

struct attend_job {
    const struct student *s;
    struct attention_back a;
};

static void attend_head(void *context, size_t h, size_t thread) {
    const struct attend_job *j = context;
    attention_back_head(&j->a, h, j->s->scratch + thread * j->s->scratch_floats);
}

static void gather_chunk(void *context, size_t i, size_t thread) {
    (void)thread;
    const struct attend_job *j = context;
    const size_t C = j->s->shape->chunk;
    attention_back_gather(&j->a, j->s->first + i * C, C);
}

static void window_back(const struct back *b) {
    struct student *s = b->s;
    struct attend_job j = {s,
                           {.kernels = b->t->cpu->kernels,
                            .rope = &b->t->transformer->rope,
                            .turns = b->t->turns->data,
                            .shape = &s->windows[b->l],
                            .length = b->t->length,
                            .first = s->first,
                            .q = s->work->q->data,
                            .keys = (const uint16_t *)(const void *)b->t->keys->data,
                            .values = (const uint16_t *)(const void *)b->t->values->data,
                            .kept = s->layers[b->l].trace.kept,
                            .merged = &s->merged,
                            .gate = s->shape->memory_width ? NULL : s->pass->gates,
                            .dout = s->d_swa,
                            .dlse = s->d_lse,
                            .dq = s->d_q,
                            .head_dk = s->head_dk,
                            .head_dv = s->head_dv,
                            .dk = s->d_k,
                            .dv = s->d_v}};
    pool_run(b->t->cpu->pool, b->c->heads, attend_head, &j);
    pool_run(b->t->cpu->pool, b->n / s->shape->chunk, gather_chunk, &j);
}

/* After window_back: the gate's parameters, and the layer's normed input. */
static void gate_back(const struct back *b) {
    struct student *s = b->s;
    memset(s->pass->gates, 0, s->first * b->c->heads * sizeof(float));
    branch_project_back(s->pass);
    memset(b->d_normed, 0, b->n * b->c->width * sizeof(float));
    branch_project_inputs(s->pass, s->first, b->n, s->d_normed);
}

/* From q, k, v to the layer's input. */
static void inputs_back(const struct back *b) {
    struct student *s = b->s;
    const struct model_config *c = b->c;
    const size_t Q = (size_t)c->heads * c->head_dim, K = (size_t)c->kv_heads * c->head_dim;
    float *dq = s->d_q + s->first * Q, *dk = s->d_k + s->first * K, *dv = s->d_v + s->first * K;
    if (b->w->q_norm) {
        frozen_norm_back(b->t->cpu, s->work->raw_q->data + s->first * Q, b->w->q_norm->data, dq,
                         b->n * c->heads, c->head_dim, c->norm_eps, dq, false);
        frozen_norm_back(b->t->cpu, s->work->raw_k->data + s->first * K, b->w->k_norm->data, dk,
                         b->n * c->kv_heads, c->head_dim, c->norm_eps, dk, false);
    }
    product(b, b->w->q, dq, b->d_normed, true);
    product(b, b->w->k, dk, b->d_normed, true);
    product(b, b->w->v, dv, b->d_normed, true);
    frozen_norm_back(b->t->cpu, s->layers[b->l].x + s->first * c->width, b->w->attn_norm->data,
                     b->d_normed, b->n, c->width, c->norm_eps, b->dx, true);
}

void student_back(struct student *s, uint32_t l) {
    const struct teacher *t = s->teacher;
    const size_t at = s->first * s->shape->width;
    const struct back b = {.s = s,
                           .t = t,
                           .w = &t->transformer->layers[l],
                           .c = &t->transformer->model->config,
                           .l = l,
                           .n = t->length - s->first,
                           .dx = s->dx + at,
                           .d_normed = s->d_normed + at};
    recompute(&b);
    network_back(&b);
    memory_back(&b);
    const bool gated = s->shape->memory_width == 0;
    if (l > 0 || gated) { /* nobody reads the gradient at the embedding */
        window_back(&b);
    }
    if (gated) {
        gate_back(&b);
    }
    if (l > 0) {
        inputs_back(&b);
    }
}
