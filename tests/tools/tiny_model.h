/* SPDX-License-Identifier: Apache-2.0
 *
 * Small random models for tests: complete GGUF files, built in memory, the same for the same
 * description on every machine.
 *
 * The vocabulary is byte-level BPE: tokens 0..255 are the bytes, then one token per merge, then the
 * control tokens <|endoftext|>, <|im_start|>, <|im_end|>.
 */
#pragma once

#include "engine/base/bytes.h"
#include "engine/gguf_write.h"
#include "engine/model.h"

struct tiny_model {
    const char *architecture; /* "llama", "qwen2", "qwen3" */
    uint64_t seed;
    uint32_t layers, width, heads, kv_heads, head_dim, ffn_width, context;
    /* Of the matrices. width, ffn_width and heads * head_dim must be multiples of its block (32, or
     * 256 for the _K types). */
    enum quant_type type;
    bool expand; /* the values of `type`, written as F32: the same model without quantisation */
    bool tied;   /* no output.weight */
    bool biases; /* of q, k and v; qwen2 always has them */
    enum rope_scaling scaling;
    float rope_factor; /* used unless scaling is ROPE_PLAIN */
    bool frequencies;  /* has rope_freqs.weight */
};

enum {
    TINY_MERGES = 40,
    TINY_ENDOFTEXT = 256 + TINY_MERGES,
    TINY_IM_START,
    TINY_IM_END,
    TINY_VOCABULARY,
};

/* F32, tied, 2 layers, width 64, 4 heads of 16, 2 kv heads, ffn 128, context 512. */
struct tiny_model tiny_model_of(const char *architecture);
/* Appends the file to `out`. False with an error when a size does not fit the type's block. */
bool tiny_model_build(const struct tiny_model *t, struct bytes *out, struct error *error);

/* A model that is built, parsed and bound; all parts are owned. */
struct tiny_loaded {
    struct bytes file;
    struct gguf g;
    struct model m;
};
bool tiny_model_load(const struct tiny_model *t, struct tiny_loaded *l, struct error *error);
void tiny_model_unload(struct tiny_loaded *l); /* accepts a zeroed struct */

/* Adds the pairs of `g` but the one named `drop` (unless NULL), and its tensors, in the opposite
 * order if `backwards`, to what is in `w` already; appends the file to `out` and finishes `w`. */
bool tiny_model_rewrite(const struct gguf *g, const char *drop, bool backwards,
                        struct gguf_writer *w, struct bytes *out);
