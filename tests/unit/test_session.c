/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/session: what must hold whatever the weights are. Text within the window is read as by
 * full attention; a text read in passes gives what it gives token by token; where an append stops
 * changes nothing; a shut memory is a window with sinks; long texts stay finite. Random models and
 * adapters, small enough that the window fills, tokens are kept and distances are clipped.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/cpu/kernels.h"
#include "engine/window.h"
#include "tests/tools/tiny_engine.h"

static const char *const architectures[] = {"llama", "qwen2", "qwen3"};

/* The chunk of an adapter that has a gate of merged tokens and no fast weights. */
enum { GATE_ALONE = 32 };

/* Layers have half and one and a half times the mean; but not beside a gate that is shut, to be
 * compared with what has no adapter. */
static const float UNEVEN = 0.5f, SHUT = -1000;

static struct window_shape shape_of(const struct window_shape *mean, size_t layer) {
    return window_of_layer(mean, layer ? 1 + UNEVEN : 1 - UNEVEN);
}

/* A model whose distances are clipped at 192, with an adapter of this chunk (0: none). NULL for the
 * fastest kernels that run here. */
static struct engine *open_engine(const char *architecture, uint32_t chunk, float gate,
                                  const char *kernels) {
    struct tiny_model model = tiny_model_of(architecture);
    struct tiny_adapter adapter = tiny_adapter_of();
    struct error error = {0};
    model.context = 256;
    adapter.chunk = chunk;
    adapter.width = chunk == GATE_ALONE ? 0 : adapter.width;
    adapter.sinks = adapter.sinks > chunk ? chunk : adapter.sinks;
    adapter.gate = gate;
    adapter.uneven = gate == SHUT ? 0 : UNEVEN;
    if (kernels) {
        setenv("ALLMEM_KERNELS", kernels, 1);
    } else {
        unsetenv("ALLMEM_KERNELS");
    }
    struct engine *e = tiny_engine(&model, chunk ? &adapter : NULL, &error);
    if (!e) {
        fail_msg("%s", error.text);
    }
    return e;
}

static struct session *open_session(struct engine *e, const struct session_options *o) {
    struct error error = {0};
    struct session *s = session_create(e, o, &error);
    if (!s) {
        fail_msg("%s", error.text);
    }
    return s;
}

static void append(struct session *s, const token *ids, size_t n) {
    struct error error = {0};
    if (!session_append(s, ids, n, NULL, &error)) {
        fail_msg("%s", error.text);
    }
}

/* The largest difference between two sessions' logits, as a share of the largest logit. */
static double difference(const struct session *a, const struct session *b) {
    const float *x = session_logits(a), *y = session_logits(b);
    double largest = 0, apart = 0;
    assert_int_equal(session_position(a), session_position(b));
    for (int i = 0; i < TINY_VOCABULARY; i++) {
        assert_true(isfinite(x[i]) && isfinite(y[i]));
        largest = fmax(largest, fabs((double)x[i]));
        apart = fmax(apart, fabs((double)x[i] - (double)y[i]));
    }
    return apart / largest;
}

static void assert_same_logits(const struct session *a, const struct session *b) {
    assert_memory_equal(session_logits(a), session_logits(b), TINY_VOCABULARY * sizeof(float));
}

/* Everything that is saved of two sessions is equal, bit for bit. */
static void assert_same_state(struct session *a, struct session *b) {
    assert_int_equal(session_parts(a), session_parts(b));
    for (size_t part = 0; part < session_parts(a); part++) {
        struct bytes x = {0}, y = {0};
        assert_true(session_save_part(a, part, &x, NULL));
        assert_true(session_save_part(b, part, &y, NULL));
        assert_int_equal(x.size, y.size);
        if (memcmp(x.data, y.data, x.size) != 0) {
            fail_msg("part %zu differs at position %llu", part,
                     (unsigned long long)session_position(a));
        }
        bytes_finish(&x);
        bytes_finish(&y);
    }
}

