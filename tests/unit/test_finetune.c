/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/finetune: training on a tiny model: the error falls, resuming is exact, what is not finite
 * is skipped, wrong options and checkpoints are refused.
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

#include "engine/finetune/start.h"
#include "engine/window.h"
#include "tests/tools/tiny_training.h"

enum { WINDOW = 32, LAYER = 1 };

static void error_falls(void **state) {
    (void)state;
    struct engine *e;
    const struct finetune_options o = tiny_training_options();
    struct finetune *f = tiny_training_start(&e, &o);
    token ids[TINY_LENGTH];
    tiny_tokens(0, ids, TINY_LENGTH);
    const struct finetune_sequence s = tiny_sequence(ids, WINDOW);
    finetune_calibrate(f, &s);
    const double before = finetune_measure(f, &s).mean;
    for (int i = 0; i < 30; i++) {
        assert_int_equal(finetune_step(f, &s, 0).skipped, 0);
    }
    const double after = finetune_measure(f, &s).mean;
    if (!(after < 0.8 * before) || !(before < 1.2)) {
        fail_msg("the error went from %g to %g", before, after);
    }
    finetune_destroy(f);
    engine_close(e);
}

static void save(const struct finetune *f, struct bytes *out) {
    const struct finetune_run run = {.steps = 8, .seconds = 1.5, .spent = 0.5, .best = 0.25};
    assert_true(finetune_save(f, &run, out, NULL));
}

/* Eight steps; and four, a checkpoint into a new trainer, the other four. */
static void resuming_is_exact(void **state) {
    (void)state;
    struct engine *e;
    const struct finetune_options o = tiny_training_options();
    struct bytes whole = {0}, half = {0}, resumed = {0};
    struct finetune *f = tiny_training_start(&e, &o);
    for (uint64_t i = 0; i < 8; i++) {
        tiny_training_step(f, i);
        if (i == 3) {
            save(f, &half);
        }
    }
    save(f, &whole);
    finetune_destroy(f);
    engine_close(e);

    struct finetune_run run;
    f = tiny_training_start(&e, &o);
    assert_true(finetune_load(f, half.data, half.size, &run, NULL));
    assert_true(run.steps == 8 && run.seconds == 1.5 && run.spent == 0.5 && run.best == 0.25);
    assert_int_equal(finetune_steps(f), 4);
    for (uint64_t i = 4; i < 8; i++) {
        tiny_training_step(f, i);
    }
    save(f, &resumed);
    assert_int_equal(resumed.size, whole.size);
    assert_memory_equal(resumed.data, whole.data, whole.size);
    finetune_destroy(f);
    engine_close(e);
    bytes_finish(&whole);
    bytes_finish(&half);
    bytes_finish(&resumed);
}

/* Both stages, kept tokens and short sequences. The tiny model's chunks leave room for halves. */
static struct finetune_options both_stages(void) {
    struct finetune_options o = tiny_training_options();
    o.chunk = TINY_CHUNK / 2;
    o.kept = o.lengths = o.distill = true;
    return o;
}

static void both_stages_step(struct finetune *f, uint64_t step) {
    token ids[TINY_LENGTH];
    tiny_tokens(step % 3, ids, TINY_LENGTH);
    if (step == 0) {
        const struct finetune_sequence first = finetune_trial(f, 0, ids);
        finetune_calibrate(f, &first);
    } else if (step == 4) {
        finetune_enter(f, FINETUNE_DISTILL);
    }
    const struct finetune_sequence s = finetune_plan(f, step, ids);
    finetune_step(f, &s, (double)(step % 4) / 8);
}

