/* SPDX-License-Identifier: Apache-2.0
 *
 * Making a trainer: its options checked, its memory planned and taken once, the parameters at their
 * start. Nothing is allocated afterwards.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/finetune/attention_back.h"
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
                                     .distill_rate = 5e-3f,
                                     .far_start = true,
                                     .kept = true,
                                     .lengths = true,
                                     .distill = true,
                                     .seed = 1};
}

static float *part(size_t *at, float *memory, size_t floats) {
    float *here = memory ? memory + *at : NULL;
    *at += (floats + 15) / 16 * 16;
    return here;
}

static uint32_t *list_part(size_t *at, float *memory, size_t numbers) {
    return (uint32_t *)(void *)part(at, memory, numbers);
}

/* Cuts a slot's memory into its parts, or measures it where there is none yet. */
static size_t lay_slot(const struct finetune *f, struct slot *s, float *memory) {
    const size_t L = f->options.length, Q = f->shape.heads * f->shape.head_dim;
    const size_t M = f->shape.kv_heads, chunks = L / f->shape.chunk;
    size_t at = 0;
    s->gradients = part(&at, memory, f->count);
    s->wo = part(&at, memory, f->shape.width * Q);
    s->gram = part(&at, memory, Q * Q);
    s->sums =
        (struct loss_sums *)(void *)part(&at, memory, chunks * sizeof *s->sums / sizeof(float));
    s->trace.lse = part(&at, memory, L * f->shape.heads);
    s->trace.kept = list_part(&at, memory, chunks * M * f->most.keep);
    s->trace.written = list_part(&at, memory, M * L);
    s->trace.written_count = list_part(&at, memory, chunks);
    s->pass.rates = part(&at, memory, L * 2 * M);
    s->pass.gates = part(&at, memory, L * f->shape.heads);
    s->pass.y = part(&at, memory, L * Q);
    const size_t tape = branch_tape_floats(&f->shape, L, finetune_window(f, 0));
    s->pass.tape = part(&at, memory, f->shape.memory_width ? M * tape : 0);
    return at;
}

static bool make_slot(struct finetune *f, struct slot *s, struct error *error) {
    const size_t bytes = lay_slot(f, s, NULL) * sizeof(float);
    struct backend *b = &f->teacher.cpu->base;
    s->memory = aligned_alloc(64, bytes);
    if (!s->memory) {
        return error_set(error, ERROR_NO_SPACE, "no memory for a layer at work, %zu bytes", bytes);
    }
    memset(s->memory, 0, bytes);
    lay_slot(f, s, s->memory);
    s->pass.kernels = f->teacher.cpu->kernels;
    s->pass.shape = &f->shape;
    s->pass.gradients = parameters_bind(&f->shape, s->gradients);
    s->swa = b->ops->buffer_create(
        b, f->options.length * f->shape.heads * f->shape.head_dim * sizeof(float), error);
    return s->swa && teacher_layer_init(&f->teacher, &s->teacher, error);
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
    if (o->width % 16 || o->width > 1u << 14) {
        return error_set(error, ERROR_USAGE,
                         "memory width is %u, expected a multiple of 16 up to 16384, or 0",
                         o->width);
    }
    if (o->width == 0 && !o->distill) {
        return error_set(error, ERROR_USAGE,
                         "without fast weights (memory width 0) there is nothing to learn in "
                         "stage 1; stage 2 trains the gate of merged tokens");
    }
    if (o->length % o->chunk || o->length < 16 * o->chunk || o->length > c->context) {
        return error_set(error, ERROR_USAGE,
                         "sequences of %u tokens, expected a multiple of the chunk, %u, from 16 "
                         "chunks up to the model's context, %u",
                         o->length, o->chunk, c->context);
    }
    return true;
}

/* Layers trained together, and whether the memory for it all is there. */
static bool plan_memory(struct finetune *f, struct error *error) {
    const struct model_config *c = &f->engine->model.config;
    const size_t threads = pool_threads(f->teacher.cpu->pool), M = f->shape.kv_heads;
    const size_t L = f->options.length, Q = f->shape.heads * f->shape.head_dim;
    struct slot measure;
    const size_t slot =
        sizeof(float) * (lay_slot(f, &measure, NULL) + L * Q) + teacher_layer_bytes(c, L);
    size_t fixed = sizeof(float) * (3 * f->layers * f->count + threads * f->scratch_floats) +
                   teacher_bytes(c, L) + window_layout(&f->most).bytes;
    fixed += f->options.distill ? student_bytes(c, L, &f->most, threads) : 0;
    const size_t wanted = (TASKS_PER_THREAD * threads + M - 1) / M, free_now = plan_free_memory();
    f->slot_count = wanted < f->layers ? wanted : f->layers;
    while (f->slot_count > 1 && fixed + f->slot_count * slot > free_now) {
        f->slot_count--;
    }
    f->bytes = fixed + f->slot_count * slot;
    return f->bytes <= free_now ||
           error_set(error, ERROR_NO_SPACE,
                     "training needs %zu MB of memory, but %zu MB are free; shorter sequences "
                     "need less",
                     f->bytes / 1000000, free_now / 1000000);
}

