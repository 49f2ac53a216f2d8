/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/session_state: a session that was saved and loaded goes on as if it had never stopped, bit
 * for bit; parts that are damaged, incomplete or made with something else are refused in words.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/adapter.h"
#include "engine/window.h"
#include "tests/tools/tiny_engine.h"

enum { LAYERS = 2, PARTS = 1 + LAYERS, TOKENS = 420 };

static struct tiny_model model_of(const char *architecture) {
    struct tiny_model model = tiny_model_of(architecture);
    model.context = 256; /* distances are clipped at 192 */
    return model;
}

static struct engine *open_engine(const struct tiny_model *m, const struct tiny_adapter *a) {
    struct error error = {0};
    struct engine *e = tiny_engine(m, a, &error);
    if (!e) {
        fail_msg("%s", error.text);
    }
    return e;
}

static const struct session_options usual = {
    .window = 96, .sinks = 4, .keep = 24, .memory = true, .writes = true};

static struct engine *usual_engine(void) {
    const struct tiny_model m = model_of("llama");
    struct tiny_adapter a = tiny_adapter_of();
    a.uneven = 0.5f;
    return open_engine(&m, &a);
}

static struct session *read_text(struct engine *e, const struct session_options *o, size_t n) {
    static token ids[TOKENS];
    struct error error = {0};
    tiny_tokens(1, ids, TOKENS);
    struct session *s = session_create(e, o, &error);
    if (!s || !session_append(s, ids, n, NULL, &error)) {
        fail_msg("%s", error.text);
    }
    return s;
}

struct saved {
    struct bytes parts[PARTS];
};

static void save(struct session *s, struct saved *saved) {
    *saved = (struct saved){0};
    assert_int_equal(session_parts(s), PARTS);
    for (size_t i = 0; i < PARTS; i++) {
        assert_true(session_save_part(s, i, &saved->parts[i], NULL));
    }
}

static void drop(struct saved *saved) {
    for (size_t i = 0; i < PARTS; i++) {
        bytes_finish(&saved->parts[i]);
    }
}

static struct session *load_header(struct engine *e, const struct bytes *part) {
    struct error error = {0};
    struct session *s = session_load(e, part->data, part->size, &error);
    if (!s) {
        fail_msg("%s", error.text);
    }
    return s;
}

static void load_layer(struct session *s, const struct saved *saved, size_t part) {
    struct error error = {0};
    if (!session_load_part(s, part, saved->parts[part].data, saved->parts[part].size, &error)) {
        fail_msg("%s", error.text);
    }
}

/* The layers come in another order than they were saved. */
static struct session *load(struct engine *e, const struct saved *saved) {
    struct session *s = load_header(e, &saved->parts[0]);
    for (size_t i = LAYERS; i > 0; i--) {
        load_layer(s, saved, i);
    }
    return s;
}

/* Puts the right checksum under bytes that were changed. */
static void reseal(struct bytes *part) {
    hash_of(part->data, part->size - HASH_BYTES, part->data + part->size - HASH_BYTES);
}

static void assert_equal_sessions(struct session *a, struct session *b) {
    struct saved x, y;
    save(a, &x);
    save(b, &y);
    for (size_t i = 0; i < PARTS; i++) {
        assert_int_equal(x.parts[i].size, y.parts[i].size);
        assert_memory_equal(x.parts[i].data, y.parts[i].data, x.parts[i].size);
    }
    drop(&x);
    drop(&y);
}

/* Saves at many places, goes on in a new engine, and compares with one that never stopped: the
 * logits after every further token up to a chunk's end, and all that is saved at the end. */
