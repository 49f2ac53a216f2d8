/* SPDX-License-Identifier: Apache-2.0
 *
 * Metadata and tensors of a GGUF file -> struct model. First the hyper-parameters are read and
 * checked, then every tensor that they imply is looked up by name and its shape compared; what is
 * left over is refused. The order of look-up is fixed: it is that of model.tensors.
 */
#include "engine/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/fingerprint.h"

enum {
    COUNT_MAX = INT32_MAX, /* of any hyper-parameter, so that none wraps an int anywhere */
    LAYERS_MAX = 1024,
};

struct architecture {
    const char *name;
    bool interleaved; /* the file's q and k rows are ordered for pairs (2i, 2i+1) */
    bool biases;      /* q, k and v must have them */
    bool head_norms;  /* q and k must have them */
};

static const struct architecture architectures[] = {
    {"llama", .interleaved = true},
    {"qwen2", .biases = true},
    {"qwen3", .head_norms = true},
};

/* What the functions of a bind share. */
struct binder {
    struct model *m;
    const struct gguf *g;
    const struct architecture *architecture;
    bool *used; /* [g->tensor_count] */
    struct error *error;
};

enum need { REQUIRED, OPTIONAL };

static bool refuse_key(const struct binder *b, const char *key, const char *rule) {
    return error_set(b->error, ERROR_INCOMPATIBLE, "key \"%s.%s\": %s", b->architecture->name, key,
                     rule);
}

enum { KEY_SIZE = 128 };

static const char *full_key(const struct binder *b, const char *suffix, char key[KEY_SIZE]) {
    snprintf(key, KEY_SIZE, "%s.%s", b->architecture->name, suffix);
    return key;
}

static bool has_key(const struct binder *b, const char *suffix) {
    char key[KEY_SIZE];
    return gguf_find(b->g, full_key(b, suffix, key)) != NULL;
}

/* A whole number of 1..max. */
static bool read_count(const struct binder *b, const char *suffix, uint32_t max, uint32_t *value) {
    char key[KEY_SIZE];
    if (!gguf_u32(b->g, full_key(b, suffix, key), value, b->error)) {
        return false;
    }
    return (*value >= 1 && *value <= max) ||
           error_set(b->error, ERROR_INCOMPATIBLE,
                     "key \"%s\" is %" PRIu32 ", expected 1 to %" PRIu32, key, *value, max);
}

/* As read_count, where the file need not have the key. */
static bool read_count_or(const struct binder *b, const char *suffix, uint32_t fallback,
                          uint32_t *value) {
    *value = fallback;
    return !has_key(b, suffix) || read_count(b, suffix, COUNT_MAX, value);
}

/* A finite number above zero; the fallback is used where the key is missing. */
static bool read_positive_or(const struct binder *b, const char *suffix, float fallback,
                             float *value) {
    char key[KEY_SIZE];
    if (!gguf_f32_or(b->g, full_key(b, suffix, key), fallback, value, b->error)) {
        return false;
    }
    return (isfinite(*value) && *value > 0) ||
           error_set(b->error, ERROR_INCOMPATIBLE,
                     "key \"%s\" is %g, expected a finite number above 0", key, (double)*value);
}

static bool find_architecture(struct binder *b) {
    struct gguf_text name;
    if (!gguf_text(b->g, "general.architecture", &name, b->error)) {
        return false;
    }
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
        if (gguf_text_is(name, architectures[i].name)) {
            b->architecture = &architectures[i];
            return true;
        }
    }
    return error_set(b->error, ERROR_INCOMPATIBLE,
                     "key \"general.architecture\" is \"%.*s\", expected llama, qwen2 or qwen3",
                     (int)(name.size < 64 ? name.size : 64), name.data);
}

static bool refuse_parts(const struct binder *b) {
    uint32_t count, number;
    if (!gguf_u32_or(b->g, "split.count", 1, &count, b->error) ||
        !gguf_u32_or(b->g, "split.no", 0, &number, b->error)) {
        return false;
    }
    return count <= 1 || error_set(b->error, ERROR_INCOMPATIBLE,
                                   "key \"split.count\": this is part %" PRIu64 " of %" PRIu32
                                   " of a model, and the other %" PRIu32
                                   " parts are missing; expected a model in one file",
                                   (uint64_t)number + 1, count, count - 1);
}

