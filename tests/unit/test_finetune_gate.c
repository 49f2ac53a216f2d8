/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/finetune without fast weights: the gate of merged tokens is trained in stage 2, on a tiny
 * model. It starts as nothing, lowers the KL, goes into an adapter and back, and resumes exactly.
 * Before it, tokens may be spread over the layers. Gradients are in test_student.c.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/tools/tiny_training.h"

static struct finetune_options gate_options(void) {
    struct finetune_options o = tiny_training_options();
    o.width = 0;
    o.chunk = TINY_CHUNK / 2;
    o.kept = o.lengths = o.distill = true;
    o.distill_rate = 0.03f;
    return o;
}

static void it_starts_as_nothing_and_lowers_kl(void **state) {
    (void)state;
    static const char *const names[] = {"llama", "qwen2", "qwen3"};
    for (size_t i = 0; i < 3; i++) {
        struct tiny_model model = tiny_model_of(names[i]);
        const struct finetune_options o = gate_options();
        struct error error;
        struct engine *e = tiny_engine(&model, NULL, &error);
        assert_non_null(e);
        struct finetune *f = finetune_create(e, &o, &error);
        if (!f) {
            fail_msg("%s", error.text);
        }
        token ids[TINY_LENGTH];
        tiny_tokens(0, ids, TINY_LENGTH);
        const struct finetune_sequence s[2] = {finetune_trial(f, 0, ids),
                                               finetune_trial(f, 1, ids)};
        assert_true(s[0].keep == 0 && s[1].keep > 0);
        finetune_calibrate(f, &s[0]); /* nothing */
        assert_int_equal(finetune_stage(f), FINETUNE_DISTILL);
        assert_int_equal(finetune_parameters(f), 2 * (4 * 64 + 2 * 4));
        double before = 0, after = 0;
        for (size_t j = 0; j < 2; j++) {
            const double kl = finetune_measure(f, &s[j]).mean;
            assert_true(kl == finetune_measure_alone(f, &s[j]) && kl > 0);
            before += kl;
        }
        for (size_t step = 0; step < 40; step++) {
            assert_int_equal(finetune_step(f, &s[step % 2], 0).skipped, 0);
        }
        for (size_t j = 0; j < 2; j++) {
            after += finetune_measure(f, &s[j]).mean;
        }
        if (!(after < 0.9 * before)) {
            fail_msg("%s: KL went from %g to %g", names[i], before, after);
        }
        finetune_destroy(f);
        engine_close(e);
    }
}

/* Half as many merged tokens as the window has; without kept ones often as many as those would be.
 */
static void merged_tokens_take_the_places_of_kept_ones(void **state) {
    (void)state;
    struct engine *e;
    const struct finetune_options o = gate_options();
    struct finetune *f = tiny_training_start(&e, &o);
    size_t few = 0, many = 0, kept = 0;
    enum { STEPS = 300 };
    for (uint64_t i = 0; i < STEPS; i++) {
        const struct finetune_sequence s = finetune_plan(f, i, NULL);
        const size_t room = s.length / 4, twice = 2 * s.window <= room ? 2 * s.window : s.window;
        assert_true(s.merge == s.window / 2 || (s.keep == 0 && s.merge == twice));
        kept += s.keep > 0;
        few += s.keep == 0 && s.merge < s.window;
        many += s.keep == 0 && s.merge >= s.window;
    }
    assert_true(few > STEPS / 9 && many > STEPS / 9 && kept > STEPS / 2);
    finetune_destroy(f);
    engine_close(e);
}

static void steps(struct finetune *f, uint64_t from, uint64_t to) {
    for (uint64_t step = from; step < to; step++) {
        token ids[TINY_LENGTH];
        tiny_tokens(step % 3, ids, TINY_LENGTH);
        const struct finetune_sequence s = finetune_plan(f, step, ids);
        finetune_step(f, &s, (double)step / 8);
    }
}

static void resuming_is_exact(void **state) {
    (void)state;
    struct engine *e;
    const struct finetune_options o = gate_options();
    const struct finetune_run run = {.steps = 8};
    struct finetune_run found;
    struct bytes whole = {0}, half = {0}, resumed = {0};
    struct finetune *f = tiny_training_start(&e, &o);
    steps(f, 0, 4);
    assert_true(finetune_save(f, &run, &half, NULL));
    steps(f, 4, 8);
    assert_true(finetune_save(f, &run, &whole, NULL));
    finetune_destroy(f);
    engine_close(e);

    f = tiny_training_start(&e, &o);
    assert_true(finetune_load(f, half.data, half.size, &found, NULL));
    assert_int_equal(finetune_stage(f), FINETUNE_DISTILL);
    steps(f, 4, 8);
    assert_true(finetune_save(f, &run, &resumed, NULL));
    assert_int_equal(resumed.size, whole.size);
    assert_memory_equal(resumed.data, whole.data, whole.size);
    finetune_destroy(f);
    engine_close(e);
    bytes_finish(&whole);
    bytes_finish(&half);
    bytes_finish(&resumed);
}