static void options_have_defaults(void **state) {
    (void)state;
    for (uint32_t chunk = 0; chunk <= 16; chunk += 16) {
        struct engine *e = open_engine("llama", chunk, 0, NULL);
        struct session_options o = session_defaults(e);
        assert_int_equal(o.window, SESSION_WINDOW);
        assert_int_equal(o.keep, SESSION_KEEP);
        assert_int_equal(o.merge, chunk ? 0 : SESSION_MERGE);
        assert_int_equal(o.sinks, 4);
        assert_int_equal(o.memory, chunk != 0);
        assert_true(o.writes);
        o.window = 64;
        struct session *s = open_session(e, &o);
        assert_int_equal(session_position(s), 0);
        assert_null(session_logits(s));
        assert_int_equal(session_options(s).window, 64);
        assert_int_equal(session_parts(s), 3);
        const struct window_shape shape = {.layers = 2,
                                           .heads = 4,
                                           .kv_heads = 2,
                                           .head_dim = 16,
                                           .window = 64,
                                           .chunk = chunk ? chunk : SESSION_CHUNK,
                                           .sinks = 4,
                                           .keep = SESSION_KEEP,
                                           .merge = o.merge,
                                           .memory_width = chunk ? 32 : 0};
        const struct window_shape few = chunk ? shape_of(&shape, 0) : shape;
        const struct window_shape many = chunk ? shape_of(&shape, 1) : shape;
        assert_int_equal(session_state_bytes(s),
                         window_layout(&few).bytes + window_layout(&many).bytes);
        append(s, NULL, 0);
        assert_int_equal(session_position(s), 0);
        session_destroy(s);
        o = session_full_attention(e, 1000);
        assert_int_equal(o.window % SESSION_CHUNK, 0);
        assert_true(o.window >= 1000 && !o.memory && o.keep == 0);
        engine_close(e);
    }
    session_destroy(NULL);
}

static void senseless_requests_are_refused(void **state) {
    (void)state;
    struct engine *e = open_engine("llama", 16, 0, NULL);
    static const struct session_options bad[] = {
        {.window = 0},
        {.window = 65},
        {.window = 64, .sinks = 65},
        {.window = 64, .keep = UINT32_MAX},
        {.window = 1u << 31},
        {.window = 24, .memory = true},
        {.window = 32, .sinks = 17, .memory = true},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error error = {0};
        assert_null(session_create(e, &bad[i], &error));
        assert_int_equal(error.code, ERROR_USAGE);
    }
    const struct session_options o = {.window = 64, .sinks = 4};
    struct error error = {0};
    struct session *s = open_session(e, &o);
    append(s, (const token[]){1, 2, 3}, 3);
    float before[TINY_VOCABULARY];
    memcpy(before, session_logits(s), sizeof before);
    static const token unknown[] = {-1, TINY_VOCABULARY, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        const token ids[3] = {5, 6, unknown[i]};
        assert_false(session_append(s, ids, 3, NULL, &error));
        assert_int_equal(error.code, ERROR_FAILURE);
        assert_non_null(strstr(error.text, "vocabulary"));
        assert_int_equal(session_position(s), 3);
        assert_memory_equal(before, session_logits(s), sizeof before);
    }
    session_destroy(s);
    engine_close(e);
}

static void what_no_machine_holds_is_refused_before_it_is_taken(void **state) {
    (void)state;
    struct tiny_model model = tiny_model_of("llama");
    model.layers = 64;
    model.head_dim = 128;
    model.ffn_width = 64;
    model.type = QUANT_Q4_0;
    struct engine *e = tiny_engine(&model, NULL, NULL);
    assert_non_null(e);
    const struct session_options o = {.window = 1u << 24, .sinks = 4}; /* 1 TB and more */
    struct error error = {0};
    assert_null(session_create(e, &o, &error));
    assert_int_equal(error.code, ERROR_NO_SPACE);
    assert_non_null(strstr(error.text, "MiB are free; --window "));
    engine_close(e);
}

