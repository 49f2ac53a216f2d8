/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/model: models that are refused, and by which words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/model.h"
#include "tests/tools/poke.h"
#include "tests/tools/tiny_model.h"

/* Parses and binds; false when the model was refused. */
static bool binds(const struct bytes *file, struct error *error) {
    struct gguf g;
    struct model m;
    *error = (struct error){0};
    if (!gguf_parse(&g, file->data, file->size, error)) {
        return false;
    }
    bool ok = model_bind(&m, &g, error) && model_check_scales(&m, error);
    model_finish(&m);
    gguf_finish(&g);
    return ok;
}

/* Places, seen from the end of a name. Of a matrix and of a vector the type stands elsewhere. */
enum {
    TYPE = 0,
    VALUE = 4,
    STRING = 12,
    NE0 = 4,
    NE1 = 12,
    VECTOR_TYPE = 12,
};

/* Bits of F32 numbers that no model may have. */
#define MINUS_ONE 0xbf800000u
#define INFINITE 0x7f800000u
#define NOT_A_NUMBER 0x7fc00000u

static const struct damage {
    const char *architecture;
    const char *title;
    struct poke pokes[4];
    const char *says[2]; /* words of the error; the second may be NULL */
} damages[] = {
    /* G37: architecture */
    {"llama",
     "other architecture",
     {POKE_TEXT("general.architecture", STRING, "gemma")},
     {"\"general.architecture\" is \"gemma\", expected llama, qwen2 or qwen3"}},
    {"llama",
     "architecture cut",
     {POKE("general.architecture", STRING + 4, 1, ' ')},
     {"is \"llam \", expected"}},
    {"llama",
     "no architecture",
     {POKE("general.architecture", -1, 1, 'x')},
     {"no key \"general.architecture\""}},
    {"qwen2",
     "architecture whose keys are missing",
     {POKE_TEXT("general.architecture", STRING, "qwen3")},
     {"\"qwen3."}},
    /* Keys that must be there, and their types (G18) */
    {"llama",
     "no block_count",
     {POKE("llama.block_count", -1, 1, 'x')},
     {"no key \"llama.block_count\""}},
    {"llama",
     "no embedding_length",
     {POKE("llama.embedding_length", -1, 1, 'x')},
     {"no key \"llama.embedding_length\""}},
    {"llama",
     "no feed_forward_length",
     {POKE("llama.feed_forward_length", -1, 1, 'x')},
     {"no key \"llama.feed_forward_length\""}},
    {"llama",
     "no context_length",
     {POKE("llama.context_length", -1, 1, 'x')},
     {"no key \"llama.context_length\""}},
    {"llama",
     "no head_count",
     {POKE("llama.attention.head_count", -1, 1, 'x')},
     {"no key \"llama.attention.head_count\""}},
    {"llama",
     "no head_count_kv",
     {POKE("llama.attention.head_count_kv", -1, 1, 'x')},
     {"tensor \"blk.0.attn_k.weight\" has shape 64 x 32", "expected 64 x 64"}},
    {"llama",
     "no eps",
     {POKE("llama.attention.layer_norm_rms_epsilon", -1, 1, 'x')},
     {"llama.attention.layer_norm_rms_epsilon"}},
    {"llama",
     "block_count as f32",
     {POKE("llama.block_count", TYPE, 4, GGUF_F32)},
     {"\"llama.block_count\" has type f32, expected a whole number"}},
    {"llama",
     "block_count of -1",
     {POKE("llama.block_count", TYPE, 4, GGUF_I32),
      POKE("llama.block_count", VALUE, 4, 0xffffffff)},
     {"\"llama.block_count\" is -1"}},
    {"llama",
     "eps as u32",
     {POKE("llama.attention.layer_norm_rms_epsilon", TYPE, 4, GGUF_U32)},
     {"layer_norm_rms_epsilon\" has type u32, expected f32"}},
    {"llama",
     "rope base as i32",
     {POKE("llama.rope.freq_base", TYPE, 4, GGUF_I32)},
     {"\"llama.rope.freq_base\" has type i32, expected f32"}},
    /* G33: layers */
    {"llama",
     "block_count 0",
     {POKE("llama.block_count", VALUE, 4, 0)},
     {"\"llama.block_count\" is 0, expected 1 to"}},
    {"llama",
     "block_count 10^6",
     {POKE("llama.block_count", VALUE, 4, 1000000)},
     {"\"llama.block_count\" is 1000000"}},
    {"llama",
     "block_count 2^32-1",
     {POKE("llama.block_count", VALUE, 4, 0xffffffff)},
     {"\"llama.block_count\" is 4294967295"}},
    {"llama",
     "one layer missing",
     {POKE("llama.block_count", VALUE, 4, 3)},
     {"tensor \"blk.2.attn_norm.weight\" is missing"}},
    {"llama",
     "many layers missing",
     {POKE("llama.block_count", VALUE, 4, 1024)},
     {"tensor \"blk.2.attn_norm.weight\" is missing"}},
    {"llama",
     "one layer too many",
     {POKE("llama.block_count", VALUE, 4, 1)},
     {"tensor \"blk.1.", "is not one of a llama model of 1 layers"}},
    {"llama",
     "gap in the layers",
     {POKE("blk.1.attn_v.weight", -15, 1, '2')},
     {"tensor \"blk.1.attn_v.weight\" is missing"}},
    {"llama",
     "layer with a sign",
     {POKE_TEXT("blk.1.ffn_up.weight", -19, "blk+1")},
     {"tensor \"blk.1.ffn_up.weight\" is missing"}},
    /* G34: tensors that are missing, of another shape or type */
    {"llama",
     "no embedding",
     {POKE("token_embd.weight", -1, 1, 'x')},
     {"tensor \"token_embd.weight\" is missing"}},
    {"llama",
     "no output norm",
     {POKE("output_norm.weight", -1, 1, 'x')},
     {"tensor \"output_norm.weight\" is missing"}},
    {"llama",
     "no attn_norm",
     {POKE("blk.0.attn_norm.weight", -1, 1, 'x')},
     {"tensor \"blk.0.attn_norm.weight\" is missing"}},
    {"llama",
     "no q",
     {POKE("blk.0.attn_q.weight", -1, 1, 'x')},
     {"tensor \"blk.0.attn_q.weight\" is missing"}},
    {"llama",
     "no k",
     {POKE("blk.1.attn_k.weight", -1, 1, 'x')},
     {"tensor \"blk.1.attn_k.weight\" is missing"}},
    {"llama",
     "no attention output",
     {POKE("blk.1.attn_output.weight", -1, 1, 'x')},
     {"tensor \"blk.1.attn_output.weight\" is missing"}},
    {"llama",
     "no ffn_norm",
     {POKE("blk.0.ffn_norm.weight", -1, 1, 'x')},
     {"tensor \"blk.0.ffn_norm.weight\" is missing"}},
    {"llama",
     "no gate",
     {POKE("blk.0.ffn_gate.weight", -1, 1, 'x')},
     {"tensor \"blk.0.ffn_gate.weight\" is missing"}},
    {"llama",
     "no down",
     {POKE("blk.0.ffn_down.weight", -1, 1, 'x')},
     {"tensor \"blk.0.ffn_down.weight\" is missing"}},
    {"qwen2",
     "no bias of q",
     {POKE("blk.0.attn_q.bias", -1, 1, 'x')},
     {"tensor \"blk.0.attn_q.bias\" is missing"}},
    {"qwen2",
     "no bias of v",
     {POKE("blk.1.attn_v.bias", -1, 1, 'x')},
     {"tensor \"blk.1.attn_v.bias\" is missing"}},
    {"qwen3",
     "no norm of q",
     {POKE("blk.0.attn_q_norm.weight", -1, 1, 'x')},
     {"tensor \"blk.0.attn_q_norm.weight\" is missing"}},
    {"qwen3",
     "no norm of k",
     {POKE("blk.1.attn_k_norm.weight", -1, 1, 'x')},
     {"tensor \"blk.1.attn_k_norm.weight\" is missing"}},
    {"llama",
     "embedding too narrow",
     {POKE("token_embd.weight", NE0, 8, 32)},
     {"tensor \"token_embd.weight\" has shape 32 x 299 x 1 x 1, expected 64 x 299"}},
    {"llama",
     "embedding too short",
     {POKE("token_embd.weight", NE1, 8, 298)},
     {"tensor \"token_embd.weight\" has shape 64 x 298", "expected 64 x 299"}},
    {"llama",
     "q too narrow",
     {POKE("blk.0.attn_q.weight", NE0, 8, 32)},
     {"tensor \"blk.0.attn_q.weight\" has shape 32 x 64", "expected 64 x 64"}},
    {"llama",
     "k too short",
     {POKE("blk.0.attn_k.weight", NE1, 8, 31)},
     {"tensor \"blk.0.attn_k.weight\" has shape 64 x 31", "expected 64 x 32"}},
    {"llama",
     "v transposed",
     {POKE("blk.0.attn_v.weight", NE0, 8, 32), POKE("blk.0.attn_v.weight", NE1, 8, 64)},
     {"tensor \"blk.0.attn_v.weight\" has shape 32 x 64", "expected 64 x 32"}},
    {"llama",
     "attention output too short",
     {POKE("blk.1.attn_output.weight", NE1, 8, 1)},
     {"tensor \"blk.1.attn_output.weight\" has shape 64 x 1", "expected 64 x 64"}},
    {"llama",
     "gate too short",
     {POKE("blk.1.ffn_gate.weight", NE1, 8, 127)},
     {"tensor \"blk.1.ffn_gate.weight\" has shape 64 x 127", "expected 64 x 128"}},
    {"llama",
     "up transposed",
     {POKE("blk.1.ffn_up.weight", NE0, 8, 128), POKE("blk.1.ffn_up.weight", NE1, 8, 64)},
     {"tensor \"blk.1.ffn_up.weight\" has shape 128 x 64", "expected 64 x 128"}},
    {"llama",
     "down too narrow",
     {POKE("blk.1.ffn_down.weight", NE0, 8, 96)},
     {"tensor \"blk.1.ffn_down.weight\" has shape 96 x 64", "expected 128 x 64"}},
    {"llama",
     "norm too short",
     {POKE("blk.1.attn_norm.weight", NE0, 8, 63)},
     {"tensor \"blk.1.attn_norm.weight\" has shape 63 x 1", "expected 64 x 1"}},
    {"llama",
     "norm of one value",
     {POKE("output_norm.weight", NE0, 8, 1)},
     {"tensor \"output_norm.weight\" has shape 1 x 1"}},
    {"llama",
     "norm in 16 bits",
     {POKE("blk.0.ffn_norm.weight", VECTOR_TYPE, 4, QUANT_F16)},
     {"tensor \"blk.0.ffn_norm.weight\" has type F16, expected F32"}},
    {"llama",
     "norm quantised",
     {POKE("output_norm.weight", VECTOR_TYPE, 4, QUANT_Q8_0)},
     {"tensor \"output_norm.weight\" has type Q8_0, expected F32"}},
    {"qwen2",
     "bias too short",
     {POKE("blk.0.attn_k.bias", NE0, 8, 16)},
     {"tensor \"blk.0.attn_k.bias\" has shape 16 x 1", "expected 32 x 1"}},
    {"qwen3",
     "norm of q too short",
     {POKE("blk.0.attn_q_norm.weight", NE0, 8, 8)},
     {"tensor \"blk.0.attn_q_norm.weight\" has shape 8 x 1", "expected 16 x 1"}},
    {"llama",
     "embedding_length 0",
     {POKE("llama.embedding_length", VALUE, 4, 0)},
     {"\"llama.embedding_length\" is 0"}},
    {"llama",
     "embedding_length 2^31",
     {POKE("llama.embedding_length", VALUE, 4, 1u << 31)},
     {"\"llama.embedding_length\" is 2147483648"}},
    {"llama",
     "embedding_length of another model",
     {POKE("llama.embedding_length", VALUE, 4, 128)},
     {"tensor \"token_embd.weight\" has shape 64 x 299", "expected 128 x 299"}},
    {"llama",
     "feed_forward_length 0",
     {POKE("llama.feed_forward_length", VALUE, 4, 0)},
     {"\"llama.feed_forward_length\" is 0"}},
    {"llama",
     "feed_forward_length of another model",
     {POKE("llama.feed_forward_length", VALUE, 4, 256)},
     {"tensor \"blk.0.ffn_gate.weight\" has shape 64 x 128", "expected 64 x 256"}},
    {"llama",
     "vocab_size 0",
     {POKE("llama.vocab_size", VALUE, 4, 0)},
     {"\"llama.vocab_size\" is 0"}},
    {"llama",
     "vocab_size of another model",
     {POKE("llama.vocab_size", VALUE, 4, 300)},
     {"tensor \"token_embd.weight\" has shape 64 x 299", "expected 64 x 300"}},
    {"llama",
     "tensor of another architecture",
     {POKE_TEXT("rope_freqs.weight", -17, "rope_freqz")},
     {"tensor \"rope_freqz.weight\" is not one of a llama model"}},
    {"llama",
     "frequencies too few",
     {POKE("rope_freqs.weight", NE0, 8, 4)},
     {"tensor \"rope_freqs.weight\" has shape 4 x 1", "expected 8 x 1"}},
    /* G35: heads */
    {"llama",
     "head_count 0",
     {POKE("llama.attention.head_count", VALUE, 4, 0)},
     {"\"llama.attention.head_count\" is 0, expected 1"}},
    {"llama",
     "head_count 2^31",
     {POKE("llama.attention.head_count", VALUE, 4, 1u << 31)},
     {"\"llama.attention.head_count\" is 2147483648"}},
    {"llama",
     "head_count_kv 0",
     {POKE("llama.attention.head_count_kv", VALUE, 4, 0)},
     {"\"llama.attention.head_count_kv\" is 0, expected 1"}},
    {"llama",
     "head_count not divisible",
     {POKE("llama.attention.head_count_kv", VALUE, 4, 3)},
     {"\"llama.attention.head_count\" is 4, expected a multiple", "head_count_kv, 3"}},
    {"llama",
     "more kv heads than heads",
     {POKE("llama.attention.head_count_kv", VALUE, 4, 8)},
     {"\"llama.attention.head_count\" is 4, expected a multiple"}},
    {"llama",
     "width not divisible by heads",
     {POKE("llama.attention.key_length", -1, 1, 'x'),
      POKE("llama.attention.head_count", VALUE, 4, 3),
      POKE("llama.attention.head_count_kv", VALUE, 4, 1)},
     {"\"llama.embedding_length\" is 64, expected a multiple", "head_count, 3"}},
    {"llama",
     "heads wider than the model",
     {POKE("llama.attention.key_length", -1, 1, 'x'),
      POKE("llama.attention.head_count", VALUE, 4, 128)},
     {"\"llama.embedding_length\" is 64, expected a multiple", "head_count, 128"}},
    {"llama",
     "other number of heads",
     {POKE("llama.attention.head_count", VALUE, 4, 8)},
     {"tensor \"blk.0.attn_q.weight\" has shape 64 x 64", "expected 64 x 128"}},
    {"llama",
     "key_length 0",
     {POKE("llama.attention.key_length", VALUE, 4, 0)},
     {"\"llama.attention.key_length\" is 0, expected 1"}},
    {"llama",
     "key_length 2^31-1, so that sizes grow past 32 bits",
     {POKE("llama.attention.key_length", VALUE, 4, 0x7fffffff),
      POKE("llama.attention.value_length", VALUE, 4, 0x7fffffff)},
     {"\"llama.attention.key_length\": heads are 2147483647 wide, expected 1 to 1024"}},
    {"llama",
     "heads too wide for a backend's stack",
     {POKE("llama.attention.key_length", VALUE, 4, 1025),
      POKE("llama.attention.value_length", VALUE, 4, 1025)},
     {"heads are 1025 wide, expected 1 to 1024"}},
    {"llama",
     "heads as wide as they may be",
     {POKE("llama.attention.key_length", VALUE, 4, 1024),
      POKE("llama.attention.value_length", VALUE, 4, 1024)},
     {"tensor \"blk.0.attn_q.weight\" has shape 64 x 64", "expected 64 x 4096"}},
    {"llama",
     "value_length other than key_length",
     {POKE("llama.attention.value_length", VALUE, 4, 32)},
     {"\"llama.attention.value_length\" is 32, expected attention.key_length, 16"}},
    {"llama",
     "odd rope dimension",
     {POKE("llama.rope.dimension_count", VALUE, 4, 15)},
     {"\"llama.rope.dimension_count\" is 15, expected an even number"}},
    {"llama",
     "rope dimension 0",
     {POKE("llama.rope.dimension_count", VALUE, 4, 0)},
     {"\"llama.rope.dimension_count\" is 0"}},
    {"llama",
     "rope dimension larger than a head",
     {POKE("llama.rope.dimension_count", VALUE, 4, 18)},
     {"\"llama.rope.dimension_count\" is 18, expected an even number up to", "16"}},
    /* G36: numbers */
    {"llama",
     "context_length 0",
     {POKE("llama.context_length", VALUE, 4, 0)},
     {"\"llama.context_length\" is 0, expected 1 to 2147483647"}},
    {"llama",
     "context_length 2^31",
     {POKE("llama.context_length", VALUE, 4, 1u << 31)},
     {"\"llama.context_length\" is 2147483648, expected 1 to 2147483647"}},
    {"llama",
     "eps negative",
     {POKE("llama.attention.layer_norm_rms_epsilon", VALUE, 4, MINUS_ONE)},
     {"layer_norm_rms_epsilon\" is -1, expected a finite number above 0"}},
    {"llama",
     "eps 0",
     {POKE("llama.attention.layer_norm_rms_epsilon", VALUE, 4, 0)},
     {"layer_norm_rms_epsilon\" is 0, expected a finite number above 0"}},
    {"llama",
     "eps not a number",
     {POKE("llama.attention.layer_norm_rms_epsilon", VALUE, 4, NOT_A_NUMBER)},
     {"layer_norm_rms_epsilon\" is nan"}},
    {"llama",
     "eps infinite",
     {POKE("llama.attention.layer_norm_rms_epsilon", VALUE, 4, INFINITE)},
     {"layer_norm_rms_epsilon\" is inf"}},
    {"llama",
     "rope base 0",
     {POKE("llama.rope.freq_base", VALUE, 4, 0)},
     {"\"llama.rope.freq_base\" is 0, expected a finite number above 0"}},
    {"llama",
     "rope base negative",
     {POKE("llama.rope.freq_base", VALUE, 4, MINUS_ONE)},
     {"\"llama.rope.freq_base\" is -1"}},
    {"llama",
     "rope base not a number",
     {POKE("llama.rope.freq_base", VALUE, 4, NOT_A_NUMBER)},
     {"\"llama.rope.freq_base\" is nan"}},
    {"llama",
     "rope base infinite",
     {POKE("llama.rope.freq_base", VALUE, 4, INFINITE)},
     {"\"llama.rope.freq_base\" is inf"}},
    {"llama",
     "other rope scaling",
     {POKE_TEXT("llama.rope.scaling.type", STRING, "su  ")},
     {"\"llama.rope.scaling.type\" is \"su  \", expected none, linear or yarn"}},
    {"llama",
     "rope factor 0",
     {POKE("llama.rope.scaling.factor", VALUE, 4, 0)},
     {"\"llama.rope.scaling.factor\" is 0, expected a finite number"}},
    {"llama",
     "rope factor not a number",
     {POKE("llama.rope.scaling.factor", VALUE, 4, NOT_A_NUMBER)},
     {"\"llama.rope.scaling.factor\" is nan"}},
    {"llama",
     "original context 0",
     {POKE("llama.rope.scaling.original_context_length", VALUE, 4, 0)},
     {"\"llama.rope.scaling.original_context_length\" is 0"}},
};

