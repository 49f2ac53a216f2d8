/* SPDX-License-Identifier: Apache-2.0
 *
 * One training step: the teacher runs a group of layers, then the branches of the group are trained
 * side by side. Groups are just large enough to keep all threads busy with one memory head each.
 */
#include "engine/finetune/finetune_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/finetune/adamw.h"
#include "engine/finetune/start.h"
#include "engine/plan.h"

static const double WARM_UP = 8;       /* steps */
static const double LEAST_RATE = 0.05; /* share of the highest, at the end */
static const float FIRST_ALPHA = 0.3f; /* of v_scale */
static const float FIRST_LOGIT = -2;   /* of the gates, in the mean: about 0.1 */
static const size_t TASKS_PER_THREAD = 3;

struct finetune_options finetune_defaults(void) {
    return (struct finetune_options){.length = 4096,
                                     .width = 256,
                                     .chunk = SESSION_CHUNK,
                                     .sinks = SESSION_SINKS,
                                     .clip = 0.1f,
                                     .rate = 5e-3f,
                                     .far_start = true,
                                     .seed = 1};
}

size_t finetune_window(const struct finetune *f, size_t i) {
    const size_t share = f->options.length >> (4 - i), C = f->options.chunk;
    return share / C * C;
}

/* ---- one sequence ---- */

enum mode { CALIBRATE, MEASURE, TRAIN };

struct job {
    struct finetune *f;
    enum mode mode;
    uint32_t layer; /* of the first slot */
    size_t slots, window;
    double rate;
};

static const struct gguf_tensor *output_of(const struct job *j, size_t slot) {
    return j->f->engine->model.layers[j->layer + slot].attn_output;
}

static void expand_output(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct job *j = context;
    const struct gguf_tensor *t = output_of(j, index);
    const size_t n = (size_t)t->ne[0], row = quant_row_bytes(t->type, n);
    for (size_t i = 0; i < t->ne[1]; i++) {
        quant_row(t->type, (const char *)t->data + i * row, j->f->slots[index].wo + i * n, n);
    }
}

/* One head's rows of G. */
static void gram_rows(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct job *j = context;
    const struct branch_shape *s = &j->f->shape;
    struct slot *slot = &j->f->slots[index / s->heads];
    loss_gram(j->f->teacher.cpu->kernels, slot->wo, s->width, s->heads * s->head_dim,
              index % s->heads * s->head_dim, s->head_dim, slot->gram);
}

static void project_chunk(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct job *j = context;
    const size_t C = j->f->shape.chunk, chunks = j->f->options.length / C;
    branch_project(&j->f->slots[index / chunks].pass, index % chunks * C, C);
}

static float *scratch_of(const struct finetune *f, size_t thread) {
    return f->scratch + thread * f->scratch_floats;
}

static void forward_head(void *context, size_t index, size_t thread) {
    const struct job *j = context;
    const size_t M = j->f->shape.kv_heads;
    branch_forward(&j->f->slots[index / M].pass, index % M, scratch_of(j->f, thread));
}

static void lose_chunk(void *context, size_t index, size_t thread) {
    const struct job *j = context;
    const size_t C = j->f->shape.chunk, chunks = (j->f->options.length - j->window) / C;
    const size_t n = j->f->shape.heads * j->f->shape.head_dim, chunk = index % chunks;
    const size_t at = (j->window + chunk * C) * n;
    struct slot *s = &j->f->slots[index / chunks];
    s->sums[chunk] =
        loss_rows(j->f->teacher.cpu->kernels, s->gram, n, C, s->pass.y + at,
                  s->teacher.full->data + at, s->teacher.swa->data + at, scratch_of(j->f, thread));
}

static void back_head(void *context, size_t index, size_t thread) {
    const struct job *j = context;
    const size_t M = j->f->shape.kv_heads;
    branch_back(&j->f->slots[index / M].pass, index % M, scratch_of(j->f, thread));
}

/* The layer's error, and in training its update. */
static void finish_layer(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct job *j = context;
    struct finetune *f = j->f;
    struct slot *s = &f->slots[index];
    const size_t layer = j->layer + index;
    double error = 0, base = 1e-6;
    for (size_t i = 0; i < (f->options.length - j->window) / f->shape.chunk; i++) {
        error += s->sums[i].error;
        base += s->sums[i].base;
    }
    s->error = error / base;
    s->skipped = false;
    if (j->mode == TRAIN) {
        const struct adamw a = {f->values + layer * f->count, f->first + layer * f->count,
                                f->second + layer * f->count, f->count, f->updates + layer};
        branch_project_back(&s->pass);
        s->skipped = !isfinite(s->error) || !adamw_step(&a, s->gradients, 2 / base, j->rate);
    }
}

static void bind_slots(struct job *j) {
    struct finetune *f = j->f;
    for (size_t i = 0; i < j->slots; i++) {
        struct slot *s = &f->slots[i];
        s->pass.window = j->window;
        s->pass.values = parameters_bind(&f->shape, f->values + (j->layer + i) * f->count);
        s->pass.x = s->teacher.x->data;
        s->pass.q = s->teacher.q->data;
        s->pass.k = s->teacher.k->data;
        s->pass.v = s->teacher.v->data;
        s->pass.swa = s->teacher.swa->data;
        s->pass.lse = s->teacher.lse->data;
        teacher_run(&f->teacher, j->layer + (uint32_t)i, j->window, &s->teacher);
    }
}