/* Heads and their sizes. */
static bool read_attention(const struct binder *b) {
    struct model_config *c = &b->m->config;
    if (!read_count(b, "attention.head_count", COUNT_MAX, &c->heads) ||
        !read_count_or(b, "attention.head_count_kv", c->heads, &c->kv_heads)) {
        return false;
    }
    if (c->heads % c->kv_heads) {
        return error_set(b->error, ERROR_INCOMPATIBLE,
                         "key \"%s.attention.head_count\" is %" PRIu32
                         ", expected a multiple of attention.head_count_kv, %" PRIu32,
                         c->architecture, c->heads, c->kv_heads);
    }
    if (!has_key(b, "attention.key_length") && c->width % c->heads) {
        return error_set(b->error, ERROR_INCOMPATIBLE,
                         "key \"%s.embedding_length\" is %" PRIu32
                         ", expected a multiple of attention.head_count, %" PRIu32,
                         c->architecture, c->width, c->heads);
    }
    uint32_t value_length;
    if (!read_count_or(b, "attention.key_length", c->width / c->heads, &c->head_dim) ||
        !read_count_or(b, "attention.value_length", c->head_dim, &value_length)) {
        return false;
    }
    if (c->head_dim > MODEL_MAX_HEAD) {
        return error_set(b->error, ERROR_INCOMPATIBLE,
                         "key \"%s.attention.key_length\": heads are %" PRIu32
                         " wide, expected 1 to %d",
                         c->architecture, c->head_dim, MODEL_MAX_HEAD);
    }
    return value_length == c->head_dim || error_set(b->error, ERROR_INCOMPATIBLE,
                                                    "key \"%s.attention.value_length\" is %" PRIu32
                                                    ", expected attention.key_length, %" PRIu32,
                                                    c->architecture, value_length, c->head_dim);
}

/* Without a type a factor means linear scaling, as it did before the type was invented. */
static bool read_rope_scaling(const struct binder *b) {
    static const char type_key[] = "rope.scaling.type", factor_key[] = "rope.scaling.factor";
    struct model_config *c = &b->m->config;
    struct rope_config *rope = &c->rope;
    char key[KEY_SIZE];
    struct gguf_text type = {"none", 4};
    if (has_key(b, type_key)) {
        if (!gguf_text(b->g, full_key(b, type_key, key), &type, b->error)) {
            return false;
        }
    } else if (has_key(b, factor_key)) {
        type = (struct gguf_text){"linear", 6};
    }
    if (gguf_text_is(type, "none")) {
        return true;
    }
    if (gguf_text_is(type, "linear")) {
        rope->scaling = ROPE_LINEAR;
    } else if (gguf_text_is(type, "yarn")) {
        rope->scaling = ROPE_YARN;
    } else {
        return error_set(b->error, ERROR_INCOMPATIBLE,
                         "key \"%s.%s\" is \"%.*s\", expected none, linear or yarn",
                         c->architecture, type_key, (int)(type.size < 64 ? type.size : 64),
                         type.data);
    }
    return read_positive_or(b, factor_key, 1, &rope->factor) &&
           read_count_or(b, "rope.scaling.original_context_length", c->context,
                         &rope->original_context) &&
           read_positive_or(b, "rope.scaling.attn_factor", 1, &rope->yarn_attn_factor) &&
           read_positive_or(b, "rope.scaling.yarn_beta_fast", 32, &rope->yarn_beta_fast) &&
           read_positive_or(b, "rope.scaling.yarn_beta_slow", 1, &rope->yarn_beta_slow);
}

static bool read_rope(const struct binder *b) {
    struct model_config *c = &b->m->config;
    struct rope_config *rope = &c->rope;
    *rope = (struct rope_config){.interleaved = b->architecture->interleaved,
                                 .scaling = ROPE_PLAIN,
                                 .factor = 1,
                                 .original_context = c->context,
                                 .yarn_beta_fast = 32,
                                 .yarn_beta_slow = 1,
                                 .yarn_attn_factor = 1};
    if (!read_count_or(b, "rope.dimension_count", c->head_dim, &rope->dims) ||
        !read_positive_or(b, "rope.freq_base", 10000, &rope->base)) {
        return false;
    }
    if (rope->dims % 2 || rope->dims > c->head_dim) {
        return error_set(b->error, ERROR_INCOMPATIBLE,
                         "key \"%s.rope.dimension_count\" is %" PRIu32
                         ", expected an even number up to the size of a head, %" PRIu32,
                         c->architecture, rope->dims, c->head_dim);
    }
    return read_rope_scaling(b);
}

