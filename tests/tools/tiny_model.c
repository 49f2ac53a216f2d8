/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights are drawn so that each output of a matrix has about the variance of its inputs. Blocks of
 * quantised types are random bytes with fitting scales, rather than rounded numbers: this reaches
 * every bit of a block and needs no quantiser.
 */
#include "tests/tools/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a block has its 16-bit scale and minimum, and what the values of random blocks are like for
 * a scale of 1: their deviation, and the minimum that makes their mean about zero. */
static const struct block_shape {
    int scale, minimum; /* byte offsets; -1 for none */
    float deviation, centre;
} shapes[QUANT_TYPES] = {
    [QUANT_Q4_0] = {0, -1, 4.6f, 0},   [QUANT_Q4_1] = {0, 2, 4.6f, -7.5f},
    [QUANT_Q5_0] = {0, -1, 9.2f, 0},   [QUANT_Q5_1] = {0, 2, 9.2f, -15.5f},
    [QUANT_Q8_0] = {0, -1, 74, 0},     [QUANT_Q2_K] = {80, 82, 13.9f, 1.5f},
    [QUANT_Q3_K] = {108, -1, 43, 0},   [QUANT_Q4_K] = {0, 2, 258, 7.5f},
    [QUANT_Q5_K] = {0, 2, 527, 15.5f}, [QUANT_Q6_K] = {208, -1, 1366, 0},
};

/* "A B" joins the tokens A and B; a leading space is written as in the vocabulary of GPT-2. */
static const char *const merges[TINY_MERGES] = {
    "\u0120 t",   "\u0120 a",  "h e",           "i n",           "r e",        "o n",
    "\u0120t he", "e r",       "\u0120 s",      "a t",           "\u0120 w",   "\u0120 o",
    "e n",        "\u0120 c",  "i t",           "i s",           "a n",        "o r",
    "e s",        "\u0120 b",  "e d",           "\u0120 f",      "in g",       "\u0120 p",
    "o u",        "\u0120a n", "a l",           "a r",           "\u0120t o",  "\u0120 m",
    "\u0120o f",  "\u0120 in", "\u0120 d",      "\u0120 h",      "\u0120an d", "i c",
    "l e",        "a s",       "\u0120 \u0120", "\u010a \u010a",
};

static const char *const controls[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};