/* Until the first block leaves, memory, sinks and kept tokens change nothing; then they do. */
static void text_in_the_window_is_read_with_full_attention(void **state) {
    (void)state;
    static const struct {
        uint32_t chunk;
        double tolerance; /* with the session's own chunk even the order of sums is the same */
    } cases[] = {{64, 0}, {16, 1e-6}};
    token ids[600];
    tiny_tokens(1, ids, 600);
    for (int a = 0; a < 3; a++) {
        for (size_t c = 0; c < 2; c++) {
            struct engine *e = open_engine(architectures[a], cases[c].chunk, -1, "reference");
            const struct session_options o = {
                .window = 128, .sinks = 4, .keep = 8, .memory = true, .writes = true};
            const struct session_options full = session_full_attention(e, 600);
            struct session *s = open_session(e, &o), *f = open_session(e, &full);
            size_t ring = 128 + cases[c].chunk, at = 0;
            const size_t stops[] = {1, 5, 64, 100, 128, ring - 1, ring};
            for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
                append(s, ids + at, stops[i] - at);
                append(f, ids + at, stops[i] - at);
                at = stops[i];
                assert_true(difference(s, f) <= cases[c].tolerance);
            }
            append(s, ids + at, 5 * cases[c].chunk);
            append(f, ids + at, 5 * cases[c].chunk);
            assert_true(difference(s, f) > 1e-3); /* else nothing was compared */
            session_destroy(s);
            session_destroy(f);
            engine_close(e);
        }
    }
}

