/* SPDX-License-Identifier: Apache-2.0
 *
 * Points with counts, merged pair by pair until few enough are left: agglomerative clustering of
 * the kind of Ward (1963), as tokens come in. What a memory head does with the tokens that it
 * cannot keep.
 */
#pragma once

#include "engine/cpu/kernels.h"

/* Room for the points of one head: those merged so far, then the new ones. */
struct merge_points {
    float *points; /* [count][2][width]: key, value */
    float *counts; /* [count], above 0 */
    size_t count, width;
};

/* Merging i and j costs |x_i - x_j|^2 / (1 / sqrt(n_i) + 1 / sqrt(n_j)), where x is the key and,
 * after it, the value in units that give values the variance of keys. Merges the cheapest pair, of
 * equal ones the first, until at most `most` points are left: into their mean by count, their
 * counts' sum, standing where its first was. Counts enter by their roots, so that large groups stay
 * apart no more than they must: measured, with values, against Ward's own costs of keys alone
 * (engine/README.md).
 *
 * In two steps, the first of which can be shared among threads: the costs of pairs of points with
 * rows [from, from + rows), for all rows; then the merging. scratch: merge_scratch(count, width)
 * floats, the same for both, where merge_prepare has been before. */
void merge_prepare(const struct kernels *k, const struct merge_points *p, float *scratch);
void merge_costs(const struct kernels *k, const struct merge_points *p, size_t from, size_t rows,
                 float *scratch);
void merge_until(const struct kernels *k, struct merge_points *p, size_t most, float *scratch);
/* Where each of `count` points went when `after` were left: to[count], places in p->points. */
void merge_groups(size_t count, size_t after, size_t width, float *scratch, uint32_t *to);
size_t merge_scratch(size_t count, size_t width);
