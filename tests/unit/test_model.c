/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/model: hyper-parameters and weights of each architecture, and what the fingerprints depend
 * on. What is refused is in test_model_damage.c.
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

static struct tiny_loaded load(const struct tiny_model *t) {
    struct tiny_loaded l;
    struct error error = {0};
    if (!tiny_model_load(t, &l, &error) || !model_check_scales(&l.m, &error)) {
        fail_msg("%s: %s", t->architecture, error.text);
    }
    return l;
}

static void binds_each_architecture(void **state) {
    (void)state;
    const char *const names[] = {"llama", "qwen2", "qwen3"};
    for (int i = 0; i < 3; i++) {
        for (int tied = 0; tied <= 1; tied++) {
            struct tiny_model t = tiny_model_of(names[i]);
            t.tied = tied;
            t.head_dim = 24; /* heads * head_dim is not the width */
            t.layers = 3;
            struct tiny_loaded l = load(&t);
            const struct model_config *c = &l.m.config;
            const struct model_layer *last = &l.m.layers[2];
            assert_string_equal(c->architecture, names[i]);
            assert_true(gguf_text_is(c->name, "tiny"));
            assert_int_equal(c->layers, 3);
            assert_int_equal(c->width, 64);
            assert_int_equal(c->heads, 4);
            assert_int_equal(c->kv_heads, 2);
            assert_int_equal(c->head_dim, 24);
            assert_int_equal(c->ffn_width, 128);
            assert_int_equal(c->vocabulary, TINY_VOCABULARY);
            assert_int_equal(c->context, 512);
            assert_true(c->norm_eps == 1e-5f);
            assert_int_equal(c->rope.interleaved, i == 0);
            assert_int_equal(c->rope.dims, 24);
            assert_true(c->rope.base == 10000 && c->rope.factor == 1);
            assert_int_equal(c->rope.scaling, ROPE_PLAIN);
            assert_null(c->rope.frequencies);
            assert_ptr_equal(l.m.embedding, gguf_find_tensor(&l.g, "token_embd.weight"));
            assert_int_equal(l.m.output == l.m.embedding, tied);
            assert_ptr_equal(last->q, gguf_find_tensor(&l.g, "blk.2.attn_q.weight"));
            assert_int_equal(last->q->ne[1], 96);
            assert_int_equal(last->v->ne[1], 48);
            assert_int_equal(last->attn_output->ne[0], 96);
            assert_ptr_equal(last->down, gguf_find_tensor(&l.g, "blk.2.ffn_down.weight"));
            assert_int_equal(last->q_bias != NULL, i == 1);
            assert_int_equal(last->v_bias != NULL, i == 1);
            assert_int_equal(last->q_norm != NULL, i == 2);
            assert_int_equal(last->k_norm != NULL, i == 2);
            assert_int_equal(l.m.tensor_count, l.g.tensor_count);
            tiny_model_unload(&l);
        }
    }
}

static void binds_every_tensor_type(void **state) {
    (void)state;
    for (uint32_t type = 0; type < QUANT_TYPES; type++) {
        if (!quant_info(type)) {
            continue;
        }
        struct tiny_model t = tiny_model_of("qwen3");
        t.type = (enum quant_type)type;
        t.width = t.ffn_width = 256;
        t.head_dim = 64;
        struct tiny_loaded l = load(&t);
        assert_int_equal(l.m.embedding->type, type);
        assert_int_equal(l.m.layers[1].down->type, type);
        tiny_model_unload(&l);
    }
    struct tiny_model t = tiny_model_of("llama");
    struct bytes file = {0};
    struct error error;
    t.type = QUANT_Q4_K; /* blocks of 256 in a width of 64 */
    assert_false(tiny_model_build(&t, &file, &error));
    bytes_finish(&file);
}

static void binds_what_is_optional(void **state) {
    (void)state;
    struct tiny_model t = tiny_model_of("llama");
    t.biases = t.frequencies = true;
    t.scaling = ROPE_YARN;
    t.rope_factor = 4;
    struct tiny_loaded l = load(&t);
    const struct rope_config *rope = &l.m.config.rope;
    assert_ptr_equal(l.m.layers[0].k_bias, gguf_find_tensor(&l.g, "blk.0.attn_k.bias"));
    assert_ptr_equal(rope->frequencies, gguf_find_tensor(&l.g, "rope_freqs.weight"));
    assert_int_equal(rope->scaling, ROPE_YARN);
    assert_true(rope->factor == 4);
    assert_int_equal(rope->original_context, 128);
    assert_true(rope->yarn_beta_fast == 32 && rope->yarn_beta_slow == 1);
    assert_true(rope->yarn_attn_factor == 1);
    tiny_model_unload(&l);

    t.scaling = ROPE_LINEAR;
    l = load(&t);
    assert_int_equal(l.m.config.rope.scaling, ROPE_LINEAR);
    assert_true(l.m.config.rope.factor == 4);
    tiny_model_unload(&l);
}

