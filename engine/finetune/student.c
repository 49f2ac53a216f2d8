/* SPDX-License-Identifier: Apache-2.0
 *
 * The student's memory, and its way forward.
 */
#include "engine/finetune/student.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/floats.h"
#include "engine/finetune/attention_back.h"
#include "engine/finetune/frozen.h"
#include "engine/finetune/student_private.h"

/* ---- memory ---- */

static size_t widest(const struct model_config *c) {
    const size_t Q = (size_t)c->heads * c->head_dim, d = c->width, f = c->ffn_width;
    return Q > d ? (Q > f ? Q : f) : (d > f ? d : f);
}

static size_t layer_floats(const struct model_config *c, size_t L) {
    return floats_rounded(L * c->width) + floats_rounded(L * c->heads * c->head_dim) +
           floats_rounded(L * c->heads);
}

static size_t step_floats(const struct model_config *c, size_t L) {
    const size_t Q = (size_t)c->heads * c->head_dim, K = (size_t)c->kv_heads * c->head_dim;
    return 2 * floats_rounded(L * c->width) + floats_rounded(L * c->ffn_width) +
           4 * floats_rounded(L * Q) + floats_rounded(L * c->heads) + 2 * floats_rounded(L * K) +
           floats_rounded(FROZEN_ROWS * widest(c));
}

/* Points of a head, if tokens are merged. */
static size_t points_room(const struct window_shape *most) {
    return most->merge ? most->merge + most->chunk : 0;
}

/* Numbers in the lists of a layer: kept, written, written_count, merged_into. */
static size_t layer_lists(const struct window_shape *most, size_t L) {
    const size_t C = most->chunk, M = most->kv_heads;
    return L / C * (M * most->keep + M * C + 1 + M * points_room(most));
}

/* Floats of a layer's merged_share and merged_weight; and of a layer's merged keys, or values. */
static size_t merged_floats(const struct window_shape *most, size_t L) {
    const size_t all = L / most->chunk * most->kv_heads;
    return floats_rounded(all * points_room(most)) + floats_rounded(all * most->merge);
}

static size_t merged_halves(const struct window_shape *most, size_t L) {
    return L / most->chunk * most->kv_heads * most->merge * most->head_dim / 2 + 1;
}

size_t student_bytes(const struct model_config *c, size_t L, const struct window_shape *most,
                     size_t threads) {
    return sizeof(float) *
               (c->layers * (layer_floats(c, L) + layer_lists(most, L) + merged_floats(most, L)) +
                2 * floats_rounded(merged_halves(most, L)) + step_floats(c, L) + 2 * L * c->width) +
           kl_bytes(c->vocabulary, threads);
}

static void lay(struct student *s, const struct window_shape *most) {
    const struct model_config *c = &s->teacher->transformer->model->config;
    const size_t L = s->teacher->capacity, C = most->chunk, M = most->kv_heads;
    const size_t Q = (size_t)c->heads * c->head_dim, K = M * c->head_dim;
    float *at = s->memory;
    uint32_t *list = s->lists;
    for (size_t l = 0; l < c->layers; l++) {
        struct student_layer *y = &s->layers[l];
        y->x = floats_take(&at, L * c->width);
        y->swa = floats_take(&at, L * Q);
        y->trace.lse = floats_take(&at, L * c->heads);
        y->trace.kept = list;
        y->trace.written = y->trace.kept + L / C * M * most->keep;
        y->trace.written_count = y->trace.written + L / C * M * C;
        y->trace.merged_into = y->trace.written_count + L / C;
        y->trace.merged_share = floats_take(&at, L / C * M * points_room(most));
        y->trace.merged_weight = floats_take(&at, L / C * M * most->merge);
        list += layer_lists(most, L);
    }
    s->dx = floats_take(&at, L * c->width);
    s->d_normed = floats_take(&at, L * c->width);
    s->d_network = floats_take(&at, L * c->ffn_width);
    s->d_swa = floats_take(&at, L * Q);
    s->d_q = floats_take(&at, L * Q);
    s->head_dk = floats_take(&at, L * Q);
    s->head_dv = floats_take(&at, L * Q);
    s->d_lse = floats_take(&at, L * c->heads);
    s->d_k = floats_take(&at, L * K);
    s->d_v = floats_take(&at, L * K);
    s->expanded = floats_take(&at, FROZEN_ROWS * widest(c));
    s->merged.merged_keys = (uint16_t *)(void *)floats_take(&at, merged_halves(most, L));
    s->merged.merged_values = (uint16_t *)(void *)floats_take(&at, merged_halves(most, L));
}

bool student_init(struct student *s, struct teacher *teacher, const struct branch_shape *shape,
                  const struct window_shape *most, struct error *error) {
    struct cpu_backend *cpu = teacher->cpu;
    const struct model_config *c = &teacher->transformer->model->config;
    const size_t L = teacher->capacity;
    *s = (struct student){.teacher = teacher, .shape = shape};
    const size_t floats = c->layers * (layer_floats(c, L) + merged_floats(most, L)) +
                          2 * floats_rounded(merged_halves(most, L)) + step_floats(c, L);
    s->layers = calloc(c->layers, sizeof *s->layers);
    s->memory = aligned_alloc(64, floats * sizeof *s->memory);
    s->lists = calloc(c->layers * layer_lists(most, L), sizeof *s->lists);
    if (!s->layers || !s->memory || !s->lists) {
        return error_set(error, ERROR_NO_SPACE, "no memory for the student, %zu MB",
                         floats * sizeof(float) / 1000000);
    }
    memset(s->memory, 0, floats * sizeof *s->memory);
    lay(s, most);
    const size_t last = L * c->width * sizeof(float);
    s->teacher_last = cpu->base.ops->buffer_create(&cpu->base, last, error);
    s->student_last =
        s->teacher_last ? cpu->base.ops->buffer_create(&cpu->base, last, error) : NULL;
    return s->student_last && kl_init(&s->kl, cpu, teacher->transformer->output, error);
}

