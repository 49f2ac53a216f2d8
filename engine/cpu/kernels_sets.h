/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel sets by name, for kernels.c; the build decides which of them exist.
 */
#pragma once

#include "engine/cpu/kernels.h"

extern const struct kernels kernels_reference;
/* x86-64 only */
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avxvnni;
extern const struct kernels kernels_avx512;
extern const struct kernels kernels_avx512bf16;