static const struct {
    uint32_t chunk; /* of the adapter; 0: without */
    struct session_options options;
} settings[] = {
    {0, {.window = 64, .sinks = 4}},
    {0, {.window = 64, .sinks = 4, .keep = 24}},
    {0, {.window = 128}},
    {16, {.window = 64, .sinks = 4, .memory = true, .writes = true}},
    {16, {.window = 96, .sinks = 4, .keep = 24, .memory = true, .writes = true}},
    {16, {.window = 96, .sinks = 0, .keep = 7, .memory = true}},
    {48, {.window = 96, .sinks = 4, .keep = 100, .memory = true, .writes = true}},
    {192, {.window = 192, .sinks = 4, .memory = true, .writes = true}},
    {3, {.window = 66, .sinks = 2, .keep = 2, .memory = true, .writes = true}},
    {1, {.window = 70, .sinks = 1, .keep = 3, .memory = true, .writes = true}},
    {0, {.window = 64, .sinks = 4, .keep = 9, .merge = 20, .writes = true}},
    {16, {.window = 80, .sinks = 4, .merge = 33, .memory = true, .writes = true}},
    {GATE_ALONE,
     {.window = 96, .sinks = 4, .keep = 9, .merge = 21, .memory = true, .writes = true}},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

/* At most this far apart, relative to the largest logit, may passes be from single tokens. On the
 * reference kernels only sums are ordered otherwise; faster sets may round activations of long
 * passes to 16 bits and of short ones to 8. Such a rounding may also decide which of two tokens of
 * nearly equal score is kept, after which the two have not the same past: so kept tokens are
 * compared on the reference alone. */
static const struct {
    const char *kernels;
    double tolerance;
    bool kept;
} precisions[] = {{"reference", 1e-4, true}, {NULL, 0.1, false}};

static void passes_give_what_single_tokens_give(void **state) {
    (void)state;
    enum { N = 600 };
    token ids[N];
    tiny_tokens(2, ids, N);
    for (int p = 0; p < 2; p++) {
        for (int i = 0; i < SETTINGS; i++) {
            if (settings[i].options.keep && !precisions[p].kept) {
                continue;
            }
            struct engine *e =
                open_engine(architectures[i % 3], settings[i].chunk, -1, precisions[p].kernels);
            struct session *one = open_session(e, &settings[i].options);
            struct session *many = open_session(e, &settings[i].options);
            static const size_t stops[] = {40, 79, 97, 160, 301, 450, N};
            size_t at = 0;
            for (size_t j = 0; j < sizeof stops / sizeof *stops; j++) {
                append(many, ids + at, stops[j] - at);
                for (; at < stops[j]; at++) {
                    append(one, ids + at, 1);
                }
                double apart = difference(one, many);
                if (apart > precisions[p].tolerance) {
                    fail_msg("setting %d, %s kernels, position %zu: %g apart", i,
                             engine_info(e)->kernels, at, apart);
                }
            }
            session_destroy(one);
            session_destroy(many);
            engine_close(e);
        }
    }
}

static void scores_are_those_of_the_logits(void **state) {
    (void)state;
    enum { N = 300 };
    token ids[N];
    float nll[N], whole[N];
    tiny_tokens(3, ids, N);
    struct engine *e = open_engine("qwen2", 16, -1, "reference");
    const struct session_options o = settings[4].options;
    struct session *s = open_session(e, &o), *t = open_session(e, &o), *u = open_session(e, &o);
    struct error error = {0};
    for (size_t i = 0; i < N; i++) {
        nll[i] = 0;
        if (i) {
            double sum = 0;
            for (int j = 0; j < TINY_VOCABULARY; j++) {
                sum += exp((double)session_logits(s)[j]);
            }
            nll[i] = (float)(log(sum) - (double)session_logits(s)[ids[i]]);
        }
        append(s, ids + i, 1);
    }
    assert_true(session_score(t, ids, N, whole, NULL, &error));
    for (int i = 0; i < N; i++) {
        assert_true(fabsf(whole[i] - nll[i]) < 1e-4f);
    }
    assert_true(difference(s, t) < 1e-4);
    assert_true(session_score(u, ids, 77, whole, NULL, &error)); /* goes on where it stopped */
    assert_true(session_score(u, ids + 77, 1, whole + 77, NULL, &error));
    assert_true(session_score(u, ids + 78, N - 78, whole + 78, NULL, &error));
    for (int i = 0; i < N; i++) {
        assert_true(fabsf(whole[i] - nll[i]) < 1e-4f);
    }
    assert_false(session_score(u, (const token[]){-7}, 1, whole, NULL, &error));
    session_destroy(s);
    session_destroy(t);
    session_destroy(u);
    engine_close(e);
}

/* Stops an append at its n-th pass; meanwhile it notes the passes' sizes. */
struct stopper {
    int passes, stop;
    bool slow; /* pretends that passes take long */
    size_t last, shortest;
};

static bool stop_at(void *context, size_t done, size_t total) {
    struct stopper *c = context;
    size_t rows = done - c->last;
    assert_true(done <= total && rows > 0);
    c->shortest = rows < c->shortest ? rows : c->shortest;
    c->last = done;
    if (c->slow) {
        nanosleep(&(struct timespec){.tv_nsec = 210000000}, NULL);
    }
    return ++c->passes != c->stop;
}

/* A stopped append that goes on afterwards computes the same bits, on every set of kernels; and its
 * logits are there in between. */
static void stop_appends(const char *kernels) {
    enum { N = 900, BEGIN = 61 };
    token ids[N];
    tiny_tokens(4, ids, N);
    for (int i = 0; i < SETTINGS; i++) {
        struct engine *e = open_engine("llama", settings[i].chunk, -1, kernels);
        struct session *whole = open_session(e, &settings[i].options);
        append(whole, ids, BEGIN); /* so that passes begin inside a chunk */
        append(whole, ids + BEGIN, N - BEGIN);
        for (int stop = 1; stop <= 3; stop++) {
            struct session *s = open_session(e, &settings[i].options);
            append(s, ids, BEGIN);
            size_t at = BEGIN;
            int stops = 0;
            while (at < N) {
                struct stopper c = {.stop = stop, .shortest = N};
                const struct session_watch watch = {stop_at, &c};
                struct error error = {0};
                if (!session_append(s, ids + at, N - at, &watch, &error)) {
                    assert_int_equal(error.code, ERROR_INTERRUPTED);
                    assert_int_equal(c.passes, stop);
                    stops++;
                }
                at = (size_t)session_position(s);
                assert_true(c.last > 0 && isfinite(session_logits(s)[0]));
            }
            assert_true(stops > 0 || stop > 1);
            assert_same_logits(whole, s);
            assert_same_state(whole, s);
            session_destroy(s);
        }
        session_destroy(whole);
        engine_close(e);
    }
}

static void where_an_append_stops_changes_nothing(void **state) {
    (void)state;
    for (const struct kernels *const *k = kernels_all(); *k; k++) {
        if ((*k)->runs_here()) {
            stop_appends((*k)->name);
        }
    }
}

static void the_number_of_threads_changes_nothing(void **state) {
    (void)state;
    enum { N = 400, ALONE = 30 }; /* in passes, then token by token */
    struct tiny_model model = tiny_model_of("qwen3");
    const struct tiny_adapter adapter = tiny_adapter_of();
    token ids[N];
    struct session *first = NULL;
    struct engine *engines[3];
    tiny_tokens(10, ids, N);
    model.context = 256;
    unsetenv("ALLMEM_KERNELS");
    for (size_t i = 0; i < 3; i++) {
        engines[i] = tiny_engine_of(&model, &adapter, i == 0 ? 1 : 2 * i + 1, NULL);
        assert_non_null(engines[i]);
        struct session *s = open_session(engines[i], &settings[4].options);
        append(s, ids, N - ALONE);
        for (int j = N - ALONE; j < N; j++) {
            append(s, ids + j, 1);
        }
        if (i == 0) {
            first = s;
        } else {
            assert_same_state(first, s);
            session_destroy(s);
        }
    }
    session_destroy(first);
    for (size_t i = 0; i < 3; i++) {
        engine_close(engines[i]);
    }
}

/* No pass is a short piece of a longer append, on machines of any speed: backends multiply few rows
 * another way than many. */
static void no_pass_is_short(void **state) {
    (void)state;
    enum { N = 700 };
    token ids[N];
    tiny_tokens(4, ids, N);
    static const int picks[] = {0, 4, 9}; /* chunks of 64, 16 and 1 */
    for (size_t i = 0; i < 3; i++) {
        struct engine *e = open_engine("llama", settings[picks[i]].chunk, -1, NULL);
        struct session *s = open_session(e, &settings[picks[i]].options);
        static const size_t begins[] = {0, 61, 63, 66, 127, 130};
        for (size_t j = 0; j < sizeof begins / sizeof *begins; j++) {
            size_t n = j < 2 ? 200 : 300;
            struct stopper c = {.slow = j < 2, .shortest = n}; /* then passes are at their least */
            const struct session_watch watch = {stop_at, &c};
            struct error error = {0};
            append(s, ids, (begins[j] - session_position(s) % 64) % 64);
            assert_true(session_append(s, ids, n, &watch, &error));
            assert_true(c.shortest >= 32);
        }
        session_destroy(s);
        engine_close(e);
    }
}

/* With its gate shut the branch adds nothing, not even a rounding error, written or not. */
static void a_shut_memory_is_window_and_sinks(void **state) {
    (void)state;
    enum { N = 500 };
    token ids[N];
    tiny_tokens(5, ids, N);
    for (int a = 0; a < 3; a++) {
        for (uint32_t keep = 0; keep <= 10; keep += 10) {
            struct engine *shut = open_engine(architectures[a], SESSION_CHUNK, SHUT, NULL);
            struct engine *open = open_engine(architectures[a], SESSION_CHUNK, -1, NULL);
            struct session_options o = {.window = 64, .sinks = 4, .keep = keep};
            struct session *plain = open_session(shut, &o);
            o.memory = true;
            struct session *prior = open_session(shut, &o), *read = open_session(open, &o);
            o.writes = true;
            struct session *written = open_session(shut, &o);
            struct session *read_written = open_session(open, &o);
            struct session *all[] = {plain, prior, written, read, read_written};
            for (int i = 0; i < 5; i++) {
                append(all[i], ids, N);
            }
            assert_same_logits(plain, prior);
            assert_same_logits(plain, written);
            assert_true(difference(plain, read) > 1e-3); /* the controls are not the same */
            assert_true(difference(read, read_written) > 1e-4);
            for (int i = 0; i < 5; i++) {
                session_destroy(all[i]);
            }
            engine_close(shut);
            engine_close(open);
        }
    }
}

static void a_fork_goes_its_own_way(void **state) {
    (void)state;
    token ids[400], other[100];
    tiny_tokens(6, ids, 400);
    tiny_tokens(7, other, 100);
    static const size_t places[] = {0, 1, 50, 96, 111, 112, 113, 250};
    struct engine *e = open_engine("qwen3", 16, -1, NULL);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct session *s = open_session(e, &settings[4].options);
        struct session *t = open_session(e, &settings[4].options);
        append(s, ids, places[i]);
        append(t, ids, places[i]);
        struct session *fork = session_fork(s, NULL);
        assert_non_null(fork);
        assert_int_equal(session_position(fork), places[i]);
        if (places[i]) {
            assert_same_logits(s, fork);
        } else {
            assert_null(session_logits(fork));
        }
        append(fork, other, 100); /* leaves the first one as it was */
        append(s, ids + places[i], 400 - places[i]);
        append(t, ids + places[i], 400 - places[i]);
        assert_same_state(s, t);
        append(t, other, 100);
        session_destroy(s);
        s = session_fork(t, NULL);
        session_destroy(t); /* a fork needs its origin no more */
        append(s, ids, 100);
        assert_int_equal(session_position(s), 600);
        session_destroy(s);
        session_destroy(fork);
    }
    engine_close(e);
}