void student_finish(struct student *s) {
    if (s->teacher) {
        struct backend *b = &s->teacher->cpu->base;
        b->ops->buffer_destroy(b, s->teacher_last);
        b->ops->buffer_destroy(b, s->student_last);
    }
    kl_finish(&s->kl);
    free(s->layers);
    free(s->memory);
    free(s->lists);
    *s = (struct student){0};
}

/* ---- the way forward ---- */

/* The teacher's stream before a layer is the student's up to `first`. */
static void share_rows(struct student *s, uint32_t l) {
    memcpy(s->layers[l].x, s->teacher->x->data, s->first * s->shape->width * sizeof(float));
}

void student_begin(struct student *s, const int32_t *ids, size_t length,
                   const struct window_shape *windows) {
    struct teacher *t = s->teacher;
    const struct model_config *c = &t->transformer->model->config;
    s->first = window_pass_first_of(windows, c->layers, length);
    s->pass->length = length;
    s->pass->window = windows->window;
    t->cpu->base.ops->positions(&t->cpu->base, &t->transformer->rope, windows, 0, length);
    teacher_begin(t, ids, length);
    for (uint32_t l = 0; l < c->layers; l++) {
        share_rows(s, l);
        teacher_run(t, l, s->work);
    }
    teacher_last_norm(t, s->teacher_last, s->first);
    student_again(s, ids, windows);
}

void student_again(struct student *s, const int32_t *ids, const struct window_shape *windows) {
    s->windows = windows;
    teacher_begin(s->teacher, ids, s->teacher->length);
}

static void project_chunk(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct student *s = context;
    branch_project(s->pass, index * s->shape->chunk, s->shape->chunk);
}

static void forward_head(void *context, size_t m, size_t thread) {
    const struct student *s = context;
    branch_forward(s->pass, m, s->scratch + thread * s->scratch_floats);
}

void student_run_branch(struct student *s, uint32_t l) {
    const struct student_layer *y = &s->layers[l];
    struct branch_pass *p = s->pass;
    struct pool *pool = s->teacher->cpu->pool;
    p->x = s->work->x->data;
    p->q = s->work->q->data;
    p->k = s->work->k->data;
    p->v = s->work->v->data;
    p->swa = y->swa;
    p->lse = y->trace.lse;
    p->written = y->trace.written;
    p->written_count = y->trace.written_count;
    pool_run(pool, s->teacher->length / s->shape->chunk, project_chunk, s);
    pool_run(pool, s->shape->kv_heads, forward_head, s);
}

void student_run_gate(struct student *s, uint32_t l) {
    s->pass->kept = s->windows[l].keep > 0;
    s->pass->x = s->work->x->data;
    pool_run(s->teacher->cpu->pool, s->teacher->length / s->shape->chunk, project_chunk, s);
}

void student_forward(struct student *s, uint32_t l, bool memory) {
    struct teacher *t = s->teacher;
    struct student_layer *y = &s->layers[l];
    const size_t d = s->shape->width, Q = s->shape->heads * s->shape->head_dim,
                 past = (t->length - s->first) * d;
    memcpy(y->x + s->first * d, t->x->data + s->first * d, past * sizeof(float));
    struct buffer x = {y->x, t->length * d * sizeof(float)},
                  swa = {y->swa, t->length * Q * sizeof(float)};
    teacher_inputs(t, l, &x, s->work);
    const bool gated = memory && s->shape->memory_width == 0;
    struct buffer gate = {s->pass->gates, t->length * s->shape->heads * sizeof(float)};
    if (gated) {
        student_run_gate(s, l);
    }
    window_pass_run(t->cpu, &s->windows[l], t->length, s->state, s->work->q, s->work->k, s->work->v,
                    gated ? &gate : NULL, &swa, &y->trace);
    struct buffer mixed = swa;
    if (memory && !gated) {
        student_run_branch(s, l);
        mixed = (struct buffer){s->pass->y, swa.bytes};
    }
    teacher_project(t, l, &mixed, s->first);
    teacher_open_network(t, l, s->first);
    teacher_close_network(t, l, s->first);
}

double student_loss(struct student *s, bool back) {
    struct teacher *t = s->teacher;
    const struct model_config *c = &t->transformer->model->config;
    const size_t n = t->length - s->first, at = s->first * c->width;
    if (n == 0) {
        return 0;
    }
    teacher_last_norm(t, s->student_last, s->first);
    float *dx = back ? s->dx + at : NULL;
    const double sum = kl_rows(&s->kl, s->teacher_last->data + at, s->student_last->data + at, n,
                               1 / (double)n, dx, s->expanded);
    if (back) {
        frozen_norm_back(t->cpu, t->x->data + at, t->transformer->output_norm->data, dx, n,
                         c->width, c->norm_eps, dx, false);
    }
    return sum / (double)n;
}