static void damaged_models_are_refused_by_name(void **state) {
    (void)state;
    int failures = 0;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        const struct damage *d = &damages[i];
        struct tiny_model t = tiny_model_of(d->architecture);
        t.scaling = ROPE_YARN;
        t.rope_factor = 2;
        t.frequencies = true;
        struct bytes file = {0};
        struct error error;
        assert_true(tiny_model_build(&t, &file, &error));
        assert_true(binds(&file, &error));
        poke_all(&file, d->pokes, 4);
        bool ok = binds(&file, &error);
        if (ok || error.code != ERROR_INCOMPATIBLE || !strstr(error.text, d->says[0]) ||
            (d->says[1] && !strstr(error.text, d->says[1]))) {
            print_error("%s: %s, code %d: \"%s\"\n", d->title, ok ? "accepted" : "refused",
                        error.code, error.text);
            failures++;
        }
        bytes_finish(&file);
    }
    assert_int_equal(failures, 0);
}

static void expect_refused(struct gguf_writer *w, const char *drop, const char *says) {
    const struct tiny_model t = tiny_model_of("llama");
    struct tiny_loaded l;
    struct bytes file = {0};
    struct error error;
    assert_true(tiny_model_load(&t, &l, &error));
    assert_true(tiny_model_rewrite(&l.g, drop, false, w, &file));
    tiny_model_unload(&l);
    assert_false(binds(&file, &error));
    assert_int_equal(error.code, ERROR_INCOMPATIBLE);
    if (!strstr(error.text, says)) {
        fail_msg("expected \"%s\" in \"%s\"", says, error.text);
    }
    bytes_finish(&file);
}