/* Values are written in units of their own size; what the memory says starts at a share of it. */
static void calibrate_values(const struct finetune *f, const struct slot *s) {
    const size_t K = f->shape.kv_heads * f->shape.head_dim, n = f->options.length * K;
    double square = 0;
    for (size_t i = 0; i < n; i++) {
        square += (double)s->pass.v[i] * (double)s->pass.v[i];
    }
    const float scale = (float)sqrt(square / (double)n);
    *s->pass.values.v_scale = scale > 0 ? scale : 1;
    for (size_t i = 0; i < f->shape.heads * f->shape.head_dim; i++) {
        s->pass.values.alpha[i] = FIRST_ALPHA * *s->pass.values.v_scale;
    }
}

static void calibrate_gates(const struct finetune *f, const struct slot *s) {
    for (size_t h = 0; h < f->shape.heads; h++) {
        s->pass.values.gate_b[h] += FIRST_LOGIT - branch_mean_logit(&s->pass, h);
    }
}

static void run_group(struct job *j) {
    struct finetune *f = j->f;
    struct pool *pool = f->teacher.cpu->pool;
    const size_t chunks = f->options.length / f->shape.chunk, M = f->shape.kv_heads;
    bind_slots(j);
    for (size_t i = 0; j->mode == CALIBRATE && i < j->slots; i++) {
        calibrate_values(f, &f->slots[i]);
    }
    pool_run(pool, j->slots * chunks, project_chunk, j);
    pool_run(pool, j->slots * M, forward_head, j);
    for (size_t i = 0; j->mode == CALIBRATE && i < j->slots; i++) {
        calibrate_gates(f, &f->slots[i]);
    }
    if (j->mode == CALIBRATE) {
        return;
    }
    pool_run(pool, j->slots, expand_output, j);
    pool_run(pool, j->slots * f->shape.heads, gram_rows, j);
    pool_run(pool, j->slots * ((f->options.length - j->window) / f->shape.chunk), lose_chunk, j);
    if (j->mode == TRAIN) {
        pool_run(pool, j->slots * M, back_head, j);
    }
    pool_run(pool, j->slots, finish_layer, j);
}

static struct finetune_result run(struct finetune *f, enum mode mode, const token *ids,
                                  size_t window, double rate) {
    struct finetune_result r = {.errors = f->errors, .layers = f->layers};
    struct job j = {.f = f, .mode = mode, .window = window, .rate = rate};
    teacher_begin(&f->teacher, ids);
    for (size_t l = 0; l < f->layers; l += j.slots) {
        j.layer = (uint32_t)l;
        j.slots = f->layers - l < f->slot_count ? f->layers - l : f->slot_count;
        run_group(&j);
        for (size_t i = 0; i < j.slots; i++) {
            f->errors[l + i] = (float)f->slots[i].error;
            r.mean += f->slots[i].error / (double)f->layers;
            r.skipped += f->slots[i].skipped;
        }
    }
    return r;
}

void finetune_calibrate(struct finetune *f, const token *ids, size_t window) {
    run(f, CALIBRATE, ids, window, 0);
}

struct finetune_result finetune_measure(struct finetune *f, const token *ids, size_t window) {
    return run(f, MEASURE, ids, window, 0);
}

/* Warm-up, then a half cosine. */
struct finetune_result finetune_step(struct finetune *f, const token *ids, size_t window,
                                     double progress) {
    const double warm = fmin(1, ((double)f->steps + 1) / WARM_UP);
    const double fall = 0.5 * (1 + cos(M_PI * fmin(1, fmax(0, progress))));
    const double rate = (double)f->options.rate * warm * (LEAST_RATE + (1 - LEAST_RATE) * fall);
    struct finetune_result r = run(f, TRAIN, ids, window, rate);
    f->steps++;
    f->skipped += r.skipped;
    return r;
}

uint64_t finetune_steps(const struct finetune *f) {
    return f->steps;
}

uint64_t finetune_skipped(const struct finetune *f) {
    return f->skipped;
}

size_t finetune_parameters(const struct finetune *f) {
    return f->layers * (f->count - 1); /* v_scale is set, not trained */
}

const float *finetune_values(const struct finetune *f, uint32_t layer) {
    return f->values + layer * f->count;
}

/* ---- making ---- */

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
    s->pass.rates = part(&at, memory, L * 4 * f->shape.kv_heads);
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
                                     .sinks = o->sinks,
                                     .clip = o->clip};
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
    f->slots = calloc(f->slot_count, sizeof *f->slots);
    f->scratch = aligned_alloc(64, threads * f->scratch_floats * sizeof *f->scratch);
    if (!f->values || !f->first || !f->second || !f->updates || !f->errors || !f->slots ||
        !f->scratch) {
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
    free(f->scratch);
    free(f);
}
