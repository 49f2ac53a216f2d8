/* SPDX-License-Identifier: Apache-2.0
 *
 * A device that can compute in place of the processor.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct engine_device {
    char name[256], features[256];
    const char *kind;      /* "discrete GPU" */
    const char *lacks;     /* what we need and it has not, or NULL */
    bool is_gpu;           /* what "auto" takes */
    uint64_t memory, free; /* bytes */
};