/* A checkpoint in either stage and in between. */
static void resuming_is_exact_across_stages(void **state) {
    (void)state;
    struct engine *e;
    const struct finetune_options o = both_stages();
    struct bytes whole = {0}, parts[3] = {0};
    struct finetune *f = tiny_training_start(&e, &o);
    for (uint64_t i = 0; i < 8; i++) {
        both_stages_step(f, i);
        if (i == 1 || i == 3 || i == 5) {
            save(f, &parts[i / 2]);
        }
    }
    save(f, &whole);
    finetune_destroy(f);
    engine_close(e);
    for (uint64_t part = 0; part < 3; part++) {
        struct bytes resumed = {0};
        struct finetune_run run;
        f = tiny_training_start(&e, &o);
        assert_true(finetune_load(f, parts[part].data, parts[part].size, &run, NULL));
        assert_int_equal(finetune_stage(f), part < 2 ? FINETUNE_TRANSFER : FINETUNE_DISTILL);
        for (uint64_t i = 2 * part + 2; i < 8; i++) {
            both_stages_step(f, i);
        }
        save(f, &resumed);
        assert_int_equal(resumed.size, whole.size);
        assert_memory_equal(resumed.data, whole.data, whole.size);
        finetune_destroy(f);
        engine_close(e);
        bytes_finish(&resumed);
        bytes_finish(&parts[part]);
    }
    bytes_finish(&whole);
}

/* Windows, kept tokens and lengths are mixed, and something is always written. */
static void plans_are_mixed(void **state) {
    (void)state;
    struct engine *e;
    const struct finetune_options o = both_stages();
    struct finetune *f = tiny_training_start(&e, &o);
    size_t windows[FINETUNE_WINDOWS] = {0}, kept = 0, twice = 0, halves = 0;
    enum { STEPS = 400 };
    for (uint64_t i = 0; i < STEPS; i++) {
        const struct finetune_sequence s = finetune_plan(f, i, NULL);
        for (size_t w = 0; w < FINETUNE_WINDOWS; w++) {
            windows[w] += s.window == finetune_window(f, w) && s.length == o.length;
        }
        assert_true(s.keep == 0 || s.keep == s.window || s.keep == 2 * s.window);
        assert_true(s.window >= o.chunk &&
                    s.window + WINDOW_MAX_SHARE * s.keep + 4 * o.chunk <= s.length);
        assert_int_equal(s.merge, 0);
        kept += s.keep == s.window;
        twice += s.keep > s.window;
        halves += s.length == o.length / 2;
    }
    for (size_t w = 0; w < FINETUNE_WINDOWS; w++) {
        assert_true(windows[w] > STEPS / 6 && windows[w] < STEPS / 3);
    }
    /* Of the third that may be, the largest window has no room for twice as many. */
    assert_true(kept > STEPS / 3 && kept < STEPS * 5 / 9);
    assert_true(twice > STEPS / 8 && twice < STEPS / 3);
    assert_true(halves > STEPS / 8 && halves < STEPS / 2);
    finetune_destroy(f);
    engine_close(e);
}

/* On every architecture, with kept tokens and without; the adapter is where a trainer goes on. */
static void distillation_lowers_kl(void **state) {
    (void)state;
    static const char *const names[] = {"llama", "qwen2", "qwen3"};
    for (size_t i = 0; i < 3; i++) {
        struct tiny_model model = tiny_model_of(names[i]);
        struct finetune_options o = both_stages();
        o.distill_rate = 0.01f;
        struct error error;
        struct engine *e = tiny_engine(&model, NULL, &error);
        assert_non_null(e);
        struct finetune *f = finetune_create(e, &o, &error);
        assert_non_null(f);
        token ids[TINY_LENGTH];
        tiny_tokens(0, ids, TINY_LENGTH);
        const struct finetune_sequence s[2] = {finetune_trial(f, 0, ids),
                                               finetune_trial(f, 1, ids)};
        assert_true(s[0].keep == 0 && s[1].keep > 0);
        finetune_calibrate(f, &s[0]);
        finetune_enter(f, FINETUNE_DISTILL);
        const double before = finetune_measure(f, &s[0]).mean + finetune_measure(f, &s[1]).mean;
        for (int step = 0; step < 30; step++) {
            assert_int_equal(finetune_step(f, &s[step % 2], 0).skipped, 0);
        }
        const double after = finetune_measure(f, &s[0]).mean + finetune_measure(f, &s[1]).mean;
        const double alone = finetune_measure_alone(f, &s[0]) + finetune_measure_alone(f, &s[1]);
        if (!(after < 0.9 * before) || !(after < alone)) {
            fail_msg("%s: KL went from %g to %g, the window alone has %g", names[i], before, after,
                     alone);
        }
        finetune_destroy(f);
        engine_close(e);
    }
}

