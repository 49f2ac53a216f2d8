/* SPDX-License-Identifier: Apache-2.0
 *
 * A step of stage 2: teacher and student over the sequence, then the layers in the opposite order,
 * each updated as soon as its gradient is there.
 */
#include <math.h>

#include "engine/finetune/adamw.h"
#include "engine/finetune/finetune_private.h"

/* The gate of merged tokens is x . w + b with hundreds of x: steps of w are as much smaller than
 * those of b as lets both move the gate alike. */
static const double SLOW_SUM = 4;

static void bind(struct finetune *f, uint32_t l) {
    f->slots[0].pass.values = parameters_bind(&f->shape, f->values + l * f->count);
}

/* One layer's gradient and its update. */
static bool learn(struct finetune *f, uint32_t l, double rate) {
    const struct adamw a = {f->values + l * f->count,
                            f->first + l * f->count,
                            f->second + l * f->count,
                            f->count,
                            f->updates + l,
                            f->options.width ? 0 : f->shape.heads * f->shape.width,
                            SLOW_SUM / (double)f->shape.width};
    bind(f, l);
    student_back(&f->student, l);
    return adamw_step(&a, f->slots[0].gradients, 1, rate);
}

double finetune_student_loss(struct finetune *f, bool memory, bool back) {
    for (uint32_t l = 0; l < f->layers; l++) {
        bind(f, l);
        student_forward(&f->student, l, memory);
    }
    return student_loss(&f->student, back);
}

struct finetune_result finetune_distill(struct finetune *f, enum finetune_mode mode,
                                        const struct finetune_sequence *s, double rate) {
    struct finetune_result r = {.layers = f->layers};
    finetune_shape_layers(f, s);
    student_begin(&f->student, s->ids, s->length, f->windows);
    r.mean = finetune_student_loss(f, mode != MEASURE_ALONE, mode == TRAIN);
    if (mode == TRAIN && !isfinite(r.mean)) {
        r.skipped = f->layers;
        return r;
    }
    for (size_t l = f->layers; mode == TRAIN && l > 0; l--) {
        r.skipped += !learn(f, (uint32_t)(l - 1), rate);
    }
    return r;
}
