/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the trainer share.
 */
#pragma once

#include "engine/finetune/branch.h"
#include "engine/finetune/finetune.h"
#include "engine/finetune/loss.h"
#include "engine/finetune/spread.h"
#include "engine/finetune/student.h"
#include "engine/finetune/teacher.h"
#include "engine/finetune/window_pass.h"
#include "engine/session_private.h"

/* A layer at work: what the teacher gave, and the branch over it. */
struct slot {
    struct teacher_layer teacher;
    struct buffer *swa; /* [L][H*e]: sinks, kept tokens and window */
    struct window_trace trace;
    struct branch_pass pass;
    float *memory;          /* everything below, the trace and the pass's own arrays */
    float *gradients;       /* [count] */
    float *wo, *gram;       /* [d][H*e], [H*e][H*e] */
    struct loss_sums *sums; /* [L / C], of each block of rows */
    double error;           /* of this sequence */
    bool skipped;
};

struct finetune {
    struct engine *engine;
    struct finetune_options options;
    struct branch_shape shape;
    struct window_shape most; /* the largest window and B of a layer */
    struct teacher teacher;
    size_t layers, count;           /* parameters of a layer */
    float *values, *first, *second; /* [layers][count]: parameters and their moments */
    uint32_t *updates;              /* [layers] */
    float *errors;                  /* [layers] */
    float *shares;                  /* [layers], of the kept and merged tokens */
    struct window_shape *windows;   /* [layers], of the present sequence */
    uint8_t from[HASH_BYTES];       /* of the adapter that it started from, zeroes without one */
    enum finetune_stage stage;
    uint64_t steps, stage_steps, skipped;
    struct spread spread; /* sums over the sequences that were tried */

    struct buffer *state; /* of the window that is being run */
    struct slot *slots;   /* layers that are worked on together; stage 2 works on the first */
    size_t slot_count;
    struct student student; /* zeroed without stage 2 */
    float *scratch;         /* [threads][scratch_floats] */
    size_t scratch_floats, bytes;
};

enum finetune_mode { CALIBRATE, MEASURE, MEASURE_ALONE, TRAIN };

/* finetune_transfer.c: stage 1 over a sequence. `rate` is the learning rate of a training step. */
struct finetune_result finetune_transfer(struct finetune *f, enum finetune_mode mode,
                                         const struct finetune_sequence *s, double rate);
/* finetune_distill.c: stage 2. */
struct finetune_result finetune_distill(struct finetune *f, enum finetune_mode mode,
                                        const struct finetune_sequence *s, double rate);
/* Of a student that was begun: all layers forwards, and the loss. */
double finetune_student_loss(struct finetune *f, bool memory, bool back);

/* G where `many` tokens are to be merged: no more than may be, none with fast weights. */
size_t finetune_merge(const struct finetune *f, size_t many);
/* f->windows for the sequence. */
void finetune_shape_layers(struct finetune *f, const struct finetune_sequence *s);
