/* SPDX-License-Identifier: Apache-2.0
 *
 * The choice of the kernel set, once per call and without state: by name from the environment, or
 * the last of the table that runs here.
 */
#include "engine/cpu/kernels.h"

#include <stdlib.h>
#include <string.h>

#include "engine/cpu/kernels_sets.h"

/* Slowest first. */
static const struct kernels *const sets[] = {
    &kernels_reference,
#ifdef __x86_64__
    &kernels_avx2,
    &kernels_avxvnni,
    &kernels_avx512,
    &kernels_avx512bf16,
#endif
    NULL,
};

const struct kernels *const *kernels_all(void) {
    return sets;
}

const struct kernels *kernels_choose(void) {
    const char *wanted = getenv("ALLMEM_KERNELS");
    const struct kernels *fastest = sets[0];
    for (size_t i = 0; sets[i]; i++) {
        if (!sets[i]->runs_here()) {
            continue;
        }
        if (wanted && strcmp(wanted, sets[i]->name) == 0) {
            return sets[i];
        }
        fastest = sets[i];
    }
    return fastest;
}