static void goes_on_as_if_it_had_never_stopped(void **state) {
    (void)state;
    static const struct {
        const char *architecture, *kernels;
        bool adapter;
        struct session_options options;
    } cases[] = {
        {"llama", "reference", true, {96, 24, 0, 4, true, true}},
        {"llama", NULL, true, {96, 24, 0, 4, true, true}},
        {"qwen2", NULL, true, {64, 0, 9, 4, true, true}},
        {"qwen3", NULL, true, {64, 5, 0, 0, true, false}},
        {"llama", NULL, true, {64, 24, 0, 4, false, true}},
        {"qwen3", NULL, false, {64, 24, 30, 4, false, true}},
        {"llama", "reference", false, {64, 0, 70, 4, false, true}},
    };
    /* Inside a chunk, at its end, before and after the window fills, tokens are kept and clipped.
     */
    static const size_t places[] = {0,   1,   15,  16,  64,  95,  96, 111,
                                    112, 113, 128, 129, 200, 256, 333};
    token ids[TOKENS];
    tiny_tokens(1, ids, TOKENS);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const struct tiny_model m = model_of(cases[c].architecture);
        struct tiny_adapter a = tiny_adapter_of();
        a.uneven = 0.5f;
        if (cases[c].kernels) {
            setenv("ALLMEM_KERNELS", cases[c].kernels, 1);
        } else {
            unsetenv("ALLMEM_KERNELS");
        }
        struct engine *e = open_engine(&m, cases[c].adapter ? &a : NULL);
        struct engine *other = open_engine(&m, cases[c].adapter ? &a : NULL);
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            struct session *s = read_text(e, &cases[c].options, places[i]);
            struct saved saved;
            save(s, &saved);
            struct session *t = load(other, &saved);
            drop(&saved);
            assert_int_equal(session_position(t), places[i]);
            struct session_options o = session_options(t);
            assert_int_equal(o.window, cases[c].options.window);
            assert_int_equal(o.keep, cases[c].options.keep);
            assert_int_equal(o.merge, cases[c].options.merge);
            assert_int_equal(o.sinks, cases[c].options.sinks);
            assert_int_equal(o.memory, cases[c].options.memory);
            assert_int_equal(o.writes, cases[c].options.writes);
            assert_equal_sessions(s, t);
            size_t at = places[i];
            while (at < TOKENS) { /* some tokens alone, then the rest at once */
                size_t n = at < places[i] + 17 ? 1 : TOKENS - at;
                assert_true(session_append(s, ids + at, n, NULL, NULL));
                assert_true(session_append(t, ids + at, n, NULL, NULL));
                assert_memory_equal(session_logits(s), session_logits(t),
                                    TINY_VOCABULARY * sizeof(float));
                at += n;
            }
            assert_equal_sessions(s, t);
            session_destroy(s);
            session_destroy(t);
        }
        engine_close(e);
        engine_close(other);
    }
}

static void sizes_are_as_documented(void **state) {
    (void)state;
    struct engine *e = usual_engine();
    struct session *s = read_text(e, &usual, 200);
    struct saved saved;
    save(s, &saved);
    assert_memory_equal(saved.parts[0].data, "ALLMEMS1", 8);
    assert_int_equal(saved.parts[0].size, 8 + 4 + 32 + 32 + 16 + 2 + 8 + 4 * TINY_VOCABULARY + 32);
    size_t layers = 0;
    for (size_t l = 1; l <= LAYERS; l++) {
        layers += saved.parts[l].size - HASH_BYTES;
    }
    assert_int_equal(layers, session_state_bytes(s));
    assert_true(saved.parts[1].size < saved.parts[2].size); /* it keeps fewer tokens */
    /* A part is appended to what stands there, and its seal covers it alone. */
    struct bytes both = {0};
    assert_true(session_save_part(s, 0, &both, NULL));
    assert_true(session_save_part(s, 1, &both, NULL));
    size_t size = saved.parts[0].size;
    assert_int_equal(both.size, size + saved.parts[1].size);
    assert_memory_equal(both.data + size, saved.parts[1].data, saved.parts[1].size);
    bytes_finish(&both);
    drop(&saved);
    session_destroy(s);
    engine_close(e);
}

static bool header_is_refused(struct engine *e, const void *data, size_t size, const char *words) {
    struct error error = {0};
    struct session *s = session_load(e, data, size, &error);
    bool ok = !s && error.code == ERROR_INCOMPATIBLE && strstr(error.text, words);
    if (!ok) {
        print_error("%s: \"%s\", expected \"%s\"\n", s ? "loaded" : "refused", error.text, words);
    }
    session_destroy(s);
    return ok;
}

