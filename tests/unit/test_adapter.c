/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/adapter: what is read from a file and where it goes; files that are refused, each with
 * words that name what is wrong.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/adapter.h"
#include "engine/window.h"
#include "tests/tools/poke.h"
#include "tests/tools/tiny_engine.h"

static struct tiny_loaded base; /* the model that the adapters are for */

static int load_base(void **state) {
    (void)state;
    struct tiny_model t = tiny_model_of("llama");
    t.head_dim = 24; /* no dimension equals another: a mix-up shows */
    return tiny_model_load(&t, &base, NULL) ? 0 : -1;
}

static int unload_base(void **state) {
    (void)state;
    tiny_model_unload(&base);
    return 0;
}

static struct bytes build(const struct tiny_adapter *t, const struct model *model) {
    struct bytes file = {0};
    assert_true(tiny_adapter_build(t, model, &file, NULL));
    return file;
}

/* Opens bytes as a file for the base model; finishes them. */
static bool open_bytes(struct adapter *a, struct bytes *file, struct error *error) {
    char *path = tiny_file(file->data, file->size);
    assert_non_null(path);
    bytes_finish(file);
    bool ok = adapter_open(a, path, &base.m, error);
    if (!ok && !strstr(error->text, path)) {
        fail_msg("\"%s\" does not name the file", error->text);
    }
    unlink(path);
    free(path);
    return ok;
}

static const float *tensor_of(const struct adapter *a, const char *name) {
    const struct gguf_tensor *t = gguf_find_tensor(&a->gguf, name);
    assert_non_null(t);
    return (const float *)(const void *)t->data;
}

static void parameters_come_to_their_places(void **state) {
    (void)state;
    struct tiny_adapter t = tiny_adapter_of();
    t.uneven = 0.5f;
    struct bytes file = build(&t, &base.m);
    uint8_t hash[HASH_BYTES];
    hash_of(file.data, file.size, hash);
    struct adapter a;
    struct error error = {0};
    if (!open_bytes(&a, &file, &error)) {
        fail_msg("%s", error.text);
    }
    assert_memory_equal(a.fingerprint, hash, HASH_BYTES);
    assert_int_equal(a.width, 32);
    assert_int_equal(a.chunk, 16);
    assert_int_equal(a.sinks, 4);
    assert_int_equal(a.layers, 2);
    const size_t d = 64, H = 4, M = 2, e = 24, f = 32;
    for (uint32_t l = 0; l < 2; l++) {
        const struct memory_branch *b = &a.branches[l];
        const struct {
            const char *name;
            const float *found;
            size_t count;
        } parts[] = {
            {"w1", b->w1, M * f * e},
            {"w2", b->w2, M * e * f},
            {"w3", b->w3, M * f * e},
            {"q_map", b->q_map, H * e * e},
            {"k_map", b->k_map, M * e * e},
            {"ev_q", b->ev_q, H * e * e},
            {"ev_k", b->ev_k, M * e * e},
            {"gate_lse", b->gate_lse, H},
            {"gate_w", b->gate_w, H * d},
            {"gate_b", b->gate_b, H},
            {"alpha", b->alpha, H * e},
            {"step_w", b->rates_w, M * d},
            {"decay_w", b->rates_w + M * d, M * d},
            {"step_b", b->rates_b, M},
            {"decay_b", b->rates_b + M, M},
            {"v_scale", &b->v_scale, 1},
            {"share", &b->share, 1},
        };
        assert_true(b->share == (l ? 1.5f : 0.5f));
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            char name[64];
            snprintf(name, sizeof name, "blk.%u.mem_%s", l, parts[i].name);
            assert_memory_equal(parts[i].found, tensor_of(&a, name), parts[i].count * 4);
        }
    }
    adapter_close(&a);
    adapter_close(&a);
}

