/* SPDX-License-Identifier: Apache-2.0
 *
 * A pre-trained transformer as a GGUF file holds it: hyper-parameters and weights bound by name,
 * every shape checked against what the hyper-parameters imply. Weights stay in the file's bytes.
 */
#pragma once

#include "engine/base/hash.h"
#include "engine/gguf.h"

/* The widest head, so that a backend may have one on its stack. */
enum { MODEL_MAX_HEAD = 1024 };

enum rope_scaling { ROPE_PLAIN, ROPE_LINEAR, ROPE_YARN };

struct rope_config {
    bool interleaved; /* pairs (2i, 2i+1), as architecture llama; else (i, i + dims/2) */
    uint32_t dims;    /* leading values of a head that are rotated; even */
    float base;       /* theta */
    enum rope_scaling scaling;
    float factor;                          /* context extension; 1 for ROPE_PLAIN */
    uint32_t original_context;             /* trained context before extension; ROPE_YARN */
    float yarn_beta_fast, yarn_beta_slow;  /* 32, 1 unless the file says otherwise */
    float yarn_attn_factor;                /* 1 unless the file says otherwise */
    const struct gguf_tensor *frequencies; /* rope_freqs.weight, F32 [dims/2] divisors, or NULL */
};

struct model_config {
    const char *architecture; /* "llama", "qwen2", "qwen3": a static string */
    struct gguf_text name;    /* general.name, may be empty */
    uint32_t layers;          /* L */
    uint32_t width;           /* d */
    uint32_t heads;           /* H */
    uint32_t kv_heads;        /* M, divides H */
    uint32_t head_dim;        /* e */
    uint32_t ffn_width;
    uint32_t vocabulary; /* rows of token_embd */
    uint32_t context;    /* trained context, tokens */
    float norm_eps;
    struct rope_config rope;
};

/* Weights of a layer. Matrices are (rows = outputs, ne[0] = inputs); vectors are F32. */
struct model_layer {
    const struct gguf_tensor *attn_norm;                /* [d] */
    const struct gguf_tensor *q, *k, *v;                /* (H*e, d), (M*e, d), (M*e, d) */
    const struct gguf_tensor *q_bias, *k_bias, *v_bias; /* or NULL: qwen2 has them */
    const struct gguf_tensor *q_norm, *k_norm;          /* [e], or NULL: qwen3 has them */
    const struct gguf_tensor *attn_output;              /* (d, H*e) */
    const struct gguf_tensor *ffn_norm;                 /* [d] */
    const struct gguf_tensor *gate, *up;                /* (ffn, d) */
    const struct gguf_tensor *down;                     /* (d, ffn) */
};

struct model {
    struct model_config config;
    const struct gguf_tensor *embedding;   /* (vocabulary, d) */
    const struct gguf_tensor *output_norm; /* [d] */
    const struct gguf_tensor *output;      /* (vocabulary, d); the embedding itself where tied */
    struct model_layer *layers;            /* [L], owned */
    /* Every tensor of the model once, in an order that depends on the architecture alone; owned. */
    const struct gguf_tensor **tensors;
    size_t tensor_count;
    /* Of hyper-parameters, vocabulary and vectors (norms, biases): the same for every quantisation
     * of one model, so an adapter fits them all. */
    uint8_t base_fingerprint[HASH_BYTES];
    /* Of the above, the tensor types, and 64 bytes from each of 16 places spread over every tensor:
     * what a saved memory was made with. */
    uint8_t file_fingerprint[HASH_BYTES];
};

/* `g` must outlive the model. Errors are ERROR_INCOMPATIBLE and name key or tensor, found and
 * expected; an unknown architecture is named beside the list of those that are known. A tensor that
 * the architecture does not use is refused too: without it the model would compute something else
 * than its author meant. */
bool model_bind(struct model *m, const struct gguf *g, struct error *error);
void model_finish(struct model *m); /* accepts a zeroed struct */

/* Looks at the first values of every tensor and refuses infinities and NaN: the sign of damaged
 * data, which no size or shape tells. Reads one page or two of each tensor. */
bool model_check_scales(const struct model *m, struct error *error);
