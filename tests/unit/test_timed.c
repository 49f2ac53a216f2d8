/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/timed: an engine whose operations are timed computes what another does, and counts the
 * work that the model's sizes tell; engine/cpu/limits: numbers that a machine can have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/tools/tiny_engine.h"

static struct engine *open_engine(bool timed) {
    const struct tiny_model model = tiny_model_of("llama");
    struct bytes file = {0};
    struct error error = {0};
    assert_true(tiny_model_build(&model, &file, &error));
    char *path = tiny_file(file.data, file.size);
    bytes_finish(&file);
    assert_non_null(path);
    const struct engine_options options = {
        .model = path, .backend = "cpu", .threads = 2, .timed = timed};
    struct engine *e = engine_open(&options, &error);
    unlink(path);
    free(path);
    if (!e) {
        fail_msg("%s", error.text);
    }
    return e;
}

static struct session *read_tokens(struct engine *e, const token *ids, size_t n) {
    struct error error = {0};
    const struct session_options options = session_defaults(e);
    struct session *s = session_create(e, &options, &error);
    if (!s || !session_append(s, ids, n, NULL, &error)) {
        fail_msg("%s", error.text);
    }
    return s;
}

static const struct engine_work *find(const struct engine_work *work, const char *operation) {
    for (size_t i = 0; i < ENGINE_OPERATIONS; i++) {
        if (strcmp(work[i].operation, operation) == 0) {
            return &work[i];
        }
    }
    fail_msg("no operation '%s'", operation);
    return NULL;
}

static void timing_changes_nothing(void **state) {
    (void)state;
    enum { N = 300 };
    token ids[N];
    tiny_tokens(1, ids, N);
    struct engine *plain = open_engine(false), *timed = open_engine(true);
    assert_string_equal(engine_info(timed)->backend, "cpu");
    struct session *a = read_tokens(plain, ids, N), *b = read_tokens(timed, ids, N);
    assert_memory_equal(session_logits(a), session_logits(b), TINY_VOCABULARY * sizeof(float));
    session_destroy(a);
    session_destroy(b);
    engine_close(plain);
    engine_close(timed);
}

static void work_is_what_the_sizes_tell(void **state) {
    (void)state;
    const struct tiny_model m = tiny_model_of("llama");
    const uint32_t across = m.heads * m.head_dim, key_values = m.kv_heads * m.head_dim;
    const double layer =
        2.0 * m.width * across + 2.0 * m.width * key_values + 3.0 * m.width * m.ffn_width;
    const double values = m.layers * layer + (double)m.width * TINY_VOCABULARY;
    struct engine *e = open_engine(true);
    struct engine_work work[ENGINE_OPERATIONS];
    const token id = 7;
    struct session *s = read_tokens(e, &id, 1);
    engine_take_work(e, work);
    const struct engine_work *matrices = find(work, "matrices");
    assert_int_equal(matrices->calls, 4 * m.layers + 1);
    assert_true(matrices->flops == 2 * values);
    assert_true(matrices->bytes == sizeof(float) * values);
    assert_true(matrices->seconds > 0 && matrices->seconds < 60);
    const struct engine_work *attention = find(work, "attention"); /* one slot: q . k and p v */
    assert_int_equal(attention->calls, m.layers);
    assert_true(attention->flops == 4.0 * across * m.layers);
    assert_true(attention->bytes == 2.0 * sizeof(uint16_t) * key_values * m.layers);
    assert_int_equal(find(work, "window merge")->calls, 0);

    engine_take_work(e, work); /* begins anew */
    for (size_t i = 0; i < ENGINE_OPERATIONS; i++) {
        assert_true(work[i].calls == 0 && work[i].seconds == 0 && work[i].flops == 0);
    }
    session_destroy(s);
    engine_close(e);
}

static void limits_are_measured(void **state) {
    (void)state;
    struct engine_limits limits = {0};
    struct error error = {0};
    assert_true(engine_measure_limits(1, &limits, &error));
    assert_true(limits.products8 > 1e6 && limits.products8 < 1e15);
    assert_true(limits.products16 > 1e6 && limits.products16 < 1e15);
    assert_true(limits.read > 1e6 && limits.read < 1e13);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timing_changes_nothing),
        cmocka_unit_test(work_is_what_the_sizes_tell),
        cmocka_unit_test(limits_are_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