/* Without fast weights there is the gate of merged tokens, and with them there may be. */
static void a_gate_comes_to_its_place(void **state) {
    (void)state;
    for (uint32_t width = 0; width <= 32; width += 32) {
        struct tiny_adapter t = tiny_adapter_of();
        t.width = width;
        t.merged_gate = width > 0;
        struct bytes file = build(&t, &base.m);
        struct adapter a;
        struct error error = {0};
        if (!open_bytes(&a, &file, &error)) {
            fail_msg("%s", error.text);
        }
        assert_true(a.merged_gate && a.width == width);
        for (size_t l = 0; l < 2; l++) {
            const struct memory_branch *b = &a.branches[l];
            assert_memory_equal(b->merged_w,
                                tensor_of(&a, l ? "blk.1.mem_merged_w" : "blk.0.mem_merged_w"),
                                4 * 64 * sizeof(float));
            assert_memory_equal(b->merged_b,
                                tensor_of(&a, l ? "blk.1.mem_merged_b" : "blk.0.mem_merged_b"),
                                2 * 4 * sizeof(float));
            assert_true((b->w2 != NULL) == (width > 0));
        }
        adapter_close(&a);
    }
}

/* Places, seen from the end of a name (poke.h). */
enum { VALUE = 4, STRING = 12, NE0 = 4, NE1 = 12, NE2 = 20 };

struct refused {
    const char *title;
    struct poke pokes[3];
    const char *words[2];
};

static void refuse(const struct refused *c, const struct tiny_adapter *t) {
    struct bytes file = build(t, &base.m);
    struct adapter a;
    struct error error = {0};
    poke_all(&file, c->pokes, 3);
    if (open_bytes(&a, &file, &error)) {
        fail_msg("%s: accepted", c->title);
    }
    assert_int_equal(error.code, ERROR_INCOMPATIBLE);
    for (int j = 0; j < 2 && c->words[j]; j++) {
        if (!strstr(error.text, c->words[j])) {
            fail_msg("%s: \"%s\" lacks \"%s\"", c->title, error.text, c->words[j]);
        }
    }
    adapter_close(&a); /* a refused one is empty */
}

static void refuses_what_does_not_fit(void **state) {
    (void)state;
    static const struct refused cases[] = {
        {"no GGUF", {POKE(NULL, 0, 1, 'X')}, {"no GGUF file", NULL}},
        {"not an adapter",
         {POKE_TEXT("general.architecture", STRING, "allmem-adaptor")},
         {"\"allmem-adaptor\"", "\"allmem-adapter\""}},
        {"other spec", {POKE("allmem.spec", VALUE, 4, 7)}, {"allmem.spec is 7", "version 6"}},
        {"spec missing", {POKE("allmem.spec", -1, 1, 'x')}, {"allmem.spec", NULL}},
        {"base missing", {POKE("allmem.base_fingerprint", -1, 1, 'x')}, {"base_fingerprint", NULL}},
        {"other base",
         {POKE_TEXT("allmem.base_fingerprint", STRING, "0123456789ab"),
          POKE_TEXT("allmem.base", STRING, "TINY")},
         {"made for TINY (fingerprint 0123456789ab)", "but the model is tiny ("}},
        {"width 0", {POKE("allmem.width", VALUE, 4, 0)}, {"blk.0.mem_merged_w", "missing"}},
        {"width odd", {POKE("allmem.width", VALUE, 4, 33)}, {"width 33", "16s"}},
        {"width huge", {POKE("allmem.width", VALUE, 4, 0xfffffff0)}, {"width 4294967280", NULL}},
        {"width of another", {POKE("allmem.width", VALUE, 4, 48)}, {"blk.0.mem_w1", "expected"}},
        {"width is a float", {POKE("allmem.width", 0, 4, GGUF_F32)}, {"allmem.width", NULL}},
        {"chunk 0", {POKE("allmem.chunk", VALUE, 4, 0)}, {"chunk 0", "expected"}},
        {"chunk huge", {POKE("allmem.chunk", VALUE, 4, 193)}, {"chunk 193", "up to 192"}},
        {"sinks above the chunk", {POKE("allmem.sinks", VALUE, 4, 17)}, {"sinks 17", "expected"}},
        {"tensor missing", {POKE("blk.1.mem_ev_k", -1, 1, 'x')}, {"blk.1.mem_ev_k", "missing"}},
        {"last missing", {POKE("blk.1.mem_share", -1, 1, 'x')}, {"blk.1.mem_share", "missing"}},
        {"w1 transposed",
         {POKE("blk.0.mem_w1", NE0, 8, 32), POKE("blk.0.mem_w1", NE1, 8, 24)},
         {"blk.0.mem_w1", "expected"}},
        {"heads and rows mixed up",
         {POKE("blk.1.mem_w2", NE1, 8, 2), POKE("blk.1.mem_w2", NE2, 8, 24)},
         {"blk.1.mem_w2", "expected"}},
        {"gate_w transposed",
         {POKE("blk.0.mem_gate_w", NE0, 8, 4), POKE("blk.0.mem_gate_w", NE1, 8, 64)},
         {"blk.0.mem_gate_w", "expected"}},
        {"alpha too small", {POKE("blk.0.mem_alpha", NE1, 8, 3)}, {"blk.0.mem_alpha", "expected"}},
    };
    const struct tiny_adapter t = tiny_adapter_of();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        refuse(&cases[i], &t);
    }
}