/* The threads' scratch has room for any one of the tasks. */
static void plan_scratch(struct finetune *f) {
    const struct kernels *k = f->teacher.cpu->kernels;
    const size_t tasks[] = {teacher_scratch(&f->teacher), branch_scratch_floats(&f->shape),
                            2 * f->shape.chunk * f->shape.heads * f->shape.head_dim,
                            attention_back_scratch(k, &f->most), merged_pass_scratch(&f->most)};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
        f->scratch_floats = tasks[i] > f->scratch_floats ? tasks[i] : f->scratch_floats;
    }
    f->scratch_floats = (f->scratch_floats + 15) / 16 * 16;
}

static bool make_parameters(struct finetune *f, struct error *error) {
    const size_t all = f->layers * f->count, threads = pool_threads(f->teacher.cpu->pool);
    f->values = calloc(all, sizeof *f->values);
    f->first = calloc(all, sizeof *f->first);
    f->second = calloc(all, sizeof *f->second);
    f->updates = calloc(f->layers, sizeof *f->updates);
    f->errors = calloc(f->layers, sizeof *f->errors);
    f->shares = calloc(f->layers, sizeof *f->shares);
    f->windows = calloc(f->layers, sizeof *f->windows);
    f->slots = calloc(f->slot_count, sizeof *f->slots);
    f->scratch = aligned_alloc(64, threads * f->scratch_floats * sizeof *f->scratch);
    if (!f->values || !f->first || !f->second || !f->updates || !f->errors || !f->shares ||
        !f->windows || !f->slots || !f->scratch) {
        return error_set(error, ERROR_NO_SPACE, "no memory for %zu parameters", all);
    }
    f->teacher.scratch = f->scratch;
    f->teacher.scratch_floats = f->scratch_floats;
    return true;
}

static bool make_student(struct finetune *f, struct error *error) {
    struct student *s = &f->student;
    if (!student_init(s, &f->teacher, &f->shape, &f->most, error)) {
        return false;
    }
    s->work = &f->slots[0].teacher;
    s->pass = &f->slots[0].pass;
    s->state = f->state;
    s->scratch = f->scratch;
    s->scratch_floats = f->scratch_floats;
    return true;
}

static bool make(struct finetune *f, struct error *error) {
    const struct model_config *c = &f->engine->model.config;
    const struct finetune_options *o = &f->options;
    f->layers = c->layers;
    f->stage = o->width ? FINETUNE_TRANSFER : FINETUNE_DISTILL;
    f->shape = (struct branch_shape){.width = c->width,
                                     .heads = c->heads,
                                     .kv_heads = c->kv_heads,
                                     .head_dim = c->head_dim,
                                     .memory_width = o->width,
                                     .chunk = o->chunk,
                                     .sinks = o->sinks};
    f->count = parameters_count(&f->shape);
    if (!check_options(f, error)) {
        return false;
    }
    const size_t window = finetune_window(f, FINETUNE_WINDOWS - 1);
    const struct window_shape mean = window_pass_shape(
        c, window, o->chunk, o->sinks, o->kept ? window : 0, finetune_merge(f, window));
    f->most = window_of_layer(&mean, WINDOW_MAX_SHARE);
    if (!teacher_init(&f->teacher, &f->engine->transformer, o->length, &f->most, error)) {
        return false;
    }
    struct backend *b = &f->teacher.cpu->base;
    f->state = b->ops->buffer_create(b, window_layout(&f->most).bytes, error);
    plan_scratch(f);
    bool ok = f->state && plan_memory(f, error) && make_parameters(f, error);
    for (size_t i = 0; ok && i < f->slot_count; i++) {
        ok = make_slot(f, &f->slots[i], error);
    }
    return ok && (!o->distill || make_student(f, error));
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
        f->shares[l] = 1;
    }
    return f;
}

void finetune_destroy(struct finetune *f) {
    if (!f) {
        return;
    }
    student_finish(&f->student);
    for (size_t i = 0; f->slots && i < f->slot_count; i++) {
        teacher_layer_finish(&f->teacher, &f->slots[i].teacher);
        f->engine->backend->ops->buffer_destroy(f->engine->backend, f->slots[i].swa);
        free(f->slots[i].memory);
    }
    f->engine->backend->ops->buffer_destroy(f->engine->backend, f->state);
    teacher_finish(&f->teacher);
    free(f->slots);
    free(f->values);
    free(f->first);
    free(f->second);
    free(f->updates);
    free(f->errors);
    free(f->shares);
    free(f->windows);
    free(f->scratch);
    free(f);
}
