/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole model with memory branches over a sequence, forwards and back through the frozen base:
 * what stage 2 trains. The base's buffers and code are the teacher's, which runs before.
 *
 *   forward   for each layer: norm, q k v, window attention, branch, output projection, network;
 *             kept per layer: its input, the window's attention and what is kept and written;
 *             without fast weights (memory_width 0) there is no branch, but merged tokens' gate
 *   back      layers in the opposite order; within a layer all else is computed again first
 *
 * Positions before `first` have the teacher's activations, since nothing was forgotten yet: they
 * are copied from its pass, only their keys and values are used, and no gradient goes there.
 */
#pragma once

#include "engine/finetune/branch.h"
#include "engine/finetune/kl.h"
#include "engine/finetune/merged_pass.h"
#include "engine/finetune/teacher.h"
#include "engine/finetune/window_pass.h"

/* What the way forward leaves of a layer for the way back. */
struct student_layer {
    float *x;   /* [L][d]: the residual stream that comes in */
    float *swa; /* [L][H*e] */
    struct window_trace trace;
};

struct student {
    struct teacher *teacher;
    const struct branch_shape *shape;
    struct teacher_layer *work; /* of the layer at work, the caller's as is `pass` */
    struct branch_pass *pass;
    struct buffer *state; /* the window's, the caller's */
    float *scratch;       /* [threads][scratch_floats], the caller's */
    size_t scratch_floats;

    const struct window_shape *windows; /* [layers], of the present sequence, the caller's */
    size_t first;

    struct student_layer *layers;
    struct kl kl;
    struct buffer *teacher_last, *student_last; /* [L][d]: after the last norm */
    float *dx;                                  /* [L][d]: gradient at the residual stream */
    float *d_normed;                            /* [L][d]: at a norm's output */
    float *d_network;                           /* [L][ffn] */
    float *d_swa, *d_q, *d_lse;                 /* [L][H*e], [L][H*e], [L][H] */
    float *d_k, *d_v;                           /* [L][M*e] */
    float *head_dk, *head_dv;                   /* [H][L][e] */
    float *expanded;                            /* [FROZEN_ROWS][widest]: a matrix's rows */
    float *memory;                              /* all of the floats above */
    uint32_t *lists;                            /* all of the layers' lists */
    struct merged_pass merged;                  /* of the layer at work, where tokens are merged */
};

/* For sequences up to the teacher's capacity and windows up to `most`, whose chunk they have. */
bool student_init(struct student *s, struct teacher *teacher, const struct branch_shape *shape,
                  const struct window_shape *most, struct error *error);
void student_finish(struct student *s); /* accepts a zeroed struct */
size_t student_bytes(const struct model_config *c, size_t capacity, const struct window_shape *most,
                     size_t threads);
/* Runs the teacher over ids[0..length) and starts the student on them; windows[layers] differ in B
 * and G alone, and stay as they are until the way back is over. Positions from s->first on can be
 * learnt from; there may be none. */
void student_begin(struct student *s, const int32_t *ids, size_t length,
                   const struct window_shape *windows);
/* Starts the student anew on the same sequence, read through windows that write nothing before
 * s->first. */
void student_again(struct student *s, const int32_t *ids, const struct window_shape *windows);
/* Runs layer l, for l = 0, 1, ... in turn, with pass->values as its parameters; without `memory`
 * window attention alone, merged tokens as they are. */
void student_forward(struct student *s, uint32_t l, bool memory);
/* After the last layer: KL(teacher || student), mean over positions from `first` on. `back` starts
 * the way back. */
double student_loss(struct student *s, bool back);
/* Layer l, for l = layers - 1, ..., 0 in turn: fills pass->gradients. */
void student_back(struct student *s, uint32_t l);