static void models_of_other_kinds_are_refused(void **state) {
    (void)state;
    struct gguf_writer w = {0};
    gguf_put_u32(&w, "split.count", 3); /* G38 */
    gguf_put_u32(&w, "split.no", 1);
    expect_refused(&w, NULL, "this is part 2 of 3 of a model, and the other 2 parts are missing");
    gguf_put_u32(&w, "split.count", 0xffffffff);
    expect_refused(&w, NULL, "part 1 of 4294967295");
    gguf_put_u32(&w, "llama.expert_count", 8);
    expect_refused(&w, NULL, "\"llama.expert_count\": a mixture of experts is not supported");
    gguf_put_u32(&w, "general.architecture", 1);
    expect_refused(&w, "general.architecture", "\"general.architecture\" has type u32");
    gguf_put_u32(&w, "general.name", 1);
    expect_refused(&w, "general.name", "\"general.name\" has type u32, expected string");
    gguf_put_string(&w, "llama.block_count", "2");
    expect_refused(&w, "llama.block_count", "has type string, expected a whole number");
    gguf_put_i32s(&w, "llama.attention.head_count", (const int32_t[]){4, 4}, 2);
    expect_refused(&w, "llama.attention.head_count", "has type array, expected a whole number");
    gguf_put_u32(&w, "llama.rope.scaling.type", 2);
    expect_refused(&w, NULL, "\"llama.rope.scaling.type\" has type u32, expected string");
    gguf_put_string(&w, "llama.rope.scaling.type", "longrope");
    expect_refused(&w, NULL, "is \"longrope\", expected none, linear or yarn");
    gguf_put_tensor(&w, "blk.0.attn_output.bias", QUANT_F32, 1, (uint64_t[]){1}, "\0\0\0");
    expect_refused(&w, NULL, "tensor \"blk.0.attn_output.bias\" is not one of a llama model");
    gguf_put_tensor(&w, "blk.4294967296.ffn_up.weight", QUANT_F32, 1, (uint64_t[]){1}, "\0\0\0");
    expect_refused(&w, NULL, "tensor \"blk.4294967296.ffn_up.weight\" is not one of");
}

