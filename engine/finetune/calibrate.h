/* SPDX-License-Identifier: Apache-2.0
 *
 * What one sequence says about a layer's sizes. Models differ in them by orders of magnitude: where
 * keys and queries have biases, all keys may nearly agree, and scores be in the hundreds.
 */
#pragma once

#include "engine/finetune/branch.h"

/* Before branch_forward: sets v_scale, so that values are written in units of their own size. */
void calibrate_values(const struct branch_pass *p);

/* Before branch_forward, of parameters that start_values gave: for query head h, and for its memory
 * head where h is the first of its readers,
 *   maps lose the mean direction of what they map, which says nothing that tells tokens apart;
 *   evidence maps are scaled down until the mean square of their products is sqrt(e), so that
 *     exponents are about 1;
 *   gate_lse is divided by the standard deviation of lse, if that is above 1. */
void calibrate_head(const struct branch_pass *p, size_t h);
