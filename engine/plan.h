/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory use, planned before it is taken: what a session needs against what the machine has free.
 */
#pragma once

#include "engine/base/error.h"
#include "engine/window.h"

/* All in bytes. */
struct plan {
    size_t weights;     /* the model file, mapped */
    size_t adapter;     /* its parameters, expanded */
    size_t activations; /* of a pass */
    size_t working;     /* scratch of the backend */
    size_t state;       /* of one session */
};

/* Free memory: MemAvailable, or what the process's cgroup leaves if that is less. SIZE_MAX where
 * the system does not say. */
size_t plan_free_memory(void);

/* Refuses (ERROR_NO_SPACE) a plan larger than `available`, with its numbers and, where a smaller
 * window would fit, that window. `taken` is what is already in use by this process. */
bool plan_check(const struct plan *plan, size_t taken, size_t available,
                const struct window_shape *shape, struct error *error);
