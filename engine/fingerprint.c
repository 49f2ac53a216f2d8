/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes into the fingerprints of a model: numbers as little-endian words, texts with their
 * size, tensors in the order of model.tensors. Nothing depends on where the file keeps things.
 */
#include "engine/fingerprint.h"

#include <string.h>

#include "engine/base/bytes.h"

enum {
    SAMPLES = 16, /* places of a tensor that the file's fingerprint reads, */
    SAMPLE_BYTES = 64,
};

/* Text or array of the metadata, with its size before it; a missing one counts as empty. */
static void hash_pair(struct hash *h, const struct gguf *g, const char *key) {
    const struct gguf_pair *pair = gguf_find(g, key);
    struct bytes b = {0};
    bytes_put_u64(&b, pair ? pair->size : 0);
    hash_add(h, b.data, b.size);
    bytes_finish(&b);
    if (pair) {
        hash_add(h, pair->data, pair->size);
    }
}

static bool hash_config(struct hash *h, const struct model_config *c) {
    const struct rope_config *rope = &c->rope;
    const uint32_t counts[] = {c->layers,
                               c->width,
                               c->heads,
                               c->kv_heads,
                               c->head_dim,
                               c->ffn_width,
                               c->vocabulary,
                               c->context,
                               rope->dims,
                               rope->interleaved,
                               (uint32_t)rope->scaling,
                               rope->original_context};
    const float numbers[] = {c->norm_eps,          rope->base,           rope->factor,
                             rope->yarn_beta_fast, rope->yarn_beta_slow, rope->yarn_attn_factor};
    struct bytes b = {0};
    bytes_put(&b, c->architecture, strlen(c->architecture) + 1);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        bytes_put_u32(&b, counts[i]);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        bytes_put_f32(&b, numbers[i]);
    }
    hash_add(h, b.data, b.size);
    bool ok = !b.failed;
    bytes_finish(&b);
    return ok;
}

static bool is_vector(const struct gguf_tensor *t) {
    return t->ne[1] == 1 && t->type == QUANT_F32;
}

static bool fingerprint_base(struct model *m, const struct gguf *g) {
    struct hash *h = hash_start();
    if (!h) {
        return false;
    }
    bool ok = hash_config(h, &m->config);
    hash_pair(h, g, "tokenizer.ggml.model");
    hash_pair(h, g, "tokenizer.ggml.pre");
    hash_pair(h, g, "tokenizer.ggml.tokens");
    hash_pair(h, g, "tokenizer.ggml.merges");
    for (size_t i = 0; i < m->tensor_count; i++) {
        if (is_vector(m->tensors[i])) {
            hash_add(h, m->tensors[i]->name.data, m->tensors[i]->name.size);
            hash_add(h, m->tensors[i]->data, m->tensors[i]->size);
        }
    }
    hash_finish(h, m->base_fingerprint);
    return ok;
}

static bool fingerprint_file(struct model *m) {
    struct hash *h = hash_start();
    if (!h) {
        return false;
    }
    hash_add(h, m->base_fingerprint, HASH_BYTES);
    for (size_t i = 0; i < m->tensor_count; i++) {
        const struct gguf_tensor *t = m->tensors[i];
        const uint8_t type = (uint8_t)t->type, *data = t->data;
        size_t sample = t->size < SAMPLE_BYTES ? t->size : SAMPLE_BYTES;
        hash_add(h, t->name.data, t->name.size);
        hash_add(h, &type, 1);
        for (size_t k = 0; k < SAMPLES; k++) {
            hash_add(h, data + (t->size - sample) * k / (SAMPLES - 1), sample);
        }
    }
    hash_finish(h, m->file_fingerprint);
    return true;
}

bool fingerprint_model(struct model *m, const struct gguf *g, struct error *error) {
    return (fingerprint_base(m, g) && fingerprint_file(m)) ||
           error_set(error, ERROR_NO_SPACE, "out of memory for the fingerprint of a model");
}
