/* SPDX-License-Identifier: Apache-2.0
 *
 * The loss of a memory branch in double precision, token by token and sum by sum: slow, without the
 * engine's kernels, for finite differences.
 */
#pragma once

#include "tests/tools/branch_case.h"

/* At `variables`, in the order of branch_variables. y is [L][H*e] or NULL. NAN when memory runs
 * out.
 */
double branch_exact_loss(const struct branch_problem *b, const double *variables, double *y);