static bool layer_is_refused(struct session *s, size_t part, const void *data, size_t size,
                             const char *words) {
    struct error error = {0};
    bool ok = !session_load_part(s, part, data, size, &error) && error.code == ERROR_INCOMPATIBLE &&
              strstr(error.text, words);
    if (!ok) {
        print_error("part %zu: \"%s\", expected \"%s\"\n", part, error.text, words);
    }
    return ok;
}

static void every_damaged_byte_is_noticed(void **state) {
    (void)state;
    struct engine *e = usual_engine();
    struct session *s = read_text(e, &usual, 200);
    struct saved saved;
    save(s, &saved);
    struct bytes *header = &saved.parts[0];
    for (size_t i = 0; i < header->size; i++) {
        header->data[i] ^= (uint8_t)(1 << i % 8);
        assert_true(header_is_refused(e, header->data, header->size,
                                      "header of the saved session is damaged"));
        header->data[i] ^= (uint8_t)(1 << i % 8);
    }
    struct session *t = load_header(e, header);
    for (size_t part = 1; part < PARTS; part++) {
        struct bytes *layer = &saved.parts[part];
        char words[64];
        snprintf(words, sizeof words, "layer %zu of the saved session is damaged", part - 1);
        for (size_t i = 0; i < layer->size; i += i < 64 ? 1 : 1009) {
            layer->data[i] ^= (uint8_t)(1 << i % 8);
            assert_true(layer_is_refused(t, part, layer->data, layer->size, words));
            layer->data[i] ^= (uint8_t)(1 << i % 8);
        }
        for (size_t i = layer->size - HASH_BYTES; i < layer->size; i++) {
            layer->data[i] ^= 0x80;
            assert_true(layer_is_refused(t, part, layer->data, layer->size, words));
            layer->data[i] ^= 0x80;
        }
    }
    for (size_t part = 1; part < PARTS; part++) { /* what was refused has left nothing behind */
        load_layer(t, &saved, part);
    }
    assert_equal_sessions(s, t);
    session_destroy(t);
    drop(&saved);
    session_destroy(s);
    engine_close(e);
}

static void every_truncation_is_noticed(void **state) {
    (void)state;
    struct engine *e = usual_engine();
    struct session *s = read_text(e, &usual, 200);
    struct saved saved;
    save(s, &saved);
    const struct bytes *header = &saved.parts[0], *layer = &saved.parts[1];
    for (size_t size = 0; size < header->size; size++) {
        assert_true(header_is_refused(e, header->data, size, "damaged"));
        if (size >= HASH_BYTES) { /* as if it had been saved so */
            struct bytes cut = {0};
            bytes_put(&cut, header->data, size);
            reseal(&cut);
            assert_true(header_is_refused(e, cut.data, cut.size, "saved session"));
            bytes_finish(&cut);
        }
    }
    struct bytes longer = {0};
    bytes_put(&longer, header->data, header->size);
    bytes_put_u8(&longer, 0);
    reseal(&longer);
    assert_true(header_is_refused(e, longer.data, longer.size, "vocabulary"));
    bytes_finish(&longer);
    struct session *t = load_header(e, header);
    for (size_t size = 0; size < layer->size; size += size < 100 ? 1 : 1009) {
        char words[64];
        snprintf(words, sizeof words, "has %zu bytes, expected %zu", size, layer->size);
        assert_true(layer_is_refused(t, 1, layer->data, size, words));
    }
    session_destroy(t);
    drop(&saved);
    session_destroy(s);
    engine_close(e);
}

/* Where the fields of a header stand; engine/README.md. */
enum {
    AT_MAGIC = 0,
    AT_SPEC = 8,
    AT_WINDOW = 76,
    AT_KEEP = 80,
    AT_MERGE = 84,
    AT_SINKS = 88,
    AT_POSITION = 94,
    AT_LOGITS = 102
};

static void put_u32(struct bytes *b, size_t at, uint32_t v) {
    for (int i = 0; i < 4; i++) {
        b->data[at + i] = (uint8_t)(v >> (8 * i));
    }
}

