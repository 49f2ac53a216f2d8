/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel sets by name, for kernels.c; which of them exist is the build's choice.
 */
#pragma once

#include "engine/cpu/kernels.h"

extern const struct kernels kernels_reference;
extern const struct kernels kernels_avx2;   /* built for x86-64 only */
extern const struct kernels kernels_avx512; /* built for x86-64 only */