/* The tiny model again, with what is in `w` before it. Finishes `w`. */
static struct tiny_loaded rewritten(struct gguf_writer *w, const char *drop, bool backwards) {
    const struct tiny_model t = tiny_model_of("llama");
    struct tiny_loaded original = load(&t), l = {0};
    assert_true(tiny_model_rewrite(&original.g, drop, backwards, w, &l.file));
    assert_true(gguf_parse(&l.g, l.file.data, l.file.size, NULL));
    assert_true(model_bind(&l.m, &l.g, NULL));
    tiny_model_unload(&original);
    return l;
}

static void keys_that_may_be_missing_have_defaults(void **state) {
    (void)state;
    static const char *const keys[] = {
        "general.name",         "llama.attention.value_length", "llama.rope.dimension_count",
        "llama.rope.freq_base", "llama.attention.key_length",   "llama.vocab_size",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct gguf_writer w = {0};
        gguf_put_u32(&w, "split.count", 1);
        gguf_put_u32(&w, "llama.expert_count", 0);
        gguf_put_string(&w, "llama.rope.scaling.type", "none");
        gguf_put_f32(&w, "llama.rope.scaling.factor", 8);
        struct tiny_loaded l = rewritten(&w, keys[i], false);
        assert_int_equal(l.m.config.name.size, i == 0 ? 0 : 4);
        assert_int_equal(l.m.config.head_dim, 16);
        assert_int_equal(l.m.config.rope.dims, 16);
        assert_int_equal(l.m.config.vocabulary, TINY_VOCABULARY);
        assert_true(l.m.config.rope.base == 10000);
        assert_true(l.m.config.rope.factor == 1 && l.m.config.rope.scaling == ROPE_PLAIN);
        tiny_model_unload(&l);
    }
    struct gguf_writer w = {0}; /* as files were before the type of scaling had a key */
    gguf_put_f32(&w, "llama.rope.scaling.factor", 8);
    struct tiny_loaded l = rewritten(&w, NULL, false);
    assert_true(l.m.config.rope.factor == 8 && l.m.config.rope.scaling == ROPE_LINEAR);
    tiny_model_unload(&l);
}

/* Places, seen from the end of a name: a value, and the bytes of a string. */
enum { VALUE = 4, STRING = 12 };

enum { BASE = 1, FILE_TOO = 2 }; /* which fingerprints stay the same */

static int same_prints(const struct model *a, const struct model *b) {
    return (memcmp(a->base_fingerprint, b->base_fingerprint, HASH_BYTES) == 0 ? BASE : 0) |
           (memcmp(a->file_fingerprint, b->file_fingerprint, HASH_BYTES) == 0 ? FILE_TOO : 0);
}