static void places_add_up(void **state) {
    (void)state;
    token ids[300];
    tiny_tokens(8, ids, 300);
    for (int i = 0; i < SETTINGS; i++) {
        struct engine *e = open_engine("llama", settings[i].chunk, -1, NULL);
        struct session *s = open_session(e, &settings[i].options);
        size_t bytes = session_state_bytes(s);
        uint32_t chunk = settings[i].chunk ? settings[i].chunk : SESSION_CHUNK;
        for (uint64_t n = 0; n <= 300; n++) {
            struct session_places p = session_places(s);
            assert_int_equal(p.sinks + p.kept + p.window + p.memory, n);
            assert_true(p.sinks <= settings[i].options.sinks);
            assert_true(p.kept <= settings[i].options.keep);
            assert_true(p.window <= settings[i].options.window + chunk);
            bool left = n > settings[i].options.window + chunk;
            assert_int_equal(p.sinks, left ? settings[i].options.sinks : 0);
            append(s, ids + n % 300, 1);
        }
        assert_int_equal(session_state_bytes(s), bytes);
        session_destroy(s);
        engine_close(e);
    }
}

/* Head sizes at the edge of what models may have, and odd numbers of heads, past the window. */
static void heads_of_any_size_work(void **state) {
    (void)state;
    static const struct {
        uint32_t heads, kv_heads, head_dim;
        bool memory;
    } cases[] = {{2, 1, 1024, false}, {1, 1, 2, true}, {6, 3, 10, true}, {40, 1, 8, true}};
    token ids[220];
    tiny_tokens(9, ids, 220);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tiny_model model = tiny_model_of("llama");
        const struct tiny_adapter adapter = tiny_adapter_of();
        model.context = 256;
        model.frequencies = true;
        model.heads = cases[i].heads;
        model.kv_heads = cases[i].kv_heads;
        model.head_dim = cases[i].head_dim;
        setenv("ALLMEM_KERNELS", "reference", 1);
        struct engine *e = tiny_engine(&model, cases[i].memory ? &adapter : NULL, NULL);
        assert_non_null(e);
        const struct session_options o = {
            .window = 64, .sinks = 4, .keep = 24, .memory = true, .writes = true};
        struct session *one = open_session(e, &o), *many = open_session(e, &o);
        append(many, ids, 220);
        for (int j = 0; j < 220; j++) {
            append(one, ids + j, 1);
        }
        assert_true(difference(one, many) < 1e-4);
        session_destroy(one);
        session_destroy(many);
        engine_close(e);
    }
}

