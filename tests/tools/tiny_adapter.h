/* SPDX-License-Identifier: Apache-2.0
 *
 * Small random adapters for tests: complete GGUF files for a given base model, the same for the
 * same description on every machine. The parameters are drawn around those that training starts
 * from, with step sizes large enough for a few blocks to change the fast weights visibly.
 */
#pragma once

#include "engine/base/bytes.h"
#include "engine/model.h"

struct tiny_adapter {
    uint64_t seed;
    uint32_t width, chunk, sinks;
    float clip;
    float rate;     /* raw step size: the mean of lr_b, before softplus */
    float momentum; /* raw: the mean of mom_b, before the logistic function */
    float gate;     /* the mean of gate_b; -1000 shuts the gate whatever the evidence */
};

/* Memory width 32, chunks of 16, 4 sinks, clip 0.1; steps of about 0.004, which is
 * clipped now and then, momentum about 1/2, a gate
 * that opens to about a third. */
struct tiny_adapter tiny_adapter_of(void);
/* Appends the file to `out`. */
bool tiny_adapter_build(const struct tiny_adapter *a, const struct model *model, struct bytes *out,
                        struct error *error);
