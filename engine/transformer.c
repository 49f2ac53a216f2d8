/* SPDX-License-Identifier: Apache-2.0
 *
 * A pre-norm transformer with grouped-query attention, RoPE and SwiGLU, whose attention is the
 * window of window.h beside the memory branch of adapter.h. Everything that computes is a backend
 * operation; this file is their order.
 */
#include "engine/transformer.h"

#include <stdlib.h>

/* ---- the forward pass ---- */

/* Attention of one layer over n rows, chunk by chunk: the window moves at the begin of a chunk. */
static void attend(struct transformer *t, const struct timeline *line, uint32_t layer,
                   uint64_t position, size_t n) {
    struct backend *b = t->backend;
    const struct window_shape *s = &line->shapes[layer];
    struct attention_step step = {
        .shape = s,
        .state = line->states[layer],
        .memory = s->memory_width ? &t->adapter->branches[layer] : NULL,
        .writes = line->writes,
        .q = t->q,
        .k = t->k,
        .v = t->v,
        .rates = t->rates,
        .gate = t->memory_gate,
        .merged_gate = line->merged_gate ? t->merged_gate : NULL,
        .out = t->attention,
    };
    while (step.row < n) {
        step.position = position + step.row;
        size_t to_chunk_end = s->chunk - step.position % s->chunk;
        step.rows = n - step.row < to_chunk_end ? n - step.row : to_chunk_end;
        if (window_leaves(s, step.position)) {
            b->ops->window_retire(b, &step);
            if (s->merge) {
                b->ops->window_merge(b, &step);
            }
            if (step.memory) {
                b->ops->memory_write(b, &step);
            }
        }
        b->ops->window_store(b, &step);
        b->ops->window_attend(b, &step);
        uint64_t chunk = step.position - step.position % s->chunk;
        if (step.memory && window_written_at(s, chunk) > 0) {
            b->ops->memory_read(b, &step);
        }
        step.row += step.rows;
    }
}

/* All that is a product of a layer's normed input. */
static void project(struct transformer *t, const struct timeline *line, uint32_t layer, size_t n) {
    const struct transformer_layer *w = &t->layers[layer];
    struct buffer *ys[6] = {t->q, t->k, t->v}, *biases[6] = {w->q_bias, w->k_bias, w->v_bias};
    struct matrix *matrices[6] = {w->q, w->k, w->v};
    size_t count = 3;
    if (line->shapes->memory_width) {
        ys[count] = t->rates;
        biases[count] = w->rates_bias;
        matrices[count++] = w->rates;
        ys[count] = t->memory_gate;
        biases[count] = w->memory_gate_bias;
        matrices[count++] = w->memory_gate;
    }
    if (line->merged_gate) {
        ys[count] = t->merged_gate;
        biases[count] = w->merged_gate_bias[line->shapes[layer].keep > 0];
        matrices[count++] = w->merged_gate;
    }
    t->backend->ops->matmul(t->backend, count, ys, matrices, biases, t->normed, n);
}

void transformer_forward(struct transformer *t, const struct timeline *line, uint64_t position,
                         const int32_t *ids, size_t n) {
    struct backend *b = t->backend;
    const struct backend_ops *ops = b->ops;
    const struct model_config *c = &t->model->config;

    ops->positions(b, &t->rope, line->shapes, position, n);
    ops->embed(b, t->x, t->embedding, ids, n);
    for (uint32_t l = 0; l < c->layers; l++) {
        const struct transformer_layer *w = &t->layers[l];

        ops->rms_norm(b, t->normed, t->x, 0, w->attn_norm, n, c->width, c->norm_eps);
        project(t, line, l, n);
        if (w->q_norm) {
            ops->rms_norm(b, t->q, t->q, 0, w->q_norm, n * c->heads, c->head_dim, c->norm_eps);
            ops->rms_norm(b, t->k, t->k, 0, w->k_norm, n * c->kv_heads, c->head_dim, c->norm_eps);
        }
        attend(t, line, l, position, n);
        ops->matmul(b, 1, &t->normed, &w->attn_output, NULL, t->attention, n);
        ops->add(b, t->x, t->normed, n * c->width);

        ops->rms_norm(b, t->normed, t->x, 0, w->ffn_norm, n, c->width, c->norm_eps);
        ops->matmul(b, 2, (struct buffer *[]){t->gate, t->up}, (struct matrix *[]){w->gate, w->up},
                    NULL, t->normed, n);
        ops->swiglu(b, t->gate, t->up, n * c->ffn_width);
        ops->matmul(b, 1, &t->normed, &w->down, NULL, t->gate, n);
        ops->add(b, t->x, t->normed, n * c->width);
    }
}

