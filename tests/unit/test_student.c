/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/finetune/student: the loss of stage 2 and its gradients through the frozen base against
 * PyTorch and against central differences, on tiny models of every architecture, with and without
 * kept tokens.
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

#include "engine/finetune/attention_back.h"
#include "engine/finetune/student.h"
#include "tests/golden/student.h"
#include "tests/tools/tiny_engine.h"
#include "tests/tools/tiny_order.h"

enum { GOLDENS = sizeof goldens / sizeof *goldens, L = GOLDEN_LENGTH, C = GOLDEN_CHUNK };

/* A student of a golden model, with all that it is given. */
struct problem {
    struct tiny_loaded loaded;
    struct adapter adapter;
    struct backend *backend;
    struct transformer transformer;
    struct teacher teacher;
    struct teacher_layer work;
    struct branch_shape shape;
    struct branch_pass pass;
    struct window_shape most, *windows; /* of the layers, [layers] */
    struct buffer *state;
    struct student student;
    float *values, *gradients, *scratch; /* [layers][count] */
    size_t layers, count;
    void *owned[5];
};

static float *floats(struct problem *p, size_t i, size_t n) {
    p->owned[i] = aligned_alloc(64, (n + 15) / 16 * 64);
    assert_non_null(p->owned[i]);
    memset(p->owned[i], 0, n * sizeof(float));
    return p->owned[i];
}

/* The model and adapter of tiny_model_tool's arguments. */
static void load(struct problem *p, const char *arguments) {
    struct tiny_order order = tiny_order_of();
    char words[200], *rest = words;
    strcpy(words, arguments);
    for (char *word; (word = strtok_r(rest, " ", &rest));) {
        assert_true(tiny_order_set(&order, word));
    }
    order.adapter.chunk = C;
    struct bytes file = {0};
    struct error error = {0};
    assert_true(tiny_model_load(&order.model, &p->loaded, NULL));
    assert_true(tiny_adapter_build(&order.adapter, &p->loaded.m, &file, NULL));
    char *path = tiny_file(file.data, file.size);
    if (!adapter_open(&p->adapter, path, &p->loaded.m, &error)) {
        fail_msg("%s", error.text);
    }
    unlink(path);
    free(path);
    bytes_finish(&file);
}

static struct problem *make(const struct golden *g, size_t threads) {
    struct problem *p = calloc(1, sizeof *p);
    assert_non_null(p);
    load(p, g->model);
    const struct model_config *c = &p->loaded.m.config;
    p->layers = c->layers;
    p->shape = (struct branch_shape){c->width,         c->heads, c->kv_heads, c->head_dim,
                                     p->adapter.width, C,        GOLDEN_SINKS};
    p->windows = calloc(p->layers, sizeof *p->windows);
    assert_non_null(p->windows);
    const struct window_shape mean =
        window_pass_shape(c, g->window, C, GOLDEN_SINKS, g->keep, g->merge);
    p->most = window_of_layer(&mean, WINDOW_MAX_SHARE);
    for (size_t l = 0; l < p->layers; l++) {
        p->windows[l] = window_of_layer(&mean, p->adapter.branches[l].share);
    }
    p->count = parameters_count(&p->shape);
    p->backend = cpu_backend_create(threads, NULL);
    assert_non_null(p->backend);
    assert_true(transformer_init(&p->transformer, p->backend, &p->loaded.m, NULL, NULL));
    assert_true(teacher_init(&p->teacher, &p->transformer, L, &p->most, NULL));
    assert_true(teacher_layer_init(&p->teacher, &p->work, NULL));
    p->state = p->backend->ops->buffer_create(p->backend, window_layout(&p->most).bytes, NULL);
    assert_true(student_init(&p->student, &p->teacher, &p->shape, &p->most, NULL));