/* What an adapter says of the one that its training started from; "" for nothing. */
static void origin_of(const struct finetune *f, char hex[HASH_HEX]) {
    const struct finetune_origin origin = {.date = "2026-01-01"};
    struct bytes file = {0};
    struct gguf g;
    struct gguf_text text = {"", 0};
    assert_true(finetune_adapter(f, &origin, &file, NULL));
    assert_true(gguf_parse(&g, file.data, file.size, NULL));
    gguf_text(&g, "allmem.training.from", &text, NULL);
    assert_true(text.size < HASH_HEX);
    memcpy(hex, text.data, text.size);
    hex[text.size] = 0;
    gguf_finish(&g);
    bytes_finish(&file);
}

static void distillation_starts_from_an_adapter(void **state) {
    (void)state;
    struct engine *e;
    struct finetune_options o = both_stages();
    struct finetune *f = tiny_training_start(&e, &o);
    for (uint64_t i = 0; i < 4; i++) {
        both_stages_step(f, i);
    }
    const struct gguf_text text = {"0123  text", 10};
    const struct finetune_origin origin = {&text, 1, 0.5, "2026-01-01"};
    struct bytes file = {0};
    struct error error;
    assert_true(finetune_adapter(f, &origin, &file, NULL));
    char *path = tiny_file(file.data, file.size), from[HASH_HEX], expected[HASH_HEX];
    uint8_t hash[HASH_BYTES];
    assert_true(hash_of(file.data, file.size, hash));
    hash_hex(hash, expected);
    bytes_finish(&file);
    struct finetune *next = finetune_create(e, &o, &error);
    assert_true(finetune_start_from(next, path, &error));
    origin_of(f, from);
    assert_string_equal(from, "");
    origin_of(next, from);
    assert_string_equal(from, expected);
    struct bytes checkpoint = {0};
    struct finetune_run run = {0};
    save(next, &checkpoint);
    struct finetune *resumed = finetune_create(e, &o, &error);
    assert_true(finetune_load(resumed, checkpoint.data, checkpoint.size, &run, &error));
    origin_of(resumed, from);
    assert_string_equal(from, expected);
    finetune_destroy(resumed);
    bytes_finish(&checkpoint);
    const size_t layers = 2, count = finetune_parameters(f) / layers + 1;
    for (uint32_t l = 0; l < layers; l++) {
        assert_memory_equal(finetune_values(next, l), finetune_values(f, l), count * sizeof(float));
    }
    finetune_destroy(next);
    o.chunk *= 2;
    next = finetune_create(e, &o, &error);
    assert_false(finetune_start_from(next, path, &error));
    assert_int_equal(error.code, ERROR_INCOMPATIBLE);
    assert_non_null(strstr(error.text, "chunk 8"));
    finetune_destroy(next);
    finetune_destroy(f);
    engine_close(e);
    unlink(path);
    free(path);
}

/* In stage 2 a loss that is not finite leaves every layer as it was. */
static void distillation_skips_what_is_not_finite(void **state) {
    (void)state;
    struct engine *e;
    const struct finetune_options o = both_stages();
    struct finetune *f = tiny_training_start(&e, &o);
    token ids[TINY_LENGTH];
    tiny_tokens(0, ids, TINY_LENGTH);
    const struct finetune_sequence s = finetune_trial(f, 0, ids);
    finetune_calibrate(f, &s);
    finetune_enter(f, FINETUNE_DISTILL);
    float *w1 = (float *)finetune_values(f, LAYER), before[100];
    const float good = w1[0];
    memcpy(before, finetune_values(f, 0), sizeof before);
    w1[0] = NAN;
    assert_int_equal(finetune_step(f, &s, 0).skipped, 2);
    assert_memory_equal(finetune_values(f, 0), before, sizeof before);
    w1[0] = good;
    assert_int_equal(finetune_step(f, &s, 0).skipped, 0);
    assert_int_equal(finetune_skipped(f), 2);
    finetune_destroy(f);
    engine_close(e);
}