void transformer_logits(struct transformer *t, size_t row, size_t n, float *logits) {
    struct backend *b = t->backend;
    const struct model_config *c = &t->model->config;
    b->ops->rms_norm(b, t->normed, t->x, row, t->output_norm, n, c->width, c->norm_eps);
    b->ops->matmul(b, 1, &t->logits, &t->output, NULL, t->normed, n);
    b->ops->buffer_read(b, t->logits, 0, logits, n * c->vocabulary * sizeof *logits);
}

/* ---- weights and activations ---- */

/* While an upload fails, `ok` is false and the rest does nothing. */
struct upload {
    struct backend *b;
    struct error *error;
    bool ok;
};

static struct matrix *matrix_of(struct upload *u, const struct gguf_tensor *tensor) {
    struct matrix *m = u->ok ? u->b->ops->matrix_create(u->b, tensor, u->error) : NULL;
    u->ok = u->ok && m;
    return m;
}

static struct matrix *matrix_of_floats(struct upload *u, const float *data, size_t rows,
                                       size_t columns) {
    struct gguf_tensor tensor = {.dims = 2,
                                 .ne = {columns, rows, 1, 1},
                                 .type = QUANT_F32,
                                 .data = data,
                                 .size = rows * columns * sizeof *data};
    return matrix_of(u, &tensor);
}

static struct buffer *room(struct upload *u, size_t floats) {
    struct buffer *buffer =
        u->ok ? u->b->ops->buffer_create(u->b, floats * sizeof(float), u->error) : NULL;
    u->ok = u->ok && buffer;
    return buffer;
}

static struct buffer *vector_of_floats(struct upload *u, const float *data, size_t n) {
    struct buffer *buffer = room(u, n);
    if (buffer) {
        u->b->ops->buffer_write(u->b, buffer, 0, data, n * sizeof *data);
    }
    return buffer;
}

/* NULL for a tensor that the model does not have. */
static struct buffer *vector_of(struct upload *u, const struct gguf_tensor *tensor) {
    if (!tensor || !u->ok) {
        return NULL;
    }
    size_t n = (size_t)tensor->ne[0];
    float *data = calloc(n, sizeof *data);
    if (!data) {
        u->ok = error_set(u->error, ERROR_NO_SPACE, "no memory for a vector of %zu values", n);
        return NULL;
    }
    quant_row(tensor->type, tensor->data, data, n);
    struct buffer *buffer = vector_of_floats(u, data, n);
    free(data);
    return buffer;
}

static void upload_branch(struct upload *u, const struct transformer *t,
                          const struct memory_branch *p, struct transformer_layer *w) {
    const struct model_config *c = &t->model->config;
    if (t->adapter->merged_gate) {
        w->merged_gate = matrix_of_floats(u, p->merged_w, c->heads, c->width);
        for (size_t kept = 0; kept < 2; kept++) {
            w->merged_gate_bias[kept] =
                vector_of_floats(u, p->merged_b + kept * c->heads, c->heads);
        }
    }
    if (t->adapter->width == 0) {
        return;
    }
    w->rates = matrix_of_floats(u, p->rates_w, WINDOW_RATES * c->kv_heads, c->width);
    w->memory_gate = matrix_of_floats(u, p->gate_w, c->heads, c->width);
    w->rates_bias = vector_of_floats(u, p->rates_b, WINDOW_RATES * c->kv_heads);
    w->memory_gate_bias = vector_of_floats(u, p->gate_b, c->heads);
    const struct window_shape shape = {.heads = c->heads,
                                       .kv_heads = c->kv_heads,
                                       .head_dim = c->head_dim,
                                       .memory_width = t->adapter->width};
    u->ok = u->ok && (!u->b->ops->memory_load || u->b->ops->memory_load(u->b, p, &shape, u->error));
}

static void upload_layer(struct upload *u, struct transformer *t, uint32_t l) {
    const struct model_layer *m = &t->model->layers[l];
    struct transformer_layer *w = &t->layers[l];
    w->attn_norm = vector_of(u, m->attn_norm);
    w->ffn_norm = vector_of(u, m->ffn_norm);
    w->q_norm = vector_of(u, m->q_norm);
    w->k_norm = vector_of(u, m->k_norm);
    w->q_bias = vector_of(u, m->q_bias);
    w->k_bias = vector_of(u, m->k_bias);
    w->v_bias = vector_of(u, m->v_bias);
    w->q = matrix_of(u, m->q);
    w->k = matrix_of(u, m->k);
    w->v = matrix_of(u, m->v);
    w->attn_output = matrix_of(u, m->attn_output);
    w->gate = matrix_of(u, m->gate);
    w->up = matrix_of(u, m->up);
    w->down = matrix_of(u, m->down);
    if (t->adapter) {
        upload_branch(u, t, &t->adapter->branches[l], w);
    }
}