static const char chat_template[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' "
    "}}{% endif %}";

struct maker {
    const struct tiny_model *t;
    struct gguf_writer w;
    uint64_t random;
    bool failed; /* memory ran out, or a size does not fit */
};

/* splitmix64 */
static uint64_t next_random(struct maker *m) {
    uint64_t z = m->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Uniform, mean 0, variance 1. */
static float random_number(struct maker *m) {
    return ((float)(next_random(m) >> 40) * 0x1p-23f - 1) * 1.7320508f;
}

static void put_key_u32(struct maker *m, const char *suffix, uint32_t value) {
    char key[128];
    snprintf(key, sizeof key, "%s.%s", m->t->architecture, suffix);
    gguf_put_u32(&m->w, key, value);
}

static void put_key_f32(struct maker *m, const char *suffix, float value) {
    char key[128];
    snprintf(key, sizeof key, "%s.%s", m->t->architecture, suffix);
    gguf_put_f32(&m->w, key, value);
}

static void put_config(struct maker *m) {
    const struct tiny_model *t = m->t;
    gguf_put_string(&m->w, "general.architecture", t->architecture);
    gguf_put_string(&m->w, "general.name", "tiny");
    put_key_u32(m, "block_count", t->layers);
    put_key_u32(m, "context_length", t->context);
    put_key_u32(m, "embedding_length", t->width);
    put_key_u32(m, "feed_forward_length", t->ffn_width);
    put_key_u32(m, "attention.head_count", t->heads);
    put_key_u32(m, "attention.head_count_kv", t->kv_heads);
    put_key_u32(m, "attention.key_length", t->head_dim);
    put_key_u32(m, "attention.value_length", t->head_dim);
    put_key_f32(m, "attention.layer_norm_rms_epsilon", 1e-5f);
    put_key_u32(m, "rope.dimension_count", t->head_dim);
    put_key_f32(m, "rope.freq_base", 10000);
    if (t->scaling != ROPE_PLAIN) {
        char key[128];
        snprintf(key, sizeof key, "%s.rope.scaling.type", t->architecture);
        gguf_put_string(&m->w, key, t->scaling == ROPE_YARN ? "yarn" : "linear");
        put_key_f32(m, "rope.scaling.factor", t->rope_factor);
        put_key_u32(m, "rope.scaling.original_context_length",
                    (uint32_t)((float)t->context / t->rope_factor));
    }
    put_key_u32(m, "vocab_size", TINY_VOCABULARY);
}

/* The character of byte `b` in the vocabulary of GPT-2, as UTF-8: printable Latin-1 stands for
 * itself, the other bytes follow from U+0100 on. */
static size_t byte_character(int b, char out[2]) {
    int point = 0x100;
    for (int i = 0; i <= b; i++) {
        bool plain = (i >= '!' && i <= '~') || (i >= 0xa1 && i <= 0xac) || i >= 0xae;
        if (i == b && plain) {
            point = b;
        } else if (i < b && !plain) {
            point++;
        }
    }
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    out[0] = (char)(0xc0 | point >> 6);
    out[1] = (char)(0x80 | (point & 0x3f));
    return 2;
}

static void put_vocabulary(struct maker *m) {
    struct gguf_text tokens[TINY_VOCABULARY], pairs[TINY_MERGES];
    char characters[256][2], joined[TINY_MERGES][16];
    int32_t types[TINY_VOCABULARY];
    for (int i = 0; i < 256; i++) {
        tokens[i] = (struct gguf_text){characters[i], byte_character(i, characters[i])};
    }
    for (int i = 0; i < TINY_MERGES; i++) {
        size_t left = strcspn(merges[i], " ");
        snprintf(joined[i], sizeof joined[i], "%.*s%s", (int)left, merges[i], merges[i] + left + 1);
        tokens[256 + i] = (struct gguf_text){joined[i], strlen(joined[i])};
        pairs[i] = (struct gguf_text){merges[i], strlen(merges[i])};
    }
    for (int i = TINY_ENDOFTEXT; i < TINY_VOCABULARY; i++) {
        const char *name = controls[i - TINY_ENDOFTEXT];
        tokens[i] = (struct gguf_text){name, strlen(name)};
    }
    for (int i = 0; i < TINY_VOCABULARY; i++) {
        types[i] = i < TINY_ENDOFTEXT ? 1 : 3; /* normal, control */
    }
    bool llama = strcmp(m->t->architecture, "llama") == 0;
    gguf_put_string(&m->w, "tokenizer.ggml.model", "gpt2");
    gguf_put_string(&m->w, "tokenizer.ggml.pre", llama ? "smollm" : "qwen2");
    gguf_put_strings(&m->w, "tokenizer.ggml.tokens", tokens, TINY_VOCABULARY);
    gguf_put_i32s(&m->w, "tokenizer.ggml.token_type", types, TINY_VOCABULARY);
    gguf_put_strings(&m->w, "tokenizer.ggml.merges", pairs, TINY_MERGES);
    gguf_put_u32(&m->w, "tokenizer.ggml.bos_token_id", llama ? TINY_IM_START : TINY_ENDOFTEXT);
    gguf_put_u32(&m->w, "tokenizer.ggml.eos_token_id", TINY_IM_END);
    gguf_put_u32(&m->w, "tokenizer.ggml.padding_token_id", TINY_ENDOFTEXT);
    gguf_put_bool(&m->w, "tokenizer.ggml.add_bos_token", false);
    gguf_put_string(&m->w, "tokenizer.chat_template", chat_template);
}

/* A vector of numbers around `centre`. */
static void put_vector(struct maker *m, const char *name, size_t n, float centre, float spread) {
    float *values = calloc(n, sizeof *values);
    if (!values) {
        m->failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        values[i] = centre + spread * random_number(m);
    }
    gguf_put_tensor(&m->w, name, QUANT_F32, 1, (const uint64_t[]){n}, values);
    free(values);
}

static void put_le16(uint8_t *at, uint16_t v) {
    at[0] = (uint8_t)v;
    at[1] = (uint8_t)(v >> 8);
}

/* A random block of values with the given deviation. */
static void fill_block(struct maker *m, enum quant_type type, float deviation, uint8_t *block) {
    if (type == QUANT_F32) {
        float v = deviation * random_number(m);
        memcpy(block, &v, sizeof v);
    } else if (type == QUANT_F16) {
        put_le16(block, quant_f16_of(deviation * random_number(m)));
    } else if (type == QUANT_BF16) {
        put_le16(block, quant_bf16_of(deviation * random_number(m)));
    } else {
        const struct block_shape *shape = &shapes[type];
        for (uint32_t i = 0; i < quant_info(type)->block_bytes; i++) {
            block[i] = (uint8_t)next_random(m);
        }
        float scale = deviation / shape->deviation * (1 + 0.3f * random_number(m));
        put_le16(block + shape->scale, quant_f16_of(scale));
        if (shape->minimum >= 0) {
            put_le16(block + shape->minimum, quant_f16_of(scale * shape->centre));
        }
    }
}

static void put_matrix(struct maker *m, const char *name, size_t rows, size_t columns) {
    const enum quant_type type = m->t->type;
    const struct quant_info *info = quant_info(type);
    if (columns % info->block) {
        m->failed = true;
        return;
    }
    size_t row_bytes = quant_row_bytes(type, columns);
    uint8_t *data = calloc(rows, row_bytes);
    float *values = calloc(rows * columns, sizeof *values);
    if (!data || !values) {
        m->failed = true;
        goto out;
    }
    float deviation = 1 / sqrtf((float)columns);
    for (size_t at = 0; at < rows * row_bytes; at += info->block_bytes) {
        fill_block(m, type, deviation, data + at);
    }
    const uint64_t ne[2] = {columns, rows};
    if (m->t->expand) {
        quant_row(type, data, values, rows * columns);
        gguf_put_tensor(&m->w, name, QUANT_F32, 2, ne, values);
    } else {
        gguf_put_tensor(&m->w, name, type, 2, ne, data);
    }
out:
    free(values);
    free(data);
}

static void put_layer(struct maker *m, uint32_t index) {
    const struct tiny_model *t = m->t;
    const size_t d = t->width, e = t->head_dim, q = t->heads * e, kv = t->kv_heads * e;
    const bool biases = t->biases || strcmp(t->architecture, "qwen2") == 0;
    const bool norms = strcmp(t->architecture, "qwen3") == 0;
    const struct {
        const char *name;
        size_t rows, columns; /* no rows: a vector */
        float centre;
        bool present;
    } tensors[] = {
        {"attn_norm.weight", 0, d, 1, true},
        {"attn_q.weight", q, d, 0, true},
        {"attn_k.weight", kv, d, 0, true},
        {"attn_v.weight", kv, d, 0, true},
        {"attn_q.bias", 0, q, 0, biases},
        {"attn_k.bias", 0, kv, 0, biases},
        {"attn_v.bias", 0, kv, 0, biases},
        {"attn_q_norm.weight", 0, e, 1, norms},
        {"attn_k_norm.weight", 0, e, 1, norms},
        {"attn_output.weight", d, q, 0, true},
        {"ffn_norm.weight", 0, d, 1, true},
        {"ffn_gate.weight", t->ffn_width, d, 0, true},
        {"ffn_up.weight", t->ffn_width, d, 0, true},
        {"ffn_down.weight", d, t->ffn_width, 0, true},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.%s", index, tensors[i].name);
        if (tensors[i].present && tensors[i].rows) {
            put_matrix(m, name, tensors[i].rows, tensors[i].columns);
        } else if (tensors[i].present) {
            put_vector(m, name, tensors[i].columns, tensors[i].centre, 0.1f);
        }
    }
}

struct tiny_model tiny_model_of(const char *architecture) {
    return (struct tiny_model){
        .architecture = architecture,
        .seed = 1,
        .layers = 2,
        .width = 64,
        .heads = 4,
        .kv_heads = 2,
        .head_dim = 16,
        .ffn_width = 128,
        .context = 512,
        .type = QUANT_F32,
        .tied = true,
        .scaling = ROPE_PLAIN,
        .rope_factor = 1,
    };
}

bool tiny_model_build(const struct tiny_model *t, struct bytes *out, struct error *error) {
    struct maker m = {.t = t, .random = t->seed};
    put_config(&m);
    put_vocabulary(&m);
    put_matrix(&m, "token_embd.weight", TINY_VOCABULARY, t->width);
    for (uint32_t i = 0; i < t->layers; i++) {
        put_layer(&m, i);
    }
    put_vector(&m, "output_norm.weight", t->width, 1, 0.1f);
    if (t->frequencies) {
        put_vector(&m, "rope_freqs.weight", t->head_dim / 2, 4, 1);
    }
    if (!t->tied) {
        put_matrix(&m, "output.weight", TINY_VOCABULARY, t->width);
    }
    bool ok = m.failed ? error_set(error, ERROR_FAILURE,
                                   "out of memory, or a width is no multiple of the block of %s",
                                   quant_name(t->type))
                       : gguf_writer_build(&m.w, out, error);
    gguf_writer_finish(&m.w);
    return ok;
}

bool tiny_model_load(const struct tiny_model *t, struct tiny_loaded *l, struct error *error) {
    *l = (struct tiny_loaded){0};
    bool ok = tiny_model_build(t, &l->file, error) &&
              gguf_parse(&l->g, l->file.data, l->file.size, error) &&
              model_bind(&l->m, &l->g, error);
    if (!ok) {
        tiny_model_unload(l);
    }
    return ok;
}

void tiny_model_unload(struct tiny_loaded *l) {
    model_finish(&l->m);
    gguf_finish(&l->g);
    bytes_finish(&l->file);
}

bool tiny_model_rewrite(const struct gguf *g, const char *drop, bool backwards,
                        struct gguf_writer *w, struct bytes *out) {
    for (size_t i = 0; i < g->pair_count; i++) {
        const struct gguf_pair *pair = &g->pairs[i];
        if (!drop || !gguf_text_is(pair->key, drop)) {
            const uint8_t *start = (const uint8_t *)pair->key.data - 8; /* its length */
            bytes_put(&w->pairs, start, (size_t)(pair->data + pair->size - start));
            w->pair_count++;
        }
    }
    for (size_t i = 0; i < g->tensor_count; i++) {
        const struct gguf_tensor *x = &g->tensors[backwards ? g->tensor_count - 1 - i : i];
        char name[64] = {0};
        memcpy(name, x->name.data, x->name.size);
        gguf_put_tensor(w, name, x->type, x->dims, x->ne, x->data);
    }
    bool ok = gguf_writer_build(w, out, NULL);
    gguf_writer_finish(w);
    return ok;
}