static void wrong_checkpoints_are_refused(void **state) {
    (void)state;
    struct engine *e;
    struct finetune_options o = tiny_training_options();
    struct finetune *f = tiny_training_start(&e, &o);
    struct finetune_run run;
    struct error error;
    struct bytes good = {0};
    save(f, &good);
    static const struct {
        size_t at;
        const char *part;
    } damages[] = {{0, "no checkpoint"},
                   {8, "version"},
                   {12, "fingerprint"},
                   {44, "other options"},
                   {200, "damaged"}};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        good.data[damages[i].at] ^= 1;
        assert_false(finetune_load(f, good.data, good.size, &run, &error));
        assert_int_equal(error.code, ERROR_INCOMPATIBLE);
        assert_non_null(strstr(error.text, damages[i].part));
        good.data[damages[i].at] ^= 1;
    }
    for (size_t size = 0; size < good.size; size += size < 300 ? 1 : 4099) {
        assert_false(finetune_load(f, good.data, size, &run, &error));
    }
    assert_true(finetune_load(f, good.data, good.size, &run, NULL));
    finetune_destroy(f);
    o.seed++;
    f = finetune_create(e, &o, &error);
    assert_non_null(f);
    assert_false(finetune_load(f, good.data, good.size, &run, &error));
    finetune_destroy(f);
    engine_close(e);
    bytes_finish(&good);
}

/* A gradient that is not finite changes nothing and is counted. */
static void steps_that_are_not_finite_are_skipped(void **state) {
    (void)state;
    struct engine *e;
    const struct finetune_options o = tiny_training_options();
    struct finetune *f = tiny_training_start(&e, &o);
    tiny_training_step(f, 0);
    float *alpha = (float *)finetune_values(f, LAYER); /* some parameter */
    const float good = alpha[0];
    alpha[0] = NAN;
    float *before = calloc(100, sizeof *before);
    assert_non_null(before);
    memcpy(before, alpha, 100 * sizeof *before);
    const struct finetune_result r = tiny_training_step(f, 1);
    assert_int_equal(r.skipped, 1);
    assert_int_equal(finetune_skipped(f), 1);
    assert_memory_equal(before, alpha, 100 * sizeof *before);
    alpha[0] = good;
    assert_int_equal(tiny_training_step(f, 2).skipped, 0);
    assert_int_equal(finetune_skipped(f), 1);
    free(before);
    finetune_destroy(f);
    engine_close(e);
}

static void wrong_options_are_refused(void **state) {
    (void)state;
    static const struct {
        uint32_t length, width, chunk, sinks;
        const char *part;
    } cases[] = {
        {250, TINY_MEMORY, TINY_CHUNK, TINY_SINKS, "250 tokens"},
        {240, TINY_MEMORY, TINY_CHUNK, TINY_SINKS, "240 tokens"},
        {1024, TINY_MEMORY, TINY_CHUNK, TINY_SINKS, "context, 512"},
        {TINY_LENGTH, 20, TINY_CHUNK, TINY_SINKS, "width is 20"},
        {TINY_LENGTH, TINY_MEMORY, 0, TINY_SINKS, "chunk is 0"},
        {TINY_LENGTH, TINY_MEMORY, TINY_CHUNK, 17, "17 sinks"},
    };
    struct tiny_model model = tiny_model_of("llama");
    struct error error;
    struct engine *e = tiny_engine(&model, NULL, &error);
    assert_non_null(e);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct finetune_options o = tiny_training_options();
        o.length = cases[i].length;
        o.width = cases[i].width;
        o.chunk = cases[i].chunk;
        o.sinks = cases[i].sinks;
        assert_null(finetune_create(e, &o, &error));
        assert_int_equal(error.code, ERROR_USAGE);
        if (!strstr(error.text, cases[i].part)) {
            fail_msg("\"%s\" lacks \"%s\"", error.text, cases[i].part);
        }
    }
    engine_close(e);
}