/* Floats per row of each activation buffer, in the order of transformer_init. */
static size_t row_floats(const struct model_config *c) {
    return 2 * (size_t)c->width + 2 * (size_t)c->heads * c->head_dim +
           2 * (size_t)c->kv_heads * c->head_dim + 2 * (size_t)c->ffn_width +
           WINDOW_RATES * c->kv_heads + 2 * c->heads;
}

size_t transformer_bytes(const struct model *model) {
    const struct model_config *c = &model->config;
    return sizeof(float) *
           (TRANSFORMER_ROWS * row_floats(c) + (size_t)TRANSFORMER_LOGIT_ROWS * c->vocabulary);
}

bool transformer_init(struct transformer *t, struct backend *backend, const struct model *model,
                      const struct adapter *adapter, struct error *error) {
    const struct model_config *c = &model->config;
    struct upload u = {backend, error, true};
    *t = (struct transformer){.backend = backend, .model = model, .adapter = adapter};
    t->layers = calloc(c->layers, sizeof *t->layers);
    if (!t->layers) {
        u.ok = error_set(error, ERROR_NO_SPACE, "no memory for %u layers", c->layers);
    }
    u.ok = u.ok && rope_init(&t->rope, &c->rope, error);
    t->embedding = matrix_of(&u, model->embedding);
    t->output = matrix_of(&u, model->output);
    t->output_norm = vector_of(&u, model->output_norm);
    for (uint32_t l = 0; u.ok && l < c->layers; l++) {
        upload_layer(&u, t, l);
    }
    const size_t n = TRANSFORMER_ROWS;
    t->x = room(&u, n * c->width);
    t->normed = room(&u, n * c->width);
    t->q = room(&u, n * c->heads * c->head_dim);
    t->attention = room(&u, n * c->heads * c->head_dim);
    t->k = room(&u, n * c->kv_heads * c->head_dim);
    t->v = room(&u, n * c->kv_heads * c->head_dim);
    t->gate = room(&u, n * c->ffn_width);
    t->up = room(&u, n * c->ffn_width);
    t->rates = room(&u, n * WINDOW_RATES * c->kv_heads);
    t->memory_gate = room(&u, n * c->heads);
    t->merged_gate = room(&u, n * c->heads);
    t->logits = room(&u, (size_t)TRANSFORMER_LOGIT_ROWS * c->vocabulary);
    if (!u.ok) {
        transformer_finish(t);
    }
    return u.ok;
}

void transformer_finish(struct transformer *t) {
    struct backend *b = t->backend;
    if (!b) {
        return;
    }
    for (uint32_t l = 0; t->layers && l < t->model->config.layers; l++) {
        struct transformer_layer *w = &t->layers[l];
        struct buffer *buffers[] = {w->attn_norm,
                                    w->ffn_norm,
                                    w->q_norm,
                                    w->k_norm,
                                    w->q_bias,
                                    w->k_bias,
                                    w->v_bias,
                                    w->rates_bias,
                                    w->memory_gate_bias,
                                    w->merged_gate_bias[0],
                                    w->merged_gate_bias[1]};
        struct matrix *matrices[] = {w->q,  w->k,    w->v,     w->attn_output, w->gate,
                                     w->up, w->down, w->rates, w->memory_gate, w->merged_gate};
        for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
            b->ops->buffer_destroy(b, buffers[i]);
        }
        for (size_t i = 0; i < sizeof matrices / sizeof *matrices; i++) {
            b->ops->matrix_destroy(b, matrices[i]);
        }
    }
    struct buffer *buffers[] = {t->output_norm, t->x,           t->normed, t->q,  t->attention,
                                t->k,           t->v,           t->gate,   t->up, t->rates,
                                t->memory_gate, t->merged_gate, t->logits};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        b->ops->buffer_destroy(b, buffers[i]);
    }
    b->ops->matrix_destroy(b, t->embedding);
    b->ops->matrix_destroy(b, t->output);
    rope_finish(&t->rope);
    free(t->layers);
    *t = (struct transformer){0};
}