/* In an adapter with fast weights and a gate, and in one with a gate alone. */
static void refuses_gates_that_do_not_fit(void **state) {
    (void)state;
    static const struct refused cases[2][3] = {
        {{"in one layer alone",
          {POKE("blk.1.mem_merged_w", -1, 1, 'x')},
          {"blk.1.mem_merged_w", "missing"}},
         {"without b", {POKE("blk.0.mem_merged_b", -1, 1, 'x')}, {"blk.0.mem_merged_b", "missing"}},
         {"transposed",
          {POKE("blk.0.mem_merged_w", NE0, 8, 4), POKE("blk.0.mem_merged_w", NE1, 8, 64)},
          {"blk.0.mem_merged_w", "expected"}}},
        {{"missing", {POKE("blk.0.mem_merged_w", -1, 1, 'x')}, {"blk.0.mem_merged_w", "missing"}},
         {"said to have a width",
          {POKE("allmem.width", VALUE, 4, 16)},
          {"blk.0.mem_w1", "missing"}},
         {"too few heads",
          {POKE("blk.1.mem_merged_b", NE0, 8, 3)},
          {"blk.1.mem_merged_b", "4 x 2"}}},
    };
    struct tiny_adapter t = tiny_adapter_of();
    t.merged_gate = true;
    for (size_t i = 0; i < 6; i++) {
        t.width = i < 3 ? t.width : 0;
        refuse(&cases[i / 3][i % 3], &t);
    }
}

/* Every tensor, its first and its last value. */
static void refuses_numbers_that_are_not_finite(void **state) {
    (void)state;
    struct tiny_adapter t = tiny_adapter_of();
    t.merged_gate = true;
    struct bytes good = build(&t, &base.m);
    struct gguf g;
    assert_true(gguf_parse(&g, good.data, good.size, NULL));
    assert_int_equal(g.tensor_count, 2 * 19);
    for (size_t i = 0; i < g.tensor_count; i++) {
        const struct gguf_tensor *x = &g.tensors[i];
        for (int last = 0; last <= 1; last++) {
            struct bytes file = {0};
            bytes_put(&file, good.data, good.size);
            size_t at = (size_t)((const uint8_t *)x->data - good.data) + (last ? x->size - 4 : 0);
            const float bad = last ? INFINITY : NAN;
            memcpy(file.data + at, &bad, sizeof bad);
            struct adapter a;
            struct error error = {0};
            assert_false(open_bytes(&a, &file, &error));
            assert_int_equal(error.code, ERROR_INCOMPATIBLE);
            char name[64] = {0};
            memcpy(name, x->name.data, x->name.size);
            if (!strstr(error.text, name) || !strstr(error.text, "not finite")) {
                fail_msg("%s", error.text);
            }
        }
    }
    static const struct {
        const char *name;
        float bad;
    } numbers[] = {
        {"blk.1.mem_v_scale", -1}, /* values are divided by it */
        {"blk.1.mem_v_scale", 0},
        {"blk.0.mem_share", -0.1f},
        {"blk.0.mem_share", WINDOW_MAX_SHARE + 0.1f},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const struct gguf_tensor *x = gguf_find_tensor(&g, numbers[i].name);
        struct bytes file = {0};
        bytes_put(&file, good.data, good.size);
        memcpy(file.data + ((const uint8_t *)x->data - good.data), &numbers[i].bad, sizeof(float));
        struct adapter a;
        struct error error = {0};
        assert_false(open_bytes(&a, &file, &error));
        assert_non_null(strstr(error.text, numbers[i].name));
    }
    gguf_finish(&g);
    bytes_finish(&good);
}