static bool read_config(const struct binder *b) {
    struct model_config *c = &b->m->config;
    uint32_t experts = 0;
    char key[KEY_SIZE];
    c->architecture = b->architecture->name;
    c->name = (struct gguf_text){"", 0};
    if (gguf_find(b->g, "general.name") && !gguf_text(b->g, "general.name", &c->name, b->error)) {
        return false;
    }
    if (!gguf_u32_or(b->g, full_key(b, "expert_count", key), 0, &experts, b->error)) {
        return false;
    }
    if (experts) {
        return refuse_key(b, "expert_count", "a mixture of experts is not supported");
    }
    if (!has_key(b, "attention.layer_norm_rms_epsilon")) {
        return refuse_key(b, "attention.layer_norm_rms_epsilon", "is missing");
    }
    return read_count(b, "block_count", LAYERS_MAX, &c->layers) &&
           read_count(b, "embedding_length", COUNT_MAX, &c->width) &&
           read_count(b, "feed_forward_length", COUNT_MAX, &c->ffn_width) &&
           read_count(b, "context_length", COUNT_MAX, &c->context) &&
           read_positive_or(b, "attention.layer_norm_rms_epsilon", 0, &c->norm_eps) &&
           read_attention(b) && read_rope(b);
}

/* Adds a tensor to those of the model. A vector (rows == 0) must be F32. */
static bool bind(const struct binder *b, const char *name, enum need need, uint64_t rows,
                 uint64_t columns, const struct gguf_tensor **out) {
    const struct gguf_tensor *t = gguf_find_tensor(b->g, name);
    if (!t) {
        return need == OPTIONAL ||
               error_set(b->error, ERROR_INCOMPATIBLE, "tensor \"%s\" is missing", name);
    }
    if (t->ne[0] != columns || t->ne[1] != (rows ? rows : 1) || t->ne[2] != 1 || t->ne[3] != 1) {
        return error_set(b->error, ERROR_INCOMPATIBLE,
                         "tensor \"%s\" has shape %" PRIu64 " x %" PRIu64 " x %" PRIu64
                         " x %" PRIu64 ", expected %" PRIu64 " x %" PRIu64,
                         name, t->ne[0], t->ne[1], t->ne[2], t->ne[3], columns, rows ? rows : 1);
    }
    if (!rows && t->type != QUANT_F32) {
        return error_set(b->error, ERROR_INCOMPATIBLE, "tensor \"%s\" has type %s, expected F32",
                         name, quant_name(t->type));
    }
    *out = t;
    b->used[t - b->g->tensors] = true;
    b->m->tensors[b->m->tensor_count++] = t;
    return true;
}

static bool bind_layer(const struct binder *b, uint32_t index) {
    struct model_layer *l = &b->m->layers[index];
    const struct model_config *c = &b->m->config;
    const uint64_t d = c->width, ffn = c->ffn_width, e = c->head_dim;
    const uint64_t q = c->heads * e, kv = c->kv_heads * e;
    const enum need bias = b->architecture->biases ? REQUIRED : OPTIONAL;
    const struct {
        const char *name;
        const struct gguf_tensor **out;
        uint64_t rows, columns; /* no rows: a vector */
        enum need need;
    } tensors[] = {
        {"attn_norm.weight", &l->attn_norm, 0, d, REQUIRED},
        {"attn_q.weight", &l->q, q, d, REQUIRED},
        {"attn_k.weight", &l->k, kv, d, REQUIRED},
        {"attn_v.weight", &l->v, kv, d, REQUIRED},
        {"attn_q.bias", &l->q_bias, 0, q, bias},
        {"attn_k.bias", &l->k_bias, 0, kv, bias},
        {"attn_v.bias", &l->v_bias, 0, kv, bias},
        {"attn_output.weight", &l->attn_output, d, q, REQUIRED},
        {"ffn_norm.weight", &l->ffn_norm, 0, d, REQUIRED},
        {"ffn_gate.weight", &l->gate, ffn, d, REQUIRED},
        {"ffn_up.weight", &l->up, ffn, d, REQUIRED},
        {"ffn_down.weight", &l->down, d, ffn, REQUIRED},
        {"attn_q_norm.weight", &l->q_norm, 0, e, REQUIRED},
        {"attn_k_norm.weight", &l->k_norm, 0, e, REQUIRED},
    };
    size_t count = sizeof tensors / sizeof *tensors - (b->architecture->head_norms ? 0 : 2);
    for (size_t i = 0; i < count; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%" PRIu32 ".%s", index, tensors[i].name);
        if (!bind(b, name, tensors[i].need, tensors[i].rows, tensors[i].columns, tensors[i].out)) {
            return false;
        }
    }
    return true;
}

