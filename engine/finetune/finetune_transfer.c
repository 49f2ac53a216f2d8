/* SPDX-License-Identifier: Apache-2.0
 *
 * A step of stage 1: the teacher runs a group of layers, then the branches of the group are trained
 * side by side. Groups are just large enough to keep all threads busy with one memory head each.
 */
#include <math.h>

#include "engine/finetune/adamw.h"
#include "engine/finetune/calibrate.h"
#include "engine/finetune/finetune_private.h"

struct job {
    struct finetune *f;
    enum finetune_mode mode;
    uint32_t layer; /* of the first slot */
    size_t slots, length;
    size_t first; /* what comes before is as full attention gives it, in every layer */
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
    const size_t C = j->f->shape.chunk, chunks = j->length / C;
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
    const size_t C = j->f->shape.chunk, chunks = (j->length - j->first) / C;
    const size_t n = j->f->shape.heads * j->f->shape.head_dim, chunk = index % chunks;
    const size_t at = (j->first + chunk * C) * n;
    struct slot *s = &j->f->slots[index / chunks];
    s->sums[chunk] =
        loss_rows(j->f->teacher.cpu->kernels, s->gram, n, C, s->pass.y + at,
                  s->teacher.attention->data + at, s->swa->data + at, scratch_of(j->f, thread));
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
    for (size_t i = 0; i < (j->length - j->first) / f->shape.chunk; i++) {
        error += s->sums[i].error;
        base += s->sums[i].base;
    }
    s->error = error / base;
    s->skipped = false;
    if (j->mode == TRAIN) {
        const struct adamw a = {f->values + layer * f->count,
                                f->first + layer * f->count,
                                f->second + layer * f->count,
                                f->count,
                                f->updates + layer,
                                0,
                                0};
        branch_project_back(&s->pass);
        s->skipped = !isfinite(s->error) || !adamw_step(&a, s->gradients, 2 / base, j->rate);
    }
}

/* Runs the layers at work, fully and through the window. */
static void bind_slots(struct job *j) {
    struct finetune *f = j->f;
    for (size_t i = 0; i < j->slots; i++) {
        struct slot *s = &f->slots[i];
        const struct teacher_layer *t = &s->teacher;
        teacher_run(&f->teacher, j->layer + (uint32_t)i, t);
        window_pass_run(f->teacher.cpu, &f->windows[j->layer + i], j->length, f->state, t->q, t->k,
                        t->v, NULL, s->swa, &s->trace);
        s->pass.length = j->length;
        s->pass.window = f->windows->window;
        s->pass.values = parameters_bind(&f->shape, f->values + (j->layer + i) * f->count);
        s->pass.inputs = (struct branch_inputs){0};
        s->pass.x = t->x->data;
        s->pass.q = t->q->data;
        s->pass.k = t->k->data;
        s->pass.v = t->v->data;
        s->pass.swa = s->swa->data;
        s->pass.lse = s->trace.lse;
        s->pass.written = s->trace.written;
        s->pass.written_count = s->trace.written_count;
    }
}

static void calibrate_slot_head(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct job *j = context;
    const size_t H = j->f->shape.heads;
    calibrate_head(&j->f->slots[index / H].pass, index % H);
}

static void fit_head(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct job *j = context;
    const size_t H = j->f->shape.heads;
    const struct slot *s = &j->f->slots[index / H];
    branch_fit(&s->pass, index % H, s->teacher.attention->data);
}

static void run_group(struct job *j) {
    struct finetune *f = j->f;
    struct pool *pool = f->teacher.cpu->pool;
    const size_t chunks = j->length / f->shape.chunk, M = f->shape.kv_heads;
    bind_slots(j);
    if (j->mode == CALIBRATE) {
        for (size_t i = 0; i < j->slots; i++) {
            calibrate_values(&f->slots[i].pass);
        }
        pool_run(pool, j->slots * f->shape.heads, calibrate_slot_head, j);
    }
    pool_run(pool, j->slots * chunks, project_chunk, j);
    pool_run(pool, j->slots * M, forward_head, j);
    if (j->mode == CALIBRATE) {
        pool_run(pool, j->slots * f->shape.heads, fit_head, j);
        return;
    }
    pool_run(pool, j->slots, expand_output, j);
    pool_run(pool, j->slots * f->shape.heads, gram_rows, j);
    pool_run(pool, j->slots * ((j->length - j->first) / f->shape.chunk), lose_chunk, j);
    if (j->mode == TRAIN) {
        pool_run(pool, j->slots * M, back_head, j);
    }
    pool_run(pool, j->slots, finish_layer, j);
}

struct finetune_result finetune_transfer(struct finetune *f, enum finetune_mode mode,
                                         const struct finetune_sequence *s, double rate) {
    struct finetune_result r = {.errors = f->errors, .layers = f->layers};
    struct job j = {.f = f, .mode = mode, .length = s->length, .rate = rate};
    struct backend *b = &f->teacher.cpu->base;
    finetune_shape_layers(f, s);
    j.first = window_pass_first_of(f->windows, f->layers, s->length);
    teacher_begin(&f->teacher, s->ids, s->length);
    b->ops->positions(b, &f->engine->transformer.rope, f->windows, 0, s->length);
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