static void refuses_every_truncation(void **state) {
    (void)state;
    const struct tiny_adapter t = tiny_adapter_of();
    struct bytes good = build(&t, &base.m);
    for (size_t size = 0; size < good.size; size += size < 200 ? 1 : 997) {
        struct bytes file = {0};
        bytes_put(&file, good.data, size);
        struct adapter a;
        struct error error = {0};
        assert_false(open_bytes(&a, &file, &error));
        assert_int_equal(error.code, ERROR_INCOMPATIBLE);
    }
    bytes_finish(&good);
}

static void fits_every_quantisation_of_its_base_and_no_other_model(void **state) {
    (void)state;
    struct tiny_model t = tiny_model_of("llama");
    struct tiny_adapter ta = tiny_adapter_of();
    struct error error = {0};
    struct adapter a;
    struct tiny_loaded other;
    t.head_dim = 24;
    t.seed = 2;
    assert_true(tiny_model_load(&t, &other, NULL));
    struct bytes file = build(&ta, &other.m);
    assert_false(open_bytes(&a, &file, &error));
    char found[HASH_HEX], expected[HASH_HEX], words[64];
    hash_hex(other.m.base_fingerprint, found);
    hash_hex(base.m.base_fingerprint, expected);
    snprintf(words, sizeof words, "fingerprint %.12s", found);
    assert_non_null(strstr(error.text, words));
    snprintf(words, sizeof words, "(%.12s)", expected);
    assert_non_null(strstr(error.text, words));
    tiny_model_unload(&other);

    t.seed = 1;
    t.type = QUANT_Q8_0;
    t.width = t.ffn_width = 128;
    t.head_dim = 32;
    struct tiny_loaded quantised, expanded;
    assert_true(tiny_model_load(&t, &quantised, NULL));
    t.expand = true;
    assert_true(tiny_model_load(&t, &expanded, NULL));
    file = build(&ta, &quantised.m);
    char *path = tiny_file(file.data, file.size);
    bytes_finish(&file);
    if (!adapter_open(&a, path, &expanded.m, &error)) {
        fail_msg("%s", error.text);
    }
    adapter_close(&a);
    unlink(path);
    free(path);
    tiny_model_unload(&quantised);
    tiny_model_unload(&expanded);
}

static void a_missing_file_is_named(void **state) {
    (void)state;
    struct adapter a;
    struct error error = {0};
    assert_false(adapter_open(&a, "/nonexistent/x.gguf", &base.m, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_non_null(strstr(error.text, "/nonexistent/x.gguf"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_come_to_their_places),
        cmocka_unit_test(a_gate_comes_to_its_place),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(refuses_gates_that_do_not_fit),
        cmocka_unit_test(refuses_numbers_that_are_not_finite),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(fits_every_quantisation_of_its_base_and_no_other_model),
        cmocka_unit_test(a_missing_file_is_named),
    };
    return cmocka_run_group_tests_name("adapter", tests, load_base, unload_base);
}
