/* SPDX-License-Identifier: Apache-2.0
 *
 * Logits -> the next token. The same seed and logits give the same token on every machine.
 */
#pragma once

#include "engine/tokenizer.h"

struct sampler_options {
    float temperature; /* 0: the most likely token; the rest is then unused */
    uint32_t top_k;    /* only the k most likely; 0: all */
    float top_p;       /* the fewest tokens that together have this probability; 1: all */
    float min_p;       /* at least this share of the most likely token's probability; 0: all */
    /* The logits of tokens that this sampler chose among its last SAMPLER_MEMORY are moved towards
     * the unlikely by this factor (Keskar et al. 2019), so that a small model does not go round in
     * a circle. 1: off, as is 0. Tokens of the prompt are not touched: names in it may be said. */
    float repeat_penalty;
    uint64_t seed;
};
enum { SAMPLER_MEMORY = 64 };

struct sampler;

/* `vocabulary`: logits that it will be given. NULL when memory runs out, or (ERROR_USAGE) when an
 * option is not a number in its range. */
struct sampler *sampler_create(const struct sampler_options *options, size_t vocabulary,
                               struct error *error);
void sampler_destroy(struct sampler *s); /* accepts NULL */
/* TOKEN_NONE if a logit is not finite: nothing may be chosen from such. */
token sampler_next(struct sampler *s, const float *logits);