/* The adapter as a file, to be unlinked and freed. */
static char *adapter_of(const struct finetune *f) {
    const struct gguf_text text = {"0123  text", 10};
    const struct finetune_origin origin = {&text, 1, 0.5, "2026-01-01"};
    struct bytes file = {0};
    assert_true(finetune_adapter(f, &origin, &file, NULL));
    char *path = tiny_file(file.data, file.size);
    bytes_finish(&file);
    return path;
}

static struct tiny_model long_model(void) {
    struct tiny_model model = tiny_model_of("llama");
    model.context = 16 * SESSION_CHUNK;
    return model;
}

/* Logits at the end of a text that is far longer than the window. */
static void read_with(const char *adapter, uint32_t keep, uint32_t merge,
                      float logits[TINY_VOCABULARY]) {
    enum { N = 400 };
    struct tiny_model model = long_model();
    struct tiny_loaded l;
    struct error error;
    token ids[N];
    tiny_tokens(5, ids, N);
    assert_true(tiny_model_load(&model, &l, NULL));
    char *path = tiny_file(l.file.data, l.file.size);
    const struct engine_options options = {
        .model = path, .adapter = adapter, .backend = "cpu", .threads = 1};
    struct engine *e = engine_open(&options, &error);
    if (!e) {
        fail_msg("%s", error.text);
    }
    struct session_options o = session_defaults(e);
    assert_int_equal(o.merge, SESSION_MERGE);
    assert_true(o.memory == (adapter != NULL));
    o.window = 2 * SESSION_CHUNK;
    o.keep = keep;
    o.merge = merge;
    struct session *s = session_create(e, &o, &error);
    assert_non_null(s);
    assert_true(session_append(s, ids, N, NULL, &error));
    memcpy(logits, session_logits(s), TINY_VOCABULARY * sizeof *logits);
    session_destroy(s);
    engine_close(e);
    unlink(path);
    free(path);
    tiny_model_unload(&l);
}

static void an_adapter_is_what_was_trained(void **state) {
    (void)state;
    struct engine *e;
    struct error error;
    struct finetune_options o = gate_options();
    float without[TINY_VOCABULARY], with[TINY_VOCABULARY];
    o.chunk = TINY_CHUNK;
    struct tiny_model model = long_model();
    e = tiny_engine(&model, NULL, &error);
    assert_non_null(e);
    struct finetune *f = finetune_create(e, &o, &error), *next;
    assert_non_null(f);
    char *untrained = adapter_of(f);
    steps(f, 0, 4);
    char *path = adapter_of(f);
    next = finetune_create(e, &o, &error);
    assert_true(finetune_start_from(next, path, &error));
    for (uint32_t l = 0; l < 2; l++) {
        assert_memory_equal(finetune_values(next, l), finetune_values(f, l),
                            finetune_parameters(f) / 2 * sizeof(float));
    }
    finetune_destroy(next);
    o.width = TINY_MEMORY; /* starting fast weights from a gate would lose the gate */
    next = finetune_create(e, &o, &error);
    assert_false(finetune_start_from(next, path, &error));
    assert_non_null(strstr(error.text, "a gate of merged tokens"));
    finetune_destroy(next);
    finetune_destroy(f);
    engine_close(e);

    read_with(untrained, 8, 40, without);
    read_with(path, 8, 40, with);
    assert_memory_not_equal(without, with, sizeof with);
    unlink(path);
    unlink(untrained);
    free(path);
    free(untrained);
}

/* A gate's file whose row `shut` of merged_b is so low that merged tokens get no attention. */
static char *shut_adapter(const struct tiny_model *model, size_t shut) {
    struct tiny_adapter t = tiny_adapter_of();
    struct tiny_loaded l;
    struct bytes file = {0};
    struct gguf g;
    t.width = 0;
    t.chunk = SESSION_CHUNK;
    assert_true(tiny_model_load(model, &l, NULL));
    assert_true(tiny_adapter_build(&t, &l.m, &file, NULL));
    assert_true(gguf_parse(&g, file.data, file.size, NULL));
    for (size_t layer = 0; layer < 2; layer++) {
        const struct gguf_tensor *b =
            gguf_find_tensor(&g, layer ? "blk.1.mem_merged_b" : "blk.0.mem_merged_b");
        const size_t heads = (size_t)b->ne[0], at = (size_t)((const uint8_t *)b->data - file.data);
        for (size_t h = 0; h < heads; h++) {
            const float value = -1000;
            memcpy(file.data + at + (shut * heads + h) * sizeof value, &value, sizeof value);
        }
    }
    char *path = tiny_file(file.data, file.size);
    gguf_finish(&g);
    tiny_model_unload(&l);
    bytes_finish(&file);
    return path;
}

