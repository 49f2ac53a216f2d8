/* SPDX-License-Identifier: Apache-2.0
 *
 * Small random adapters for tests: complete GGUF files for a given base model, the same for the
 * same description on every machine. The parameters are drawn around those that training starts
 * from, with steps large enough for a few blocks to change the fast weights visibly.
 */
#pragma once

#include "engine/base/bytes.h"
#include "engine/model.h"

struct tiny_adapter {
    uint64_t seed;
    uint32_t width, chunk, sinks; /* with width 0 there is a gate of merged tokens alone */
    bool merged_gate;             /* and with it too */
    float step;                   /* raw: the mean of step_b, before softplus */
    float decay;                  /* raw: the mean of decay_b, before the logistic function */
    float gate;   /* the mean of gate_b; -1000 shuts the gate whatever the evidence */
    float uneven; /* shares of the layers: 1 - uneven and 1 + uneven in turn */
};

/* Memory width 32, chunks of 16, 4 sinks; steps of about 0.7, which takes a block half of the way
 * to its values; a twentieth decays with each block; a gate that opens to about a third. */
struct tiny_adapter tiny_adapter_of(void);
/* Appends the file to `out`. */
bool tiny_adapter_build(const struct tiny_adapter *a, const struct model *model, struct bytes *out,
                        struct error *error);