static bool bind_tensors(const struct binder *b) {
    struct model *m = b->m;
    struct model_config *c = &m->config;
    const struct gguf_tensor *embedding = gguf_find_tensor(b->g, "token_embd.weight");
    uint64_t rows = embedding ? embedding->ne[1] : 1;
    if (rows > COUNT_MAX) {
        return error_set(b->error, ERROR_INCOMPATIBLE,
                         "tensor \"token_embd.weight\" has %" PRIu64 " rows, expected at most %d",
                         rows, COUNT_MAX);
    }
    if (!read_count_or(b, "vocab_size", (uint32_t)rows, &c->vocabulary) ||
        !bind(b, "token_embd.weight", REQUIRED, c->vocabulary, c->width, &m->embedding) ||
        !bind(b, "output_norm.weight", REQUIRED, 0, c->width, &m->output_norm) ||
        !bind(b, "output.weight", OPTIONAL, c->vocabulary, c->width, &m->output) ||
        !bind(b, "rope_freqs.weight", OPTIONAL, 0, c->rope.dims / 2, &c->rope.frequencies)) {
        return false;
    }
    m->output = m->output ? m->output : m->embedding;
    for (uint32_t i = 0; i < c->layers; i++) {
        if (!bind_layer(b, i)) {
            return false;
        }
    }
    for (size_t i = 0; i < b->g->tensor_count; i++) {
        if (!b->used[i]) {
            struct gguf_text name = b->g->tensors[i].name;
            return error_set(b->error, ERROR_INCOMPATIBLE,
                             "tensor \"%.*s\" is not one of a %s model of %" PRIu32 " layers",
                             (int)name.size, name.data, c->architecture, c->layers);
        }
    }
    return true;
}

bool model_bind(struct model *m, const struct gguf *g, struct error *error) {
    *m = (struct model){0};
    struct binder b = {.m = m, .g = g, .error = error};
    bool ok = refuse_parts(&b) && find_architecture(&b) && read_config(&b);
    if (ok) {
        b.used = calloc(g->tensor_count + 1, sizeof *b.used);
        m->tensors = calloc(g->tensor_count + 1, sizeof *m->tensors);
        m->layers = calloc(m->config.layers, sizeof *m->layers);
        ok = b.used && m->tensors && m->layers;
        if (!ok) {
            error_set(error, ERROR_NO_SPACE, "out of memory for the directory of a model");
        }
    }
    ok = ok && bind_tensors(&b);
    ok = ok && fingerprint_model(m, g, error);
    free(b.used);
    if (!ok) {
        model_finish(m);
    }
    return ok;
}

void model_finish(struct model *m) {
    free(m->layers);
    free(m->tensors);
    *m = (struct model){0};
}

bool model_check_scales(const struct model *m, struct error *error) {
    enum { VALUES = 256 }; /* a multiple of every block */
    for (size_t i = 0; i < m->tensor_count; i++) {
        const struct gguf_tensor *t = m->tensors[i];
        float values[VALUES];
        size_t count = t->ne[0] < VALUES ? (size_t)t->ne[0] : VALUES;
        quant_row(t->type, t->data, values, count);
        for (size_t k = 0; k < count; k++) {
            if (!isfinite(values[k])) {
                return error_set(error, ERROR_INCOMPATIBLE,
                                 "tensor \"%.*s\": value %zu is %s, expected a finite number: the "
                                 "file is damaged",
                                 (int)t->name.size, t->name.data, k,
                                 isnan(values[k]) ? "not a number" : "infinite");
            }
        }
    }
    return true;
}