    const struct kernels *k = p->teacher.cpu->kernels;
    size_t scratch = teacher_scratch(&p->teacher) + branch_scratch_floats(&p->shape) +
                     merged_pass_scratch(&p->most) + attention_back_scratch(k, &p->most);
    scratch = (scratch + 15) / 16 * 16;
    p->values = floats(p, 0, p->layers * p->count);
    p->gradients = floats(p, 1, p->layers * p->count);
    p->scratch = floats(p, 2, threads * scratch);
    for (size_t l = 0; l < p->layers; l++) {
        memcpy(p->values + l * p->count, p->adapter.branches[l].values,
               p->count * sizeof *p->values);
    }
    const size_t H = c->heads, M = c->kv_heads, rows = L * (2 * M + H + H * c->head_dim);
    const size_t tape = M * branch_tape_floats(&p->shape, L, g->window);
    float *memory = floats(p, 3, rows + tape + 64);
    p->pass = (struct branch_pass){.kernels = k,
                                   .shape = &p->shape,
                                   .rates = memory,
                                   .gates = memory + L * 2 * M,
                                   .y = memory + L * (2 * M + H),
                                   .tape = memory + (rows + 15) / 16 * 16};
    p->teacher.scratch = p->student.scratch = p->scratch;
    p->teacher.scratch_floats = p->student.scratch_floats = scratch;
    p->student.work = &p->work;
    p->student.pass = &p->pass;
    p->student.state = p->state;
    return p;
}

static void finish(struct problem *p) {
    student_finish(&p->student);
    teacher_layer_finish(&p->teacher, &p->work);
    p->backend->ops->buffer_destroy(p->backend, p->state);
    teacher_finish(&p->teacher);
    transformer_finish(&p->transformer);
    p->backend->ops->destroy(p->backend);
    adapter_close(&p->adapter);
    tiny_model_unload(&p->loaded);
    free(p->windows);
    for (size_t i = 0; i < sizeof p->owned / sizeof *p->owned; i++) {
        free(p->owned[i]);
    }
    free(p);
}

static void bind(struct problem *p, size_t l) {
    p->pass.values = parameters_bind(&p->shape, p->values + l * p->count);
    p->pass.gradients = parameters_bind(&p->shape, p->gradients + l * p->count);
}

/* The loss and, with `back`, all gradients. */
static double run(struct problem *p, bool memory, bool back) {
    int32_t ids[L];
    uint64_t seed = 9; /* as tokens() in forward.py */
    for (size_t i = 0; i < L; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (int32_t)((seed >> 33) % 296);
    }
    student_begin(&p->student, ids, L, p->windows);
    for (size_t l = 0; l < p->layers; l++) {
        bind(p, l);
        student_forward(&p->student, (uint32_t)l, memory);
    }
    const double loss = student_loss(&p->student, back);
    for (size_t l = p->layers; back && l > 0; l--) {
        bind(p, l - 1);
        student_back(&p->student, (uint32_t)(l - 1));
    }
    return loss;
}

/* The slope along a direction of +1 and -1 as signs() in student.py draws it. */
static double along(const float *g, size_t n, uint64_t seed, double *norm) {
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        sum += seed >> 63 ? (double)g[i] : -(double)g[i];
        square += (double)g[i] * (double)g[i];
    }
    *norm = sqrt(square);
    return sum;
}

/* How far apart: all numbers of a parameter as a share of their length, each as a share of the
 * largest, the slope as a share of the gradient's norm. */
struct tolerance {
    double all, each, slope;
};

/* Every parameter's gradient. */
static void compare(const struct problem *p, const struct golden *g, const char *kernels,
                    struct tolerance most) {
    struct parameter table[PARAMETERS];
    parameters_table(&p->shape, table);
    const float *expected = g->gradients, *slopes = g->slopes;
    for (size_t l = 0; l < p->layers; l++) {
        for (size_t t = 0; t < PARAMETERS && table[t].tensor.name; t++) {
            if (strcmp(table[t].tensor.name, "v_scale") == 0) {
                continue; /* not trained */
            }
            const float *found = p->gradients + l * p->count + table[t].offset;
            const size_t n = table[t].count, stride = (n + GOLDEN_SAMPLES - 1) / GOLDEN_SAMPLES;
            double top = 0, worst = 0, apart = 0, length = 0, norm;
            for (size_t i = 0; i < n; i++) {
                top = fmax(top, (double)fabsf(found[i]));
            }
            for (size_t i = 0; i < n; i += stride) {
                const double is = (double)*expected++, d = fabs((double)found[i] - is);
                worst = d <= worst ? worst : d; /* NaN must not pass for small */
                apart += d * d;
                length += is * is;
            }
            const double slope = along(found, n, 100 * l + t, &norm), given = (double)*slopes++;
            if (!(sqrt(apart) <= most.all * sqrt(length)) || !(worst <= most.each * top) ||
                !(fabs(slope - given) <= most.slope * norm)) {
                fail_msg("%s, %s, layer %zu, %s: differs by %g of its length, one by %g of the "
                         "largest, the slope by %g of the norm",
                         g->model, kernels, l, table[t].tensor.name, sqrt(apart / length),
                         worst / top, fabs(slope - given) / norm);
            }
        }
    }
}

