/* SPDX-License-Identifier: Apache-2.0
 *
 * What a branch's parameters are before training.
 */
#pragma once

#include "engine/finetune/parameters.h"
#include "engine/rope.h"

/* The distances between a query and what it reads in the memory, for the far start. */
struct far_distances {
    size_t from, to; /* positions; 0, 0: maps and evidence features start at identity */
};

/* The gate of merged tokens is 0: nothing. Of fast weights: random features, an empty memory, steps
 * of 0.2, next to no decay; gates and alpha are branch_fit's to set. With `far`, q_map and ev_q
 * turn a query by the average rotation over the distances, shared with k_map and ev_k by the root
 * of its magnitude: the average keeps slow frequencies and cancels fast ones, so that a
 * position-free memory compares queries and keys as attention does from far away. */
void start_values(const struct branch_shape *s, const struct rope *rope, struct far_distances far,
                  uint64_t seed, const struct branch_values *v);

/* splitmix64, and a number of it in [0, 1). */
uint64_t random_next(uint64_t *state);
double random_unit(uint64_t *state);
