/* SPDX-License-Identifier: Apache-2.0
 *
 * Making a trainer: its options checked, its memory planned and taken once, the parameters at their
 * start. Nothing is allocated afterwards.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/finetune/finetune_private.h"
#include "engine/finetune/start.h"
#include "engine/plan.h"

/* Layers are trained in groups that give each thread about this many memory heads. */
static const size_t TASKS_PER_THREAD = 3;

struct finetune_options finetune_defaults(void) {
    return (struct finetune_options){.length = 4096,
                                     .width = 256,
                                     .chunk = SESSION_CHUNK,
                                     .sinks = SESSION_SINKS,
                                     .rate = 5e-3f,
                                     .far_start = false,
                                     .seed = 1};
}

size_t finetune_window(const struct finetune *f, size_t i) {
    const size_t share = f->options.length >> (4 - i), C = f->options.chunk;
    return share / C * C;
}

static float *part(size_t *at, float *memory, size_t floats) {
    float *here = memory ? memory + *at : NULL;
    *at += (floats + 15) / 16 * 16;
    return here;
}

/* Cuts a slot's memory into its parts, or measures it where there is none yet. */
static size_t lay_slot(const struct finetune *f, struct slot *s, float *memory) {
    const size_t L = f->options.length, Q = f->shape.heads * f->shape.head_dim;
    size_t at = 0;
    s->gradients = part(&at, memory, f->count);
    s->wo = part(&at, memory, f->shape.width * Q);
    s->gram = part(&at, memory, Q * Q);
    s->sums = (struct loss_sums *)(void *)part(
        &at, memory, L / f->shape.chunk * sizeof *s->sums / sizeof(float));
    s->pass.rates = part(&at, memory, L * 2 * f->shape.kv_heads);
    s->pass.gates = part(&at, memory, L * f->shape.heads);
    s->pass.y = part(&at, memory, L * Q);
    s->pass.tape = part(
        &at, memory, f->shape.kv_heads * branch_tape_floats(&f->shape, L, finetune_window(f, 0)));
    return at;
}

static bool make_slot(struct finetune *f, struct slot *s, struct error *error) {
    const size_t bytes = lay_slot(f, s, NULL) * sizeof(float);
    s->memory = aligned_alloc(64, bytes);
    if (!s->memory) {
        return error_set(error, ERROR_NO_SPACE, "no memory for a layer at work, %zu bytes", bytes);
    }
    memset(s->memory, 0, bytes);
    lay_slot(f, s, s->memory);
    s->pass.kernels = f->teacher.cpu->kernels;
    s->pass.shape = &f->shape;
    s->pass.length = f->options.length;
    s->pass.written = f->written;
    s->pass.written_count = f->written_count;
    s->pass.gradients = parameters_bind(&f->shape, s->gradients);
    return teacher_layer_init(&f->teacher, &s->teacher, error);
}

static bool check_options(const struct finetune *f, struct error *error) {
    const struct finetune_options *o = &f->options;
    const struct model_config *c = &f->engine->model.config;
    const struct window_shape shape = {.window = o->chunk, .chunk = o->chunk, .sinks = o->sinks};
    if (strcmp(f->engine->backend->ops->name, "cpu") != 0 || f->engine->adapter.branches) {
        return error_set(error, ERROR_USAGE,
                         "training needs the cpu backend and a model without adapter, found %s%s",
                         f->engine->backend->ops->name,
                         f->engine->adapter.branches ? " with an adapter" : "");
    }
    if (!window_check(&shape, error)) {
        return false;
    }
    if (o->width == 0 || o->width % 16 || o->width > 1u << 14) {
        return error_set(error, ERROR_USAGE,
                         "memory width is %u, expected a multiple of 16 up to 16384", o->width);
    }
    if (o->length % o->chunk || o->length < 16 * o->chunk || o->length > c->context) {
        return error_set(error, ERROR_USAGE,
                         "sequences of %u tokens, expected a multiple of the chunk, %u, from 16 "
                         "chunks up to the model's context, %u",
                         o->length, o->chunk, c->context);
    }
    return true;
}