static void gradients_are_those_of_pytorch(void **state) {
    (void)state;
    for (size_t i = 0; i < GOLDENS; i++) {
        setenv("ALLMEM_KERNELS", "reference", 1);
        struct problem *p = make(&goldens[i], 1);
        const double loss = run(p, true, true), given = goldens[i].loss;
        assert_int_equal(p->student.first, goldens[i].first);
        if (!(fabs(loss - given) <= 1e-5 * given)) {
            fail_msg("%s: the loss is %.9g, expected %.9g", goldens[i].model, loss, given);
        }
        /* A mean's last bit in binary16 may fall to either side. */
        const double all = goldens[i].merge ? 1.25e-4 : 1e-4, each = goldens[i].merge ? 2e-4 : 1e-4;
        compare(p, &goldens[i], "reference", (struct tolerance){all, each, 1e-3});
        finish(p);
    }
}

/* Threads change nothing at all. */
static void threads_agree(const struct golden *g) {
    struct problem *p = make(g, 1), *q = make(g, 3);
    assert_true(run(p, true, true) == run(q, true, true));
    assert_memory_equal(p->gradients, q->gradients, p->layers * p->count * sizeof(float));
    finish(p);
    finish(q);
}

/* Faster sets of kernels round to 16 bits and less here and there. */
static void kernel_sets_agree(void **state) {
    (void)state;
    for (const struct kernels *const *k = kernels_all(); *k; k++) {
        const struct golden *g = &goldens[1];
        if (!(*k)->runs_here()) {
            continue;
        }
        setenv("ALLMEM_KERNELS", (*k)->name, 1);
        struct problem *p = make(g, 1);
        const double loss = run(p, true, true);
        if (!(fabs(loss - g->loss) <= 0.01 * g->loss)) {
            fail_msg("%s: the loss is %g, expected %g", (*k)->name, loss, g->loss);
        }
        compare(p, g, (*k)->name, (struct tolerance){0.15, 0.15, 0.15});
        finish(p);
        threads_agree(g);
        threads_agree(&goldens[6]); /* which pairs are merged, rounding may change */
    }
}

/* With the gate shut the student is the window alone; where nothing leaves, there is nothing to
 * learn. */
static void without_memory_it_is_the_window(void **state) {
    (void)state;
    setenv("ALLMEM_KERNELS", "reference", 1);
    struct problem *p = make(&goldens[0], 1);
    const double with = run(p, true, false), alone = run(p, false, false);
    const size_t H = p->shape.heads;
    for (size_t l = 0; l < p->layers; l++) {
        const struct branch_values v = parameters_bind(&p->shape, p->values + l * p->count);
        for (size_t h = 0; h < H; h++) {
            v.gate_b[h] = -1000;
        }
    }
    const double shut = run(p, true, false);
    assert_true(fabs(shut - alone) <= 1e-6 * alone && fabs(with - alone) > 0.01 * alone);
    finish(p);

    for (size_t i = 0; i < GOLDENS; i += 5) { /* with fast weights, and with merged tokens */
        struct golden wide = goldens[i];
        wide.window = L - C;
        p = make(&wide, 1);
        assert_true(run(p, true, false) == 0);
        assert_int_equal(p->student.first, L);
        finish(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_pytorch),
        cmocka_unit_test(kernel_sets_agree),
        cmocka_unit_test(without_memory_it_is_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