/* ---- long texts ---- */

/* Fast weights of all layers in the saved parts: every number finite, no matrix more than `limit`
 * times as long as at the start. */
static void assert_bounded(struct session *s, struct session *start, double limit) {
    const struct window_shape mean = {.layers = 2,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .head_dim = 16,
                                      .window = session_options(s).window,
                                      .chunk = 16,
                                      .sinks = session_options(s).sinks,
                                      .keep = session_options(s).keep,
                                      .memory_width = 32};
    const size_t matrix = 32 * 16;
    for (size_t part = 1; part <= 2; part++) {
        const struct window_shape shape = shape_of(&mean, part - 1);
        const struct window_layout l = window_layout(&shape);
        struct bytes now = {0}, then = {0};
        assert_true(session_save_part(s, part, &now, NULL));
        assert_true(session_save_part(start, part, &then, NULL));
        assert_int_equal(now.size, l.bytes + HASH_BYTES);
        assert_int_equal(now.size, then.size);
        for (size_t i = 0; i < shape.kv_heads; i++) {
            double sum = 0, before = 0;
            for (size_t j = 0; j < matrix; j++) {
                float v, w;
                const size_t at = l.fast + (i * matrix + j) * sizeof v;
                memcpy(&v, now.data + at, sizeof v);
                memcpy(&w, then.data + at, sizeof w);
                sum += (double)v * (double)v;
                before += (double)w * (double)w;
            }
            assert_true(isfinite(sum) && sum > 0);
            if (sqrt(sum) > limit * sqrt(before)) {
                fail_msg("matrix %zu is %g long, %g at the start", i, sqrt(sum), sqrt(before));
            }
        }
        bytes_finish(&now);
        bytes_finish(&then);
    }
}