static void headers_of_other_programs_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *title;
        size_t at;
        uint32_t value;
        const char *words;
    } cases[] = {
        {"magic", AT_MAGIC, 0, "no saved session"},
        {"format", AT_MAGIC + 4, 0x32534d45, "no saved session"},
        {"version", AT_SPEC, 1, "version 1, this program reads 6"},
        {"window 0", AT_WINDOW, 0, "window is 0"},
        {"window odd", AT_WINDOW, 97, "window is 97"},
        {"window huge", AT_WINDOW, UINT32_MAX - 15, "window is 4294967280"},
        {"keep huge", AT_KEEP, UINT32_MAX, "4294967295 kept"},
        {"merge huge", AT_MERGE, UINT32_MAX, "4294967295 merged"},
        {"sinks", AT_SINKS, 17, "17 sinks"},
        {"position", AT_POSITION + 4, 1 << 22,
         "at position 18014398509482184, expected at most 9007199254740992"},
        {"logits NaN", AT_LOGITS, 0x7fc00000, "not finite"},
        {"logits inf", AT_LOGITS + 4 * (TINY_VOCABULARY - 1), 0xff800000, "not finite"},
    };
    struct engine *e = usual_engine();
    struct session *s = read_text(e, &usual, 200);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct saved saved;
        save(s, &saved);
        put_u32(&saved.parts[0], cases[i].at, cases[i].value);
        reseal(&saved.parts[0]);
        if (!header_is_refused(e, saved.parts[0].data, saved.parts[0].size, cases[i].words)) {
            fail_msg("%s", cases[i].title);
        }
        drop(&saved);
    }
    session_destroy(s);
    engine_close(e);
}

/* First twelve digits, as messages have them. */
static void short_hex(const uint8_t *hash, char *out) {
    char hex[HASH_HEX];
    hash_hex(hash, hex);
    snprintf(out, 13, "%.12s", hex);
}

static void other_models_and_adapters_are_named(void **state) {
    (void)state;
    struct engine *e = usual_engine();
    struct session *s = read_text(e, &usual, 200);
    struct saved saved;
    save(s, &saved);
    struct tiny_model other_model = model_of("llama"), other_type = model_of("llama");
    struct tiny_adapter a = tiny_adapter_of(), other_adapter = tiny_adapter_of();
    other_model.seed = 2;
    other_type.type = QUANT_F16;
    other_adapter.seed = 2;
    const struct tiny_model same = model_of("llama");
    const struct {
        const char *what;
        const struct tiny_model *model;
        const struct tiny_adapter *adapter;
    } cases[] = {
        {"model", &other_model, &a},
        {"model", &other_type, &a},
        {"adapter", &same, &other_adapter},
        {"adapter", &same, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct engine *other = open_engine(cases[i].model, cases[i].adapter);
        const struct engine_info *x = engine_info(e), *y = engine_info(other);
        bool model = strcmp(cases[i].what, "model") == 0;
        char found[13], expected[13], words[128];
        short_hex(model ? x->file_fingerprint : x->adapter_fingerprint, found);
        short_hex(model ? y->file_fingerprint : y->adapter_fingerprint, expected);
        snprintf(words, sizeof words, "another %s: fingerprint %s, this one is %s", cases[i].what,
                 found, expected);
        assert_true(header_is_refused(other, saved.parts[0].data, saved.parts[0].size, words));
        engine_close(other);
    }
    drop(&saved);
    session_destroy(s);
    engine_close(e);
}

/* One number of each kind that the second layer's state has, made infinite or NaN under a right
 * checksum. */
static void numbers_that_are_not_finite_are_refused(void **state) {
    (void)state;
    const struct window_shape mean = {.layers = LAYERS,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .head_dim = 16,
                                      .window = usual.window,
                                      .chunk = 16,
                                      .sinks = usual.sinks,
                                      .keep = usual.keep,
                                      .merge = 11,
                                      .memory_width = 32};
    const struct window_shape shape = window_of_layer(&mean, 1.5f);
    const struct window_layout l = window_layout(&shape);
    const struct {
        const char *title;
        size_t at;
        bool half;
    } cases[] = {
        {"key", l.keys + 6, true},         {"value", l.values, true},
        {"far key", l.far_keys + 2, true}, {"score", l.scores + 8, false},
        {"rate", l.rates + 4, false},      {"merged", l.merged + 8, false},
        {"count", l.counts, false},        {"merged weight", l.fast - 64, false},
        {"weight", l.fast, false},         {"weight", l.evidence - 4, false},
        {"evidence", l.evidence, false},   {"evidence", l.bytes - 4, false},
    };
    struct engine *e = usual_engine();
    struct session_options merging = usual;
    merging.merge = mean.merge;
    struct session *s = read_text(e, &merging, 200);
    struct saved saved;
    save(s, &saved);
    struct session *t = load_header(e, &saved.parts[0]);
    struct bytes *part = &saved.parts[2];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int sign = 0; sign <= 1; sign++) {
            uint8_t before[4];
            uint8_t *at = part->data + cases[i].at;
            memcpy(before, at, 4);
            if (cases[i].half) {
                at[0] = sign ? 0 : 1; /* NaN, then minus infinity */
                at[1] = sign ? 0xfc : 0x7c;
            } else {
                const bool merged = cases[i].at >= l.merged && cases[i].at < l.fast;
                const float bad = !sign ? NAN : merged ? -3e38f : -INFINITY;
                memcpy(at, &bad, sizeof bad);
            }
            reseal(part);
            if (!layer_is_refused(t, 2, part->data, part->size, "not finite")) {
                fail_msg("%s", cases[i].title);
            }
            memcpy(at, before, 4);
        }
    }
    session_destroy(t);
    drop(&saved);
    session_destroy(s);
    engine_close(e);
}

