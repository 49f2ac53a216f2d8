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

size_t teacher_bytes(const struct model_config *c, size_t L) {
    return L * sizeof(float) *
           (2 * (size_t)c->width + 2 * (size_t)c->ffn_width + (size_t)c->kv_heads * c->head_dim +
            c->rope.dims);
}

bool teacher_init(struct teacher *t, struct transformer *transformer, size_t capacity,
                  const struct window_shape *shape, struct error *error) {
    const struct model_config *c = &transformer->model->config;
    const size_t L = capacity;
    *t = (struct teacher){.transformer = transformer,
                          .cpu = (struct cpu_backend *)transformer->backend,
                          .capacity = capacity,
                          .length = capacity,
                          .chunk = shape->chunk};
    size_t widest = c->ffn_width > c->width ? c->ffn_width : c->width;
    widest = widest > c->heads * c->head_dim ? widest : c->heads * c->head_dim;
    struct backend *b = transformer->backend;
    bool ok = b->ops->prepare(b, shape, L, widest, error);
    t->x = room(t, L * c->width, &ok, error);
    t->branch = room(t, L * c->width, &ok, error);
    t->gate = room(t, L * c->ffn_width, &ok, error);
    t->up = room(t, L * c->ffn_width, &ok, error);
    t->keys = room(t, L * c->kv_heads * c->head_dim / 2 + 1, &ok, error);
    t->values = room(t, L * c->kv_heads * c->head_dim / 2 + 1, &ok, error);
    t->turns = room(t, L * c->rope.dims, &ok, error);
    for (size_t i = 0; ok && i < L; i++) {
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

size_t teacher_layer_bytes(const struct model_config *c, size_t L) {
    const size_t Q = (size_t)c->heads * c->head_dim, K = (size_t)c->kv_heads * c->head_dim;
    return L * sizeof(float) * (c->width + 3 * Q + 3 * K);
}

bool teacher_layer_init(const struct teacher *t, struct teacher_layer *l, struct error *error) {
    const struct model_config *c = &t->transformer->model->config;
    const size_t L = t->capacity, Q = (size_t)c->heads * c->head_dim,
                 K = (size_t)c->kv_heads * c->head_dim;
    const bool norms = t->transformer->layers[0].q_norm;
    bool ok = true;
    l->x = room(t, L * c->width, &ok, error);
    l->q = room(t, L * Q, &ok, error);
    l->k = room(t, L * K, &ok, error);
    l->v = room(t, L * K, &ok, error);
    l->raw_q = norms ? room(t, L * Q, &ok, error) : NULL;
    l->raw_k = norms ? room(t, L * K, &ok, error) : NULL;
    l->attention = room(t, L * Q, &ok, error);
    return ok;
}

void teacher_layer_finish(const struct teacher *t, struct teacher_layer *l) {
    struct buffer *owned[] = {l->x, l->q, l->k, l->v, l->raw_q, l->raw_k, l->attention};
    for (size_t i = 0; t->cpu && i < sizeof owned / sizeof *owned; i++) {
        t->cpu->base.ops->buffer_destroy(&t->cpu->base, owned[i]);
    }
    *l = (struct teacher_layer){0};
}

/* ---- attention ---- */

static struct attention_pass attention_of(const struct teacher *t, const struct teacher_layer *l) {
    const struct model_config *c = &t->transformer->model->config;
    return (struct attention_pass){
        .kernels = t->cpu->kernels,
        .rope = &t->transformer->rope,
        .turns = t->turns->data,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .length = t->length,
        .chunk = t->chunk,
        .q = l ? l->q->data : NULL,
        .k = l ? l->k->data : NULL,
        .v = l ? l->v->data : NULL,
        .keys = (uint16_t *)(void *)t->keys->data,
        .values = (uint16_t *)(void *)t->values->data,
        .full = l ? l->attention->data : NULL,
    };
}

size_t teacher_scratch(const struct teacher *t) {
    const struct attention_pass p = attention_of(t, NULL);
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

void teacher_store(const struct teacher *t, const struct teacher_layer *of) {
    struct job j = {t, attention_of(t, of)};
    pool_run(t->cpu->pool, t->length / t->chunk, store_chunk, &j);
}

/* ---- a layer ---- */

struct buffer teacher_rows(const struct buffer *b, size_t from, size_t width) {
    return (struct buffer){b->data + from * width, b->bytes - from * width * sizeof(float)};
}

void teacher_begin(struct teacher *t, const int32_t *ids, size_t length) {
    struct backend *b = &t->cpu->base;
    t->length = length;
    b->ops->embed(b, t->x, t->transformer->embedding, ids, length);
}

void teacher_inputs(const struct teacher *t, uint32_t l, struct buffer *x,
                    const struct teacher_layer *out) {
    struct backend *b = &t->cpu->base;
    const struct model_config *c = &t->transformer->model->config;
    const struct transformer_layer *w = &t->transformer->layers[l];
    const size_t n = t->length;
    struct buffer *q = w->q_norm ? out->raw_q : out->q, *k = w->k_norm ? out->raw_k : out->k;
    b->ops->rms_norm(b, out->x, x, 0, w->attn_norm, n, c->width, c->norm_eps);
    b->ops->matmul(b, 3, (struct buffer *[]){q, k, out->v}, (struct matrix *[]){w->q, w->k, w->v},
                   (struct buffer *[]){w->q_bias, w->k_bias, w->v_bias}, out->x, n);
    if (w->q_norm) {
        b->ops->rms_norm(b, out->q, q, 0, w->q_norm, n * c->heads, c->head_dim, c->norm_eps);
        b->ops->rms_norm(b, out->k, k, 0, w->k_norm, n * c->kv_heads, c->head_dim, c->norm_eps);
    }
}

void teacher_project(const struct teacher *t, uint32_t l, const struct buffer *mixed, size_t from) {
    struct backend *b = &t->cpu->base;
    const struct model_config *c = &t->transformer->model->config;
    const size_t n = t->length - from;
    struct buffer x = teacher_rows(t->x, from, c->width),
                  branch = teacher_rows(t->branch, from, c->width),
                  in = teacher_rows(mixed, from, (size_t)c->heads * c->head_dim);
    b->ops->matmul(b, 1, (struct buffer *[]){&branch},
                   (struct matrix *[]){t->transformer->layers[l].attn_output}, NULL, &in, n);
    b->ops->add(b, &x, &branch, n * c->width);
}

void teacher_open_network(const struct teacher *t, uint32_t l, size_t from) {
    struct backend *b = &t->cpu->base;
    const struct model_config *c = &t->transformer->model->config;
    const struct transformer_layer *w = &t->transformer->layers[l];
    const size_t n = t->length - from;
    struct buffer branch = teacher_rows(t->branch, from, c->width),
                  gate = teacher_rows(t->gate, from, c->ffn_width),
                  up = teacher_rows(t->up, from, c->ffn_width);
    b->ops->rms_norm(b, &branch, t->x, from, w->ffn_norm, n, c->width, c->norm_eps);
    b->ops->matmul(b, 2, (struct buffer *[]){&gate, &up}, (struct matrix *[]){w->gate, w->up}, NULL,
                   &branch, n);
}

void teacher_close_network(const struct teacher *t, uint32_t l, size_t from) {
    struct backend *b = &t->cpu->base;
    const struct model_config *c = &t->transformer->model->config;
    const size_t n = t->length - from;
    struct buffer x = teacher_rows(t->x, from, c->width),
                  branch = teacher_rows(t->branch, from, c->width),
                  gate = teacher_rows(t->gate, from, c->ffn_width),
                  up = teacher_rows(t->up, from, c->ffn_width);
    b->ops->swiglu(b, &gate, &up, n * c->ffn_width);
    b->ops->matmul(b, 1, (struct buffer *[]){&branch},
                   (struct matrix *[]){t->transformer->layers[l].down}, NULL, &gate, n);
    b->ops->add(b, &x, &branch, n * c->width);
}

void teacher_run(struct teacher *t, uint32_t l, const struct teacher_layer *out) {
    teacher_inputs(t, l, t->x, out);
    teacher_store(t, out);
    struct job j = {t, attention_of(t, out)};
    pool_run(t->cpu->pool, t->length / t->chunk * j.attention.heads, attend_block, &j);
    teacher_project(t, l, out->attention, 0);
    teacher_open_network(t, l, 0);
    teacher_close_network(t, l, 0);
}

void teacher_last_norm(const struct teacher *t, struct buffer *to, size_t from) {
    struct backend *b = &t->cpu->base;
    const struct model_config *c = &t->transformer->model->config;
    struct buffer out = teacher_rows(to, from, c->width);
    b->ops->rms_norm(b, &out, t->x, from, t->transformer->output_norm, t->length - from, c->width,
                     c->norm_eps);
}