/* G44 */
static void scales_that_are_not_finite_are_refused(void **state) {
    (void)state;
    static const struct {
        enum quant_type type;
        int place, width; /* of the scale or minimum in the first block */
        uint32_t bits;
        const char *says;
    } cases[] = {
        {QUANT_F32, 0, 4, NOT_A_NUMBER, "value 0 is not a number"},
        {QUANT_F32, 12, 4, INFINITE, "value 3 is infinite"},
        {QUANT_F16, 2, 2, 0x7c01, "value 1 is not a number"},
        {QUANT_BF16, 0, 2, 0xff80, "value 0 is infinite"},
        {QUANT_Q4_0, 0, 2, 0x7e00, "not a number"},
        {QUANT_Q4_1, 0, 2, 0x7c00, "finite"},
        {QUANT_Q4_1, 2, 2, 0xfc00, "infinite"},
        {QUANT_Q5_0, 0, 2, 0x7e00, "not a number"},
        {QUANT_Q5_1, 2, 2, 0x7e00, "not a number"},
        {QUANT_Q8_0, 0, 2, 0x7c00, "finite"},
        {QUANT_Q2_K, 80, 2, 0x7c00, "finite"},
        {QUANT_Q2_K, 82, 2, 0x7e00, "not a number"},
        {QUANT_Q3_K, 108, 2, 0x7c00, "finite"},
        {QUANT_Q4_K, 0, 2, 0x7e00, "not a number"},
        {QUANT_Q4_K, 2, 2, 0x7c00, "finite"},
        {QUANT_Q5_K, 2, 2, 0x7e00, "not a number"},
        {QUANT_Q6_K, 208, 2, 0x7c00, "finite"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tiny_model t = tiny_model_of("llama");
        t.width = t.ffn_width = 256;
        t.head_dim = 64;
        t.type = cases[i].type;
        struct tiny_loaded l;
        assert_true(tiny_model_load(&t, &l, NULL));
        size_t at = (size_t)((const uint8_t *)l.m.layers[1].down->data - l.file.data);
        for (int k = 0; k < cases[i].width; k++) {
            l.file.data[at + cases[i].place + k] = (uint8_t)(cases[i].bits >> (8 * k));
        }
        struct error error;
        assert_false(model_check_scales(&l.m, &error));
        assert_int_equal(error.code, ERROR_INCOMPATIBLE);
        assert_non_null(strstr(error.text, "tensor \"blk.1.ffn_down.weight\""));
        assert_non_null(strstr(error.text, cases[i].says));
        tiny_model_unload(&l);
    }
}

/* Changed bytes of the directory: any may be refused, none does harm. */
static void single_byte_mutations_do_no_harm(void **state) {
    (void)state;
    struct tiny_model t = tiny_model_of("qwen3");
    struct tiny_loaded l;
    assert_true(tiny_model_load(&t, &l, NULL));
    uint32_t random = 7, accepted = 0;
    for (int i = 0; i < 3000; i++) {
        random = random * 1664525 + 1013904223;
        size_t at = (random >> 8) % l.g.header_size;
        uint8_t old = l.file.data[at];
        random = random * 1664525 + 1013904223;
        l.file.data[at] = (uint8_t)(i % 2 ? random >> 24 : old ^ 1u << (random >> 29));
        struct error error;
        if (binds(&l.file, &error)) {
            accepted++;
        } else {
            assert_int_equal(error.code, ERROR_INCOMPATIBLE);
            assert_true(error.text[0] != '\0');
        }
        l.file.data[at] = old;
    }
    assert_in_range(accepted, 1, 2999);
    tiny_model_unload(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_models_are_refused_by_name),
        cmocka_unit_test(models_of_other_kinds_are_refused),
        cmocka_unit_test(scales_that_are_not_finite_are_refused),
        cmocka_unit_test(single_byte_mutations_do_no_harm),
    };
    return cmocka_run_group_tests_name("model_damage", tests, NULL, NULL);
}