static void fingerprints_tell_models_apart(void **state) {
    (void)state;
    static const struct {
        const char *title;
        struct poke poke;
        int same;
    } cases[] = {
        {"name", POKE_TEXT("general.name", STRING, "TINY"), BASE | FILE_TOO},
        {"template", POKE_TEXT("tokenizer.chat_template", STRING, "XX"), BASE | FILE_TOO},
        {"eos", POKE("tokenizer.ggml.eos_token_id", VALUE, 4, 7), BASE | FILE_TOO},
        {"eps", POKE("llama.attention.layer_norm_rms_epsilon", VALUE, 4, 0x3727c5ad), 0},
        {"rope base", POKE("llama.rope.freq_base", VALUE, 4, 0x47c35000), 0},
        {"rope dims", POKE("llama.rope.dimension_count", VALUE, 4, 8), 0},
        {"context", POKE("llama.context_length", VALUE, 4, 513), 0},
        {"first token", POKE("tokenizer.ggml.tokens", 24, 1, '?'), 0},
        {"first merge", POKE("tokenizer.ggml.merges", 27, 1, 'z'), 0},
        {"pre", POKE_TEXT("tokenizer.ggml.pre", STRING, "smaug"), 0},
    };
    const struct tiny_model t = tiny_model_of("llama");
    struct tiny_loaded a = load(&t);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tiny_loaded b = {0};
        assert_true(tiny_model_build(&t, &b.file, NULL));
        poke_all(&b.file, &cases[i].poke, 1);
        assert_true(gguf_parse(&b.g, b.file.data, b.file.size, NULL));
        assert_true(model_bind(&b.m, &b.g, NULL));
        if (same_prints(&a.m, &b.m) != cases[i].same) {
            fail_msg("after a change of %s: %d", cases[i].title, same_prints(&a.m, &b.m));
        }
        tiny_model_unload(&b);
    }
    const struct {
        const struct gguf_tensor *tensor;
        int same;
    } changed[] = {
        {a.m.output_norm, 0},       {a.m.layers[1].ffn_norm, 0}, {a.m.embedding, BASE},
        {a.m.layers[0].gate, BASE}, {a.m.layers[1].v, BASE},
    };
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        const struct gguf_tensor *tensor = changed[i].tensor;
        for (int end = 0; end <= 1; end++) { /* the first and the last value */
            struct tiny_loaded b = load(&t);
            b.file
                .data[(const uint8_t *)tensor->data - a.file.data + (end ? tensor->size - 4 : 0)] ^=
                1;
            model_finish(&b.m);
            assert_true(model_bind(&b.m, &b.g, NULL));
            assert_int_equal(same_prints(&a.m, &b.m), changed[i].same);
            tiny_model_unload(&b);
        }
    }
    tiny_model_unload(&a);
}

static void fingerprints_depend_on_no_layout(void **state) {
    (void)state;
    const struct tiny_model t = tiny_model_of("llama");
    struct tiny_loaded a = load(&t);
    struct gguf_writer w = {0};
    gguf_put_string(&w, "a.new.key", "of other length, so that all data moves");
    struct tiny_loaded b = rewritten(&w, NULL, true);
    assert_int_equal(same_prints(&a.m, &b.m), BASE | FILE_TOO);
    assert_true(gguf_text_is(b.g.tensors[0].name, "output_norm.weight"));
    for (size_t i = 0; i < a.m.tensor_count; i++) {
        struct gguf_text name = a.m.tensors[i]->name, other = b.m.tensors[i]->name;
        assert_true(name.size == other.size && memcmp(name.data, other.data, name.size) == 0);
    }
    tiny_model_unload(&a);
    tiny_model_unload(&b);
}

static void base_fingerprint_is_that_of_every_quantisation(void **state) {
    (void)state;
    const char *const names[] = {"llama", "qwen2", "qwen3"};
    for (int i = 0; i < 3; i++) {
        struct tiny_model t = tiny_model_of(names[i]);
        t.type = QUANT_Q4_1;
        struct tiny_loaded quantised = load(&t);
        t.expand = true;
        struct tiny_loaded expanded = load(&t);
        t.seed++;
        struct tiny_loaded other = load(&t);
        assert_int_equal(expanded.m.embedding->type, QUANT_F32);
        assert_int_equal(same_prints(&quantised.m, &expanded.m), BASE);
        assert_int_equal(same_prints(&expanded.m, &other.m), 0);
        tiny_model_unload(&quantised);
        tiny_model_unload(&expanded);
        tiny_model_unload(&other);
    }
}

static void tiny_models_are_the_same_each_time(void **state) {
    (void)state;
    struct tiny_model t = tiny_model_of("qwen2");
    t.type = QUANT_Q8_0;
    struct tiny_loaded a = load(&t), b = load(&t);
    char hex[HASH_HEX];
    assert_int_equal(a.file.size, b.file.size);
    assert_memory_equal(a.file.data, b.file.data, a.file.size);
    hash_hex(a.m.file_fingerprint, hex);
    assert_string_equal(hex, "a7dab5a30226b199666b7d5b5fdc2a928aba1db2229cf1e8f63fb039aac23d4a");
    tiny_model_unload(&a);
    tiny_model_unload(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binds_each_architecture),
        cmocka_unit_test(binds_every_tensor_type),
        cmocka_unit_test(binds_what_is_optional),
        cmocka_unit_test(keys_that_may_be_missing_have_defaults),
        cmocka_unit_test(fingerprints_tell_models_apart),
        cmocka_unit_test(fingerprints_depend_on_no_layout),
        cmocka_unit_test(base_fingerprint_is_that_of_every_quantisation),
        cmocka_unit_test(tiny_models_are_the_same_each_time),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
