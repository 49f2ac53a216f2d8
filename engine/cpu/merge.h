/* SPDX-License-Identifier: Apache-2.0
 *
 * Points with counts, merged pair by pair until few enough are left: Ward's agglomerative
 * clustering (1963), as tokens come in. What a memory head does with the tokens that it cannot
 * keep.
 */
#pragma once

#include "engine/cpu/kernels.h"

/* Room for the points of one head: those merged so far, then the new ones. Rows of `width`. */
struct merge_points {
    float *keys;   /* [count][width]: what is near each other */
    float *values; /* [count][width]: what is averaged along */
    float *counts; /* [count], at least 1 each */
    size_t count, width;
};

/* Merges the pair whose merging adds least to the sum of squared distances of keys from their mean,
 * n_i n_j / (n_i + n_j) |k_i - k_j|^2, until at most `most` points are left; of equal pairs the
 * first. Keys and values become means by count, counts sums. The order of the points stays, a pair
 * standing where its first was. scratch: merge_scratch(count) floats. */
void merge_until(const struct kernels *k, struct merge_points *p, size_t most, float *scratch);
size_t merge_scratch(size_t count);
