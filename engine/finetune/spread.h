/* SPDX-License-Identifier: Apache-2.0
 *
 * How many tokens each layer should have, kept and merged ones, when all together have so many.
 * Layers go by groups, in order. Of each group three figures are known: the loss when it has
 * SPREAD_FEW times the mean, the mean, and SPREAD_MANY times the mean, while the others have the
 * mean. Between those the loss is taken to be linear in the logarithm of the share, and groups'
 * losses to add up.
 */
#pragma once

#include <stddef.h>

enum { SPREAD_GROUPS = 10 }; /* at most one per layer */
static const float SPREAD_FEW = 0.25f, SPREAD_MANY = 2;

struct spread {
    double mean;                                    /* loss where all have the mean */
    double few[SPREAD_GROUPS], many[SPREAD_GROUPS]; /* where this group does not */
};

size_t spread_groups(size_t layers);
/* The group that a layer is of. */
size_t spread_group(size_t layers, size_t layer);
/* A layer's share of the mean, from SPREAD_FEW to SPREAD_MANY. The mean of all is 1, or less where
 * few groups are worth anything; all are 1 where none is. */
float spread_share(const struct spread *s, size_t layers, size_t layer);
