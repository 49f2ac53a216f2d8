/* SPDX-License-Identifier: Apache-2.0
 *
 * The frozen base model: the passes of transformer.c turned inside out, layers outside and
 * positions inside.
 */
#include "engine/finetune/teacher.h"

#include <math.h>

#include "engine/finetune/attention.h"

static struct buffer *room(const struct teacher *t, size_t floats, bool *ok, struct error *error) {
    struct backend *b = &t->cpu->base;
    struct buffer *buffer = *ok ? b->ops->buffer_create(b, floats * sizeof(float), error) : NULL;
    *ok = *ok && buffer;
    return buffer;
}

bool teacher_init(struct teacher *t, struct transformer *transformer, size_t length, size_t chunk,
                  size_t sinks, struct error *error) {
    const struct model_config *c = &transformer->model->config;
    *t = (struct teacher){.transformer = transformer,
                          .cpu = (struct cpu_backend *)transformer->backend,
                          .length = length,
                          .chunk = chunk,
                          .sinks = sinks,
                          .clip = c->context / 4 * 3};
    const struct window_shape shape = {.layers = c->layers,
                                       .heads = c->heads,
                                       .kv_heads = c->kv_heads,
                                       .head_dim = c->head_dim,
                                       .window = (uint32_t)chunk,
                                       .chunk = (uint32_t)chunk};
    size_t widest = c->ffn_width > c->width ? c->ffn_width : c->width;
    widest = widest > c->heads * c->head_dim ? widest : c->heads * c->head_dim;
    struct backend *b = transformer->backend;
    bool ok = b->ops->prepare(b, &shape, length, widest, error);
    t->x = room(t, length * c->width, &ok, error);
    t->branch = room(t, length * c->width, &ok, error);
    t->gate = room(t, length * c->ffn_width, &ok, error);
    t->up = room(t, length * c->ffn_width, &ok, error);
    t->keys = room(t, length * c->kv_heads * c->head_dim / 2 + 1, &ok, error);
    t->values = room(t, length * c->kv_heads * c->head_dim / 2 + 1, &ok, error);
    t->turns = room(t, length * c->rope.dims, &ok, error);
    for (size_t i = 0; ok && i < length; i++) {
        rope_row(&transformer->rope, i, t->turns->data + i * c->rope.dims);
    }
    return ok;
}

void teacher_finish(struct teacher *t) {
    struct buffer *owned[] = {t->x, t->branch, t->gate, t->up, t->keys, t->values, t->turns};
    for (size_t i = 0; t->cpu && i < sizeof owned / sizeof *owned; i++) {
        t->cpu->base.ops->buffer_destroy(&t->cpu->base, owned[i]);
    }
    *t = (struct teacher){0};
}

bool teacher_layer_init(const struct teacher *t, struct teacher_layer *l, struct error *error) {
    const struct model_config *c = &t->transformer->model->config;
    const size_t L = t->length, Q = (size_t)c->heads * c->head_dim,
                 K = (size_t)c->kv_heads * c->head_dim;
    bool ok = true;
    l->x = room(t, L * c->width, &ok, error);
    l->q = room(t, L * Q, &ok, error);
    l->k = room(t, L * K, &ok, error);
    l->v = room(t, L * K, &ok, error);
    l->full = room(t, L * Q, &ok, error);
    l->swa = room(t, L * Q, &ok, error);
    l->lse = room(t, L * c->heads, &ok, error);
    return ok;
}

void teacher_layer_finish(const struct teacher *t, struct teacher_layer *l) {
    struct buffer *owned[] = {l->x, l->q, l->k, l->v, l->full, l->swa, l->lse};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        t->cpu->base.ops->buffer_destroy(&t->cpu->base, owned[i]);
    }
    *l = (struct teacher_layer){0};
}

static struct attention_pass attention_of(const struct teacher *t, size_t window) {
    const struct model_config *c = &t->transformer->model->config;
    return (struct attention_pass){
        .kernels = t->cpu->kernels,
        .rope = &t->transformer->rope,
        .turns = t->turns->data,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .length = t->length,
        .window = window,
        .chunk = t->chunk,
        .sinks = t->sinks,
        .clip = t->clip,
        .keys = (uint16_t *)(void *)t->keys->data,
        .values = (uint16_t *)(void *)t->values->data,
    };
}

size_t teacher_scratch(const struct teacher *t, size_t window) {
    const struct attention_pass p = attention_of(t, window);
    return attention_scratch(&p);
}

struct job {
    const struct teacher *t;
    struct attention_pass attention;
};

static void store_chunk(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct job *j = context;
    attention_store(&j->attention, index * j->t->chunk, j->t->chunk);
}

/* The last chunks have the most to do, so they come first. */
static void attend_block(void *context, size_t index, size_t thread) {
    const struct job *j = context;
    const size_t chunks = j->t->length / j->t->chunk, H = j->attention.heads;
    attention_block(&j->attention, index % H, (chunks - 1 - index / H) * j->t->chunk,
                    j->t->scratch + thread * j->t->scratch_floats);
}

static void attend(const struct teacher *t, size_t window, const struct teacher_layer *l) {
    struct job j = {t, attention_of(t, window)};
    j.attention.q = l->q->data;
    j.attention.k = l->k->data;
    j.attention.v = l->v->data;
    j.attention.full = l->full->data;
    j.attention.swa = l->swa->data;
    j.attention.lse = l->lse->data;
    const size_t chunks = t->length / t->chunk;
    pool_run(t->cpu->pool, chunks, store_chunk, &j);
    pool_run(t->cpu->pool, chunks * j.attention.heads, attend_block, &j);
}

void teacher_begin(struct teacher *t, const int32_t *ids) {
    struct backend *b = &t->cpu->base;
    b->ops->embed(b, t->x, t->transformer->embedding, ids, t->length);
}

void teacher_run(struct teacher *t, uint32_t l, size_t window, const struct teacher_layer *out) {
    struct backend *b = &t->cpu->base;
    const struct backend_ops *ops = b->ops;
    const struct model_config *c = &t->transformer->model->config;
    const struct transformer_layer *w = &t->transformer->layers[l];
    const size_t n = t->length;
    ops->rms_norm(b, out->x, t->x, 0, w->attn_norm, n, c->width, c->norm_eps);
    ops->matmul(b, 3, (struct buffer *[]){out->q, out->k, out->v},
                (struct matrix *[]){w->q, w->k, w->v},
                (struct buffer *[]){w->q_bias, w->k_bias, w->v_bias}, out->x, n);
    if (w->q_norm) {
        ops->rms_norm(b, out->q, out->q, 0, w->q_norm, n * c->heads, c->head_dim, c->norm_eps);
        ops->rms_norm(b, out->k, out->k, 0, w->k_norm, n * c->kv_heads, c->head_dim, c->norm_eps);
    }
    attend(t, window, out);
    if (l + 1 == c->layers) {
        return; /* nobody reads what follows */
    }
    ops->matmul(b, 1, &t->branch, &w->attn_output, NULL, out->full, n);
    ops->add(b, t->x, t->branch, n * c->width);
    ops->rms_norm(b, t->branch, t->x, 0, w->ffn_norm, n, c->width, c->norm_eps);
    ops->matmul(b, 2, (struct buffer *[]){t->gate, t->up}, (struct matrix *[]){w->gate, w->up},
                NULL, t->branch, n);
    ops->swiglu(b, t->gate, t->up, n * c->ffn_width);
    ops->matmul(b, 1, &t->branch, &w->down, NULL, t->gate, n);
    ops->add(b, t->x, t->branch, n * c->width);
}
