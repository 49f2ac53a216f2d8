/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW (Loshchilov and Hutter 2019) without weight decay, for one layer's parameters.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct adamw {
    float *values, *first, *second; /* [n]: parameters and their moments */
    size_t n;
    uint32_t *updates; /* steps taken so far */
    size_t slow;       /* the first so many parameters have a rate of their own: */
    double slow_share; /* this share of the others' */
};

/* One step with gradients g * scale, brought to a norm of at most 1; g is overwritten. False, and
 * nothing done, where they are not finite. */
bool adamw_step(const struct adamw *a, float *g, double scale, double rate);
