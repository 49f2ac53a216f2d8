/* SPDX-License-Identifier: Apache-2.0
 *
 * Random problems for the memory branch: inputs and parameters drawn from one stream of numbers, in
 * an order that tests/golden/finetune.py repeats.
 */
#pragma once

#include "engine/finetune/branch.h"

struct branch_case {
    struct branch_shape shape;
    size_t length, window;
    float rate; /* raw step size: the mean of lr_b */
    uint64_t seed;
};

/* A pass with all its memory, and what the loss needs; gradients start at NaN, so that one that
 * nobody writes shows. Owned; NULL when memory runs out. */
struct branch_problem {
    struct branch_pass pass;
    float *full; /* [L][H*e] */
    float *wo;   /* [d][H*e] */
    float *values, *gradients;
    size_t count; /* parameters */
    float *scratch, *gram;
    float *memory; /* all of the above */
};

struct branch_problem *branch_problem_create(const struct branch_case *c,
                                             const struct kernels *kernels);
void branch_problem_destroy(struct branch_problem *p);

/* Runs all heads forward; pass.y is the output. */
void branch_problem_forward(struct branch_problem *p);
/* After forward: the loss, and its gradients at all parameters. */
double branch_problem_back(struct branch_problem *p);