/* qwen2 has biases, qwen3 norms of heads and another rotation: the teacher's first layer must feed
 * the branch all the same. */
static void other_architectures_train(void **state) {
    (void)state;
    static const char *const names[] = {"qwen2", "qwen3"};
    for (size_t i = 0; i < 2; i++) {
        struct tiny_model model = tiny_model_of(names[i]);
        const struct finetune_options o = tiny_training_options();
        struct error error;
        struct engine *e = tiny_engine(&model, NULL, &error);
        assert_non_null(e);
        struct finetune *f = finetune_create(e, &o, &error);
        assert_non_null(f);
        token ids[TINY_LENGTH];
        tiny_tokens(0, ids, TINY_LENGTH);
        const struct finetune_sequence s = tiny_sequence(ids, WINDOW);
        finetune_calibrate(f, &s);
        const double before = finetune_measure(f, &s).mean;
        for (int j = 0; j < 20; j++) {
            finetune_step(f, &s, 0);
        }
        assert_true(finetune_measure(f, &s).mean < before);
        finetune_destroy(f);
        engine_close(e);
    }
}

/* Through the maps, a query and a key have the mean score of the distances. */
static void far_start_is_the_mean_rotation(void **state) {
    (void)state;
    static const char *const names[] = {"llama", "qwen2"}; /* neighbours turn, or halves */
    enum { E = 16, FROM = 5, TO = 90 };
    for (size_t i = 0; i < 2; i++) {
        struct tiny_loaded l = {0};
        struct tiny_model model = tiny_model_of(names[i]);
        struct rope rope;
        assert_true(tiny_model_load(&model, &l, NULL));
        assert_true(rope_init(&rope, &l.m.config.rope, NULL));
        const struct branch_shape shape = {8, 1, 1, E, 16, 4, 0};
        float *values = calloc(parameters_count(&shape), sizeof *values), q[E], k[E], turn[E];
        assert_non_null(values);
        const struct branch_values v = parameters_bind(&shape, values);
        start_values(&shape, &rope, (struct far_distances){FROM, TO}, 1, &v);
        uint64_t random = 3;
        for (size_t j = 0; j < E; j++) {
            q[j] = (float)random_unit(&random) - 0.5f;
            k[j] = (float)random_unit(&random) - 0.5f;
        }
        double mean = 0, found = 0;
        for (uint64_t distance = FROM; distance < TO; distance++) {
            float turned[E];
            memcpy(turned, q, sizeof q);
            rope_row(&rope, distance, turn);
            rope_turn(&rope, turn, false, turned);
            for (size_t j = 0; j < E; j++) {
                mean += (double)(turned[j] * k[j]) / (TO - FROM);
            }
        }
        for (size_t j = 0; j < E; j++) {
            double a = 0, b = 0;
            for (size_t c = 0; c < E; c++) {
                a += (double)(v.ev_q[j * E + c] * q[c]);
                b += (double)(v.ev_k[j * E + c] * k[c]);
            }
            found += a * b;
        }
        if (!(fabs(found - mean) <= 1e-5 * fabs(mean) + 1e-6)) {
            fail_msg("%s: the score is %g, expected %g", names[i], found, mean);
        }
        assert_memory_equal(v.q_map, v.ev_q, E * E * sizeof *v.q_map);
        assert_memory_equal(v.k_map, v.ev_k, E * E * sizeof *v.k_map);
        free(values);
        rope_finish(&rope);
        tiny_model_unload(&l);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(far_start_is_the_mean_rotation),
        cmocka_unit_test(error_falls),
        cmocka_unit_test(resuming_is_exact),
        cmocka_unit_test(resuming_is_exact_across_stages),
        cmocka_unit_test(plans_are_mixed),
        cmocka_unit_test(distillation_lowers_kl),
        cmocka_unit_test(distillation_starts_from_an_adapter),
        cmocka_unit_test(distillation_skips_what_is_not_finite),
        cmocka_unit_test(wrong_checkpoints_are_refused),
        cmocka_unit_test(steps_that_are_not_finite_are_skipped),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(other_architectures_train),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