/* merged_b has a row for layers without kept tokens and one for those with them. */
static void kept_tokens_have_a_bias_of_their_own(void **state) {
    (void)state;
    struct tiny_model model = long_model();
    for (size_t shut = 0; shut < 2; shut++) {
        char *path = shut_adapter(&model, shut);
        for (size_t kept = 0; kept < 2; kept++) {
            float with[TINY_VOCABULARY], without[TINY_VOCABULARY], apart = 0;
            read_with(path, kept ? 8 : 0, 40, with);
            read_with(path, kept ? 8 : 0, 0, without);
            for (size_t i = 0; i < TINY_VOCABULARY; i++) {
                apart = fmaxf(apart, fabsf(with[i] - without[i]));
            }
            assert_true(shut == kept ? apart < 1e-4f : apart > 1e-2f);
        }
        unlink(path);
        free(path);
    }
}

struct passes {
    size_t done, of, stop;
};

static bool count_pass(void *context, size_t done, size_t of) {
    struct passes *p = context;
    assert_true(done > p->done && done <= of);
    p->done = done;
    p->of = of;
    return done < p->stop;
}

/* Two layers, each a group of its own. Training leaves the shares, and an adapter has them. */
static void tokens_are_spread(void **state) {
    (void)state;
    struct engine *e;
    struct error error;
    const struct finetune_options o = gate_options();
    struct finetune *f = tiny_training_start(&e, &o);
    token ids[TINY_LENGTH];
    tiny_tokens(0, ids, TINY_LENGTH);
    const struct finetune_sequence s = finetune_trial(f, 1, ids);
    struct passes passes = {.stop = 3};
    const struct session_watch watch = {count_pass, &passes};
    const double before = finetune_measure(f, &s).mean;
    assert_false(finetune_spread_try(f, &s, &watch));
    assert_int_equal(passes.done, 3);
    assert_true(finetune_share(f, 0) == 1 && finetune_share(f, 1) == 1);
    assert_true(finetune_measure(f, &s).mean == before);
    finetune_destroy(f);
    engine_close(e);

    f = tiny_training_start(&e, &o);
    passes = (struct passes){.stop = SIZE_MAX};
    assert_true(finetune_spread_try(f, &s, &watch));
    assert_true(passes.done == 5 && passes.of == 5);
    finetune_spread(f);
    const float first = finetune_share(f, 0), second = finetune_share(f, 1);
    assert_true(fabs((double)(first + second) - 2) < 1e-3 && fabs((double)(first - second)) > 0.1);
    assert_true(finetune_measure(f, &s).mean < before);
    steps(f, 0, 4);
    char *path = adapter_of(f);
    finetune_destroy(f);
    f = finetune_create(e, &o, &error);
    assert_true(finetune_start_from(f, path, &error));
    assert_true(finetune_share(f, 0) == first && finetune_share(f, 1) == second);
    finetune_destroy(f);
    engine_close(e);
    unlink(path);
    free(path);
}

/* With the chunk and the sinks that sessions have without an adapter. */
static void untrained_it_changes_nothing(void **state) {
    (void)state;
    struct tiny_model model = long_model();
    struct finetune_options o = gate_options();
    struct error error;
    float with[TINY_VOCABULARY], without[TINY_VOCABULARY];
    o.chunk = SESSION_CHUNK;
    o.sinks = SESSION_SINKS;
    o.length = 16 * SESSION_CHUNK;
    struct engine *e = tiny_engine(&model, NULL, &error);
    assert_non_null(e);
    struct finetune *f = finetune_create(e, &o, &error);
    if (!f) {
        fail_msg("%s", error.text);
    }
    char *path = adapter_of(f);
    finetune_destroy(f);
    engine_close(e);
    read_with(NULL, 8, 40, without);
    read_with(path, 8, 40, with);
    assert_memory_equal(with, without, sizeof with);
    unlink(path);
    free(path);
}

static void stage_1_is_refused(void **state) {
    (void)state;
    struct tiny_model model = tiny_model_of("llama");
    struct finetune_options o = gate_options();
    struct error error;
    struct engine *e = tiny_engine(&model, NULL, &error);
    assert_non_null(e);
    o.distill = false;
    assert_null(finetune_create(e, &o, &error));
    assert_int_equal(error.code, ERROR_USAGE);
    assert_non_null(strstr(error.text, "stage 2 trains the gate"));
    engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_as_nothing_and_lowers_kl),
        cmocka_unit_test(resuming_is_exact),
        cmocka_unit_test(an_adapter_is_what_was_trained),
        cmocka_unit_test(tokens_are_spread),
        cmocka_unit_test(untrained_it_changes_nothing),
        cmocka_unit_test(stage_1_is_refused),
        cmocka_unit_test(kept_tokens_have_a_bias_of_their_own),
        cmocka_unit_test(merged_tokens_take_the_places_of_kept_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