static void parts_must_come_once_and_all(void **state) {
    (void)state;
    struct engine *e = usual_engine();
    struct session *s = read_text(e, &usual, 200);
    struct saved saved;
    save(s, &saved);
    const struct bytes *layer = &saved.parts[1];
    struct session *t = load_header(e, &saved.parts[0]);
    struct error error = {0};
    load_layer(t, &saved, 1);
    assert_true(layer_is_refused(t, 1, layer->data, layer->size,
                                 "layer 0 of the saved session was loaded before"));
    assert_true(layer_is_refused(t, 0, layer->data, layer->size, "part 0"));
    assert_true(layer_is_refused(t, PARTS, layer->data, layer->size, "part 3"));
    assert_true(layer_is_refused(t, SIZE_MAX, layer->data, layer->size, "saved session"));

    const token one = 1;
    float nll;
    struct bytes out = {0};
    assert_false(session_append(t, &one, 1, NULL, &error));
    assert_int_equal(error.code, ERROR_INCOMPATIBLE);
    assert_non_null(strstr(error.text, "layer 1 was not loaded"));
    assert_int_equal(session_position(t), 200);
    assert_false(session_score(t, &one, 1, &nll, NULL, &error));
    struct session *fork = session_fork(t, NULL); /* no more whole than its origin */
    assert_false(session_append(fork, &one, 1, NULL, &error));
    assert_false(session_save_part(t, 2, &out, &error)); /* zeroes would get a right checksum */
    assert_non_null(strstr(error.text, "layer 1 was not loaded"));
    bytes_finish(&out);
    load_layer(t, &saved, 2);
    assert_true(session_append(t, &one, 1, NULL, &error));
    assert_true(session_append(s, &one, 1, NULL, &error));
    assert_equal_sessions(s, t);

    /* A session that was not loaded takes no parts. */
    assert_true(layer_is_refused(s, 1, layer->data, layer->size, "loaded before"));
    session_destroy(fork);
    session_destroy(t);
    drop(&saved);
    session_destroy(s);
    engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_as_if_it_had_never_stopped),
        cmocka_unit_test(sizes_are_as_documented),
        cmocka_unit_test(every_damaged_byte_is_noticed),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(headers_of_other_programs_are_refused),
        cmocka_unit_test(other_models_and_adapters_are_named),
        cmocka_unit_test(numbers_that_are_not_finite_are_refused),
        cmocka_unit_test(parts_must_come_once_and_all),
    };
    return cmocka_run_group_tests_name("session_saved", tests, NULL, NULL);
}
