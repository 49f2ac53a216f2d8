/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary position embedding: a pair of values of a head is turned by position * frequency.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/model.h"

struct rope {
    bool interleaved;
    uint32_t dims;     /* values of a head that turn */
    double *frequency; /* [dims/2], radians per position; owned */
    float magnitude;   /* YaRN lengthens queries and keys by this; put into the attention's scale */
};

bool rope_init(struct rope *r, const struct rope_config *config, struct error *error);
void rope_finish(struct rope *r);

/* row[0..dims/2) = cosines, row[dims/2..dims) = sines of the turn at `position`. The angle is
 * reduced in double precision, so that a position of a million is as exact as the first. */
void rope_row(const struct rope *r, uint64_t position, float *row);
/* The mean of the rows of [from, to): a turn that also shrinks, the more so the faster a pair
 * turns. Turning back by it is being at all of these distances at once. */
void rope_mean_row(const struct rope *r, uint64_t from, uint64_t to, float *row);
/* Turns one head x[0..head_dim) in place by a row, forwards or back. */
void rope_turn(const struct rope *r, const float *row, bool back, float *x);
