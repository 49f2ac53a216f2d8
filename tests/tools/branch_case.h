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
    size_t keep;       /* tokens that are kept beside the window, chosen by drawn scores */
    float step, decay; /* raw: means of step_b and decay_b */
    uint64_t seed;
};

/* What the loss is differentiated with respect to: the parameters, as in parameters_table, then
 * what the base brings. */
enum { BRANCH_INPUTS = 6, BRANCH_VARIABLES = PARAMETERS + BRANCH_INPUTS };
struct branch_variable {
    const char *name;
    size_t offset, count; /* in `variables` */
};
/* Fills the table and returns the floats of all variables. */
size_t branch_variables(const struct branch_case *c, struct branch_variable out[BRANCH_VARIABLES]);

/* A pass with all its memory, and what the loss needs. Parameters' gradients start at NaN, so that
 * one that nobody writes shows; those of inputs, which are added to, at 0. Owned; NULL when memory
 * runs out. */
struct branch_problem {
    struct branch_pass pass;
    float *full;                  /* [L][H*e] */
    float *wo;                    /* [d][H*e] */
    float *variables, *gradients; /* [count] */
    size_t count;
    uint32_t *written, *written_count;
    float *scratch, *gram;
    float *memory; /* all of the above */
};

struct branch_problem *branch_problem_create(const struct branch_case *c,
                                             const struct kernels *kernels);
void branch_problem_destroy(struct branch_problem *p);

/* Runs all heads forward; pass.y is the output. */
void branch_problem_forward(struct branch_problem *p);
/* After forward: the loss, sum |Wo (y - full)|^2 over positions from W on, divided by what it is
 * for y = SWA, and its gradient at all variables; the divisor counts as a constant. */
double branch_problem_back(struct branch_problem *p);
