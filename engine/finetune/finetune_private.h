/* SPDX-License-Identifier: Apache-2.0
 *
 * What finetune.c and finetune_files.c share.
 */
#pragma once

#include "engine/finetune/branch.h"
#include "engine/finetune/finetune.h"
#include "engine/finetune/loss.h"
#include "engine/finetune/teacher.h"
#include "engine/session_private.h"

/* A layer at work: what the teacher gave, and the branch over it. */
struct slot {
    struct teacher_layer teacher;
    struct branch_pass pass;
    float *memory;          /* everything below, and the pass's own arrays */
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
    struct teacher teacher;
    size_t layers, count;           /* parameters of a layer */
    float *values, *first, *second; /* [layers][count]: parameters and their moments */
    uint32_t *updates;              /* [layers] */
    float *errors;                  /* [layers] */
    uint64_t steps, skipped;

    uint32_t *written, *written_count; /* as in branch_pass, for the window of the step */

    struct slot *slots; /* layers that are worked on together */
    size_t slot_count;
    float *scratch; /* [threads][scratch_floats] */
    size_t scratch_floats;
};