/* Layers trained together, and whether the memory for it is there. */
static bool plan_slots(struct finetune *f, struct error *error) {
    const size_t threads = pool_threads(f->teacher.cpu->pool), M = f->shape.kv_heads;
    const size_t L = f->options.length, Q = f->shape.heads * f->shape.head_dim;
    struct slot measure;
    const size_t slot =
        sizeof(float) * (lay_slot(f, &measure, NULL) +
                         L * (f->shape.width + 3 * Q + 2 * M * f->shape.head_dim + f->shape.heads));
    const size_t fixed = sizeof(float) * (3 * f->layers * f->count + threads * f->scratch_floats);
    const size_t wanted = (TASKS_PER_THREAD * threads + M - 1) / M, free_now = plan_free_memory();
    f->slot_count = wanted < f->layers ? wanted : f->layers;
    while (f->slot_count > 1 && fixed + f->slot_count * slot > free_now) {
        f->slot_count--;
    }
    return fixed + slot <= free_now ||
           error_set(error, ERROR_NO_SPACE,
                     "training needs %zu MB of memory, but %zu MB are free; shorter sequences "
                     "need less",
                     (fixed + slot) / 1000000, free_now / 1000000);
}

static bool make(struct finetune *f, struct error *error) {
    const struct model_config *c = &f->engine->model.config;
    const struct finetune_options *o = &f->options;
    f->layers = c->layers;
    f->shape = (struct branch_shape){.width = c->width,
                                     .heads = c->heads,
                                     .kv_heads = c->kv_heads,
                                     .head_dim = c->head_dim,
                                     .memory_width = o->width,
                                     .chunk = o->chunk,
                                     .sinks = o->sinks};
    f->count = parameters_count(&f->shape);
    if (!check_options(f, error) ||
        !teacher_init(&f->teacher, &f->engine->transformer, o->length, o->chunk, o->sinks, error)) {
        return false;
    }
    const size_t attention = teacher_scratch(&f->teacher, finetune_window(f, FINETUNE_WINDOWS - 1));
    const size_t branch = branch_scratch_floats(&f->shape),
                 loss = 2 * (size_t)o->chunk * c->heads * c->head_dim;
    f->scratch_floats = attention > branch ? attention : branch;
    f->scratch_floats = ((loss > f->scratch_floats ? loss : f->scratch_floats) + 15) / 16 * 16;
    if (!plan_slots(f, error)) {
        return false;
    }
    const size_t all = f->layers * f->count, threads = pool_threads(f->teacher.cpu->pool);
    f->values = calloc(all, sizeof *f->values);
    f->first = calloc(all, sizeof *f->first);
    f->second = calloc(all, sizeof *f->second);
    f->updates = calloc(f->layers, sizeof *f->updates);
    f->errors = calloc(f->layers, sizeof *f->errors);
    f->written = calloc(f->shape.kv_heads * o->length, sizeof *f->written);
    f->written_count = calloc(o->length / o->chunk, sizeof *f->written_count);
    f->slots = calloc(f->slot_count, sizeof *f->slots);
    f->scratch = aligned_alloc(64, threads * f->scratch_floats * sizeof *f->scratch);
    if (!f->values || !f->first || !f->second || !f->updates || !f->errors || !f->written ||
        !f->written_count || !f->slots || !f->scratch) {
        return error_set(error, ERROR_NO_SPACE, "no memory for %zu parameters", all);
    }
    f->teacher.scratch = f->scratch;
    f->teacher.scratch_floats = f->scratch_floats;
    bool ok = true;
    for (size_t i = 0; ok && i < f->slot_count; i++) {
        ok = make_slot(f, &f->slots[i], error);
    }
    return ok;
}

struct finetune *finetune_create(struct engine *e, const struct finetune_options *options,
                                 struct error *error) {
    struct finetune *f = calloc(1, sizeof *f);
    if (!f) {
        error_set(error, ERROR_NO_SPACE, "no memory for training");
        return NULL;
    }
    f->engine = e;
    f->options = *options;
    if (!make(f, error)) {
        finetune_destroy(f);
        return NULL;
    }
    /* As far as a trained sequence reaches past its windows. */
    const struct far_distances far = {options->far_start ? options->length / 8 : 0,
                                      options->far_start ? options->length / 2 : 0};
    for (size_t l = 0; l < f->layers; l++) {
        const struct branch_values v = parameters_bind(&f->shape, f->values + l * f->count);
        start_values(&f->shape, &e->transformer.rope, far, options->seed * 1000003 + l, &v);
    }
    return f;
}

void finetune_destroy(struct finetune *f) {
    if (!f) {
        return;
    }
    for (size_t i = 0; f->slots && i < f->slot_count; i++) {
        teacher_layer_finish(&f->teacher, &f->slots[i].teacher);
        free(f->slots[i].memory);
    }
    teacher_finish(&f->teacher);
    free(f->slots);
    free(f->values);
    free(f->first);
    free(f->second);
    free(f->updates);
    free(f->errors);
    free(f->written);
    free(f->written_count);
    free(f->scratch);
    free(f);
}