static void long_texts_stay_finite(void **state) {
    (void)state;
    enum { N = 30000, PIECE = 3000 };
    static token ids[PIECE];
    struct engine *e = open_engine("llama", 16, -1, NULL);
    struct session_options o = settings[4].options;
    for (int kind = 0; kind < 3; kind++) { /* one token; random ones; two in turn, without keep */
        o.keep = kind == 2 ? 0 : 24;
        struct session *s = open_session(e, &o), *start = open_session(e, &o);
        size_t bytes = session_state_bytes(s);
        for (uint64_t at = 0; at < N; at += PIECE) {
            tiny_tokens(at + 1, ids, PIECE);
            for (int i = 0; kind != 1 && i < PIECE; i++) {
                ids[i] = kind == 0 ? 'a' : i % 2 ? 'b' : ' ';
            }
            append(s, ids, PIECE);
            for (int i = 0; i < TINY_VOCABULARY; i++) {
                assert_true(isfinite(session_logits(s)[i]));
            }
            assert_int_equal(session_state_bytes(s), bytes);
        }
        /* A block adds at most half the length of its weighted values, and a twentieth decays with
         * each: there is an end to it. Twice the start is seen after 3,000 tokens and after all. */
        assert_bounded(s, start, 4);
        assert_int_equal(session_places(s).memory, N - 96 - 16 + (16 - N % 16) % 16 - 4 - o.keep);
        session_destroy(s);
        session_destroy(start);
    }
    engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_have_defaults),
        cmocka_unit_test(senseless_requests_are_refused),
        cmocka_unit_test(what_no_machine_holds_is_refused_before_it_is_taken),
        cmocka_unit_test(text_in_the_window_is_read_with_full_attention),
        cmocka_unit_test(passes_give_what_single_tokens_give),
        cmocka_unit_test(scores_are_those_of_the_logits),
        cmocka_unit_test(where_an_append_stops_changes_nothing),
        cmocka_unit_test(the_number_of_threads_changes_nothing),
        cmocka_unit_test(no_pass_is_short),
        cmocka_unit_test(a_shut_memory_is_window_and_sinks),
        cmocka_unit_test(a_fork_goes_its_own_way),
        cmocka_unit_test(places_add_up),
        cmocka_unit_test(heads_of_any_size_work),
        cmocka_unit_test(long_texts_stay_finite),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
