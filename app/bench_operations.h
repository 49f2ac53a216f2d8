/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the time of a measurement went, by operation, beside what the machine can do.
 */
#pragma once

#include "app/json.h"
#include "engine/engine.h"

struct operations {
    struct engine_work work[ENGINE_OPERATIONS]; /* the longest first */
    double seconds;                             /* of the whole measurement */
};

/* Takes the engine's work; `seconds` passed meanwhile. */
void operations_take(struct operations *o, struct engine *e, double seconds);
/* A table. `limits` is NULL where those of the processor say nothing: on a device. */
void operations_print(const struct operations *o, const struct engine_info *info,
                      const struct engine_limits *limits);
/* A list of the same; NULL when memory runs out. */
json_t *operations_json(const struct operations *o, const struct engine_info *info,
                        const struct engine_limits *limits);
