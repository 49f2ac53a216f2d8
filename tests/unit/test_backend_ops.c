/* SPDX-License-Identifier: Apache-2.0
 *
 * Every operation of every backend (engine/backend.h) against the CPU backend on its plain C set:
 * all tensor types, odd sizes. Both start each operation from the same inputs and the same state,
 * so that what is compared is one operation's rounding. A new operation is a function here and a
 * row in `checks`; a new size a row in a table.
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

#include "engine/backend.h"
#include "engine/cpu/kernels.h"

/* ---- the two sides ---- */

enum { REFERENCE, TRIED, SIDES };

/* What a backend may be off by, as a share of the quadratic mean of the values. The CPU's faster
 * sets round activations to 8 bits, or both factors to bf16. */
struct candidate {
    const char *name;     /* a set of kernels, or what is tried of Vulkan */
    const char *vulkan;   /* ALLMEM_VULKAN: which variants of its shaders run; NULL: the CPU */
    double product, rest; /* matmul; everything else */
    bool matrices_only;   /* the rest is as in another candidate */
};

struct rig {
    const struct candidate *candidate;
    struct backend *b[SIDES];
};

/* The same buffer on both sides. */
struct twin {
    struct buffer *side[SIDES];
    size_t bytes;
};

static uint32_t random_state;

static uint32_t random_bits(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

/* Nearly normal, around 0. */
static float random_float(void) {
    float sum = 0;
    for (int i = 0; i < 4; i++) {
        sum += (float)(random_bits() >> 8) / (1 << 24) - 0.5f;
    }
    return sum;
}

static void *room(size_t bytes) {
    void *p = calloc(1, bytes ? bytes : 1);
    assert_non_null(p);
    return p;
}

static float *random_floats(size_t n, float scale) {
    float *x = room(n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        x[i] = scale * random_float();
    }
    return x;
}

static struct backend *open_side(const char *name, const char *vulkan, struct error *error) {
    if (vulkan) {
        const struct vulkan_options options = {.any = true};
        setenv("ALLMEM_VULKAN", vulkan, 1);
        return vulkan_backend_create(&options, error);
    }
    setenv("ALLMEM_KERNELS", name, 1);
    return cpu_backend_create(2, error);
}

static void open_rig(struct rig *r, void **state) {
    struct error error = {0};
    const struct candidate *c = *state;
    *r = (struct rig){.candidate = c};
    random_state = 12345;
    r->b[TRIED] = open_side(c->name, c->vulkan, &error);
    if (!r->b[TRIED] && c->vulkan) {
        print_message("skipped, no Vulkan: %s\n", error.text);
        skip();
    }
    r->b[REFERENCE] = open_side("reference", NULL, NULL);
    if (!r->b[REFERENCE] || !r->b[TRIED]) {
        fail_msg("%s: %s", c->name, error.text);
    }
}

static void close_rig(struct rig *r) {
    for (int i = 0; i < SIDES; i++) {
        struct error error = {0};
        if (!r->b[i]->ops->wait(r->b[i], &error)) {
            fail_msg("%s: %s", r->b[i]->ops->name, error.text);
        }
        r->b[i]->ops->destroy(r->b[i]);
    }
}

/* `data` may be NULL: zeroes. */
static struct twin twin_of(struct rig *r, const void *data, size_t bytes) {
    struct twin t = {.bytes = bytes};
    for (int i = 0; i < SIDES; i++) {
        t.side[i] = r->b[i]->ops->buffer_create(r->b[i], bytes, NULL);
        assert_non_null(t.side[i]);
        if (data) {
            r->b[i]->ops->buffer_write(r->b[i], t.side[i], 0, data, bytes);
        }
    }
    return t;
}

static struct twin twin_of_random(struct rig *r, size_t floats, float scale) {
    float *x = random_floats(floats, scale);
    struct twin t = twin_of(r, x, floats * sizeof *x);
    free(x);
    return t;
}

static void drop_twin(struct rig *r, struct twin *t) {
    for (int i = 0; i < SIDES; i++) {
        r->b[i]->ops->buffer_destroy(r->b[i], t->side[i]);
    }
}

static void *bytes_of(struct rig *r, const struct twin *t, int side) {
    void *data = room(t->bytes);
    r->b[side]->ops->buffer_read(r->b[side], t->side[side], 0, data, t->bytes);
    return data;
}

/* The largest difference of n values to the reference, in quadratic means of the latter, or in
 * `size`s if that is more. */
static double apart(const float *found, const float *expected, size_t n, double size) {
    double square = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)found[i] - (double)expected[i]);
        square += (double)expected[i] * (double)expected[i];
        most = d > most || isnan(d) ? d : most;
    }
    return most == 0 ? 0 : most / fmax(sqrt(square / (double)n), fmax(size, 1e-30));
}

static void compare_sized(struct rig *r, const struct twin *t, double size, double tolerance,
                          const char *what) {
    float *expected = bytes_of(r, t, REFERENCE), *found = bytes_of(r, t, TRIED);
    double d = apart(found, expected, t->bytes / sizeof *found, size);
    if (!(d <= tolerance)) {
        fail_msg("%s, %s: %g apart, expected at most %g", r->candidate->name, what, d, tolerance);
    }
    free(expected);
    free(found);
}

static void compare(struct rig *r, const struct twin *t, double tolerance, const char *what) {
    compare_sized(r, t, 0, tolerance, what);
}

/* ---- buffers ---- */

static void buffers(void **state) {
    struct rig r;
    open_rig(&r, state);
    const size_t bytes = 9 << 20; /* more than a backend moves at once */
    uint8_t *data = room(bytes), *found = room(bytes);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (uint8_t)random_bits();
    }
    const struct backend_ops *ops = r.b[TRIED]->ops;
    struct twin a = twin_of(&r, NULL, bytes), b = twin_of(&r, data, bytes);
    ops->buffer_read(r.b[TRIED], a.side[TRIED], 0, found, bytes);
    for (size_t i = 0; i < bytes; i++) {
        assert_int_equal(found[i], 0);
    }
    ops->buffer_copy(r.b[TRIED], a.side[TRIED], b.side[TRIED], bytes);
    ops->buffer_write(r.b[TRIED], a.side[TRIED], 12, "four", 4);
    memcpy(data + 12, "four", 4);
    ops->buffer_read(r.b[TRIED], a.side[TRIED], 4, found, bytes - 4);
    assert_memory_equal(found, data + 4, bytes - 4);
    drop_twin(&r, &a);
    drop_twin(&r, &b);
    /* Many of all sizes, some gone in between: none overlaps another. */
    struct twin many[40];
    for (size_t i = 0; i < 40; i++) {
        many[i] = twin_of(&r, data + i, 4 * (1 + (i * 7919) % 5000));
        if (i % 3 == 2) {
            drop_twin(&r, &many[i - 1]);
            many[i - 1] = twin_of(&r, data + i - 1, 4 * i);
        }
    }
    for (size_t i = 0; i < 40; i++) {
        ops->buffer_read(r.b[TRIED], many[i].side[TRIED], 0, found, many[i].bytes);
        assert_memory_equal(found, data + i, many[i].bytes);
        drop_twin(&r, &many[i]);
    }
    free(data);
    free(found);
    close_rig(&r);
}

/* ---- matrices ---- */

/* Where the 16-bit fields of a block stand; its other bytes may have any value. */
static const struct {
    enum quant_type type;
    int fields[2]; /* -1: none */
} types[] = {
    {QUANT_F32, {-1, -1}},   {QUANT_F16, {0, -1}},    {QUANT_BF16, {-1, -1}}, {QUANT_Q4_0, {0, -1}},
    {QUANT_Q4_1, {0, 2}},    {QUANT_Q5_0, {0, -1}},   {QUANT_Q5_1, {0, 2}},   {QUANT_Q8_0, {0, -1}},
    {QUANT_Q2_K, {80, 82}},  {QUANT_Q3_K, {108, -1}}, {QUANT_Q4_K, {0, 2}},   {QUANT_Q5_K, {0, 2}},
    {QUANT_Q6_K, {208, -1}},
};
enum { TYPES = sizeof types / sizeof *types };

static struct gguf_tensor random_tensor(size_t t, size_t rows, size_t columns) {
    const enum quant_type type = types[t].type;
    const size_t block = quant_info(type)->block_bytes;
    const size_t bytes = rows * quant_row_bytes(type, columns);
    uint8_t *w = room(bytes);
    for (size_t at = 0; at < bytes; at += block) {
        const float value = random_float();
        const uint16_t bf16 = quant_bf16_of(value);
        for (size_t i = 0; i < block; i++) {
            w[at + i] = (uint8_t)(random_bits() >> 24);
        }
        if (type == QUANT_F32) {
            memcpy(w + at, &value, sizeof value);
        } else if (type == QUANT_BF16) {
            memcpy(w + at, &bf16, sizeof bf16);
        }
        for (int f = 0; f < 2 && types[t].fields[f] >= 0; f++) {
            /* Every fourth scale is a subnormal number of binary16. */
            const float scale = random_float() * (random_bits() % 4 ? 1 : 1e-5f);
            const uint16_t f16 = quant_f16_of(scale);
            memcpy(w + at + types[t].fields[f], &f16, sizeof f16);
        }
    }
    return (struct gguf_tensor){
        .dims = 2, .ne = {columns, rows, 1, 1}, .type = type, .data = w, .size = bytes};
}

/* The quadratic mean of a row's product with random_floats: rounding is a share of it, however
 * much the terms of one sum cancel. */
static double product_size(const struct gguf_tensor *t) {
    const size_t columns = (size_t)t->ne[0], row_bytes = quant_row_bytes(t->type, columns);
    float *row = room(columns * sizeof *row);
    double square = 0;
    for (size_t i = 0; i < t->ne[1]; i++) {
        quant_row(t->type, (const uint8_t *)t->data + i * row_bytes, row, columns);
        for (size_t j = 0; j < columns; j++) {
            square += (double)row[j] * (double)row[j];
        }
    }
    free(row);
    return sqrt(square / 3 / (double)t->ne[1]); /* a random float's square is 1/3 */
}

/* Two products of one input, the first with a bias, and rows of the first matrix. */
static void check_matrix(struct rig *r, size_t t, size_t rows, size_t columns, size_t n) {
    struct gguf_tensor first = random_tensor(t, rows, columns);
    const size_t next = (t + 5) % TYPES;
    const bool divides = columns % quant_info(types[next].type)->block == 0;
    struct gguf_tensor second = random_tensor(divides ? next : t, 3, columns);
    struct twin x = twin_of_random(r, n * columns, 1), bias = twin_of_random(r, rows, 1);
    struct twin y = twin_of(r, NULL, n * rows * 4), z = twin_of(r, NULL, n * 3 * 4);
    struct twin rows_of = twin_of(r, NULL, n * columns * 4);
    int32_t *ids = room(n * sizeof *ids);
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int32_t)(random_bits() % rows);
    }
    for (int i = 0; i < SIDES; i++) {
        struct backend *b = r->b[i];
        struct error error = {0};
        struct matrix *m = b->ops->matrix_create(b, &first, &error);
        struct matrix *same = b->ops->matrix_create(b, &first, &error);
        struct matrix *other = b->ops->matrix_create(b, &second, &error);
        if (!m || !other || !same) {
            fail_msg("%s: %s", r->candidate->name, error.text);
        }
        b->ops->matrix_destroy(b, m);
        b->ops->matmul(b, 2, (struct buffer *[]){y.side[i], z.side[i]},
                       (struct matrix *[]){same, other}, (struct buffer *[]){bias.side[i], NULL},
                       x.side[i], n);
        b->ops->embed(b, rows_of.side[i], same, ids, n);
        b->ops->matrix_destroy(b, same);
        b->ops->matrix_destroy(b, other);
    }
    char what[96];
    snprintf(what, sizeof what, "matmul %s [%zu][%zu] by %zu", quant_info(first.type)->name, rows,
             columns, n);
    compare_sized(r, &y, product_size(&first), r->candidate->product, what);
    compare_sized(r, &z, product_size(&second), r->candidate->product, what);
    snprintf(what, sizeof what, "embed %s [%zu][%zu], %zu rows", quant_info(first.type)->name, rows,
             columns, n);
    compare(r, &rows_of, 1e-6, what);
    drop_twin(r, &x);
    drop_twin(r, &y);
    drop_twin(r, &z);
    drop_twin(r, &bias);
    drop_twin(r, &rows_of);
    free(ids);
    free((void *)first.data);
    free((void *)second.data);
}

static void matrices(void **state) {
    static const struct {
        size_t rows, columns, n;
    } sizes[] = {{1, 256, 1},   {7, 256, 3},    {97, 512, 1}, {130, 256, 33},
                 {64, 768, 64}, {300, 256, 70}, {5, 1280, 1}, {33, 1024, 9}},
      narrow[] = {{3, 32, 1}, {65, 96, 5}, {40, 288, 1}, {100, 64, 40}},
      odd[] = {{5, 1, 1}, {6, 7, 2}, {67, 33, 1}, {66, 50, 35}};
    struct rig r;
    open_rig(&r, state);
    struct window_shape shape = {.layers = 1,
                                 .heads = 1,
                                 .kv_heads = 1,
                                 .head_dim = 8,
                                 .window = 8,
                                 .chunk = 8,
                                 .clip = 100};
    for (int i = 0; i < SIDES; i++) {
        assert_true(r.b[i]->ops->prepare(r.b[i], &shape, 128, 2048, NULL));
    }
    for (size_t t = 0; t < TYPES; t++) {
        const uint32_t block = quant_info(types[t].type)->block;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            check_matrix(&r, t, sizes[i].rows, sizes[i].columns, sizes[i].n);
        }
        for (size_t i = 0; block <= 32 && i < sizeof narrow / sizeof *narrow; i++) {
            check_matrix(&r, t, narrow[i].rows, narrow[i].columns, narrow[i].n);
        }
        for (size_t i = 0; block == 1 && i < sizeof odd / sizeof *odd; i++) {
            check_matrix(&r, t, odd[i].rows, odd[i].columns, odd[i].n);
        }
    }
    close_rig(&r);
}

/* ---- rows ---- */

static void norms(void **state) {
    static const struct {
        size_t from, n, width;
    } sizes[] = {{0, 1, 1}, {2, 3, 7}, {0, 70, 64}, {1, 2, 576}, {3, 33, 129}};
    struct rig r;
    open_rig(&r, state);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const size_t from = sizes[s].from, n = sizes[s].n, width = sizes[s].width;
        struct twin x = twin_of_random(&r, (from + n) * width, 3);
        struct twin y = twin_of(&r, NULL, n * width * 4), weight = twin_of_random(&r, width, 1);
        for (int i = 0; i < SIDES; i++) {
            struct backend *b = r.b[i];
            b->ops->rms_norm(b, y.side[i], x.side[i], from, weight.side[i], n, width, 1e-5f);
            b->ops->rms_norm(b, x.side[i], x.side[i], 0, weight.side[i], n, width, 1e-5f);
        }
        compare(&r, &y, r.candidate->rest, "rms_norm");
        compare(&r, &x, r.candidate->rest, "rms_norm in place");
        drop_twin(&r, &x);
        drop_twin(&r, &y);
        drop_twin(&r, &weight);
    }
    close_rig(&r);
}

static void elementwise(void **state) {
    static const size_t sizes[] = {1, 63, 1000, 70000};
    struct rig r;
    open_rig(&r, state);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct twin x = twin_of_random(&r, sizes[s], 10), y = twin_of_random(&r, sizes[s], 10);
        for (int i = 0; i < SIDES; i++) {
            r.b[i]->ops->add(r.b[i], x.side[i], y.side[i], sizes[s]);
            r.b[i]->ops->swiglu(r.b[i], y.side[i], x.side[i], sizes[s]);
        }
        compare(&r, &x, 1e-6, "add");
        compare(&r, &y, r.candidate->rest, "swiglu");
        drop_twin(&r, &x);
        drop_twin(&r, &y);
    }
    /* Where the exponential overflows. */
    const float gates[] = {-1000, -90, -88, 88, 90, 1000, 0};
    struct twin x = twin_of(&r, gates, sizeof gates), y = twin_of_random(&r, 7, 1);
    for (int i = 0; i < SIDES; i++) {
        r.b[i]->ops->swiglu(r.b[i], x.side[i], y.side[i], 7);
    }
    compare(&r, &x, r.candidate->rest, "swiglu of large numbers");
    drop_twin(&r, &x);
    drop_twin(&r, &y);
    close_rig(&r);
}

/* ---- a layer's window and memory ---- */

struct layer_case {
    uint32_t heads, kv_heads, head_dim, window, chunk, sinks, keep, merge, clip, memory_width;
    uint32_t dims, interleaved; /* of RoPE; dims 0: head_dim */
    uint64_t begin;             /* a multiple of the chunk */
    size_t tokens, rows;        /* at a time, at most */
    bool no_writes;
};

struct layer {
    struct rig r;
    const struct layer_case *c;
    struct window_shape shape;
    struct window_layout layout;
    struct rope rope;
    struct memory_branch branch;
    struct twin state, q, k, v, rates, gate, merged_gate, out;
};

/* What the layer's state may differ by after an operation, part by part; then both go on from the
 * reference's. */
static void compare_states(struct layer *l, const char *operation) {
    const struct rig *r = &l->r;
    const struct window_layout *y = &l->layout;
    const size_t M = l->shape.kv_heads, kept = M * l->shape.keep * 4;
    uint8_t *expected = bytes_of(&l->r, &l->state, REFERENCE);
    uint8_t *found = bytes_of(&l->r, &l->state, TRIED);
    const char *name = r->candidate->name;
    for (size_t at = y->keys; at < y->scores; at += 2) { /* one unit in the last place */
        uint16_t a, b;
        memcpy(&a, expected + at, 2);
        memcpy(&b, found + at, 2);
        const double x = (double)quant_f16_to(a), z = (double)quant_f16_to(b);
        if (!(fabs(x - z) <= fabs(x) / 1000 + 1e-6)) {
            fail_msg("%s, %s: byte %zu of the state (values %zu, far_keys %zu): %g, expected %g",
                     name, operation, at, y->values, y->far_keys, z, x);
        }
    }
    const struct {
        const char *name;
        size_t from, bytes;
        double tolerance, size;
    } parts[] = {{"scores", y->scores, y->rates - y->scores, r->candidate->rest, 0},
                 {"rates", y->rates, y->kept_at - y->rates, 1e-5, 0},
                 {"merged tokens", y->merged, y->counts - y->merged, 1e-5, 0},
                 {"counts", y->counts, y->weights - y->counts, 1e-5, 0},
                 {"weights", y->weights, y->fast - y->weights, 1e-5, 1},
                 {"fast weights", y->fast, y->evidence - y->fast, r->candidate->rest, 0},
                 {"evidence", y->evidence, y->bytes - y->evidence, r->candidate->rest, 0}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const double d = parts[i].bytes ? apart((float *)(void *)(found + parts[i].from),
                                                (float *)(void *)(expected + parts[i].from),
                                                parts[i].bytes / 4, parts[i].size)
                                        : 0;
        if (!(d <= parts[i].tolerance)) {
            fail_msg("%s, %s: %s are %g apart", name, operation, parts[i].name, d);
        }
    }
    assert_memory_equal(expected + y->kept_at, found + y->kept_at, kept);
    r->b[TRIED]->ops->buffer_write(r->b[TRIED], l->state.side[TRIED], 0, expected, l->state.bytes);
    free(expected);
    free(found);
}

static struct attention_step step_of(struct layer *l, int side, uint64_t position, size_t row,
                                     size_t rows) {
    return (struct attention_step){.shape = &l->shape,
                                   .state = l->state.side[side],
                                   .memory = l->shape.memory_width ? &l->branch : NULL,
                                   .writes = !l->c->no_writes,
                                   .position = position,
                                   .row = row,
                                   .rows = rows,
                                   .q = l->q.side[side],
                                   .k = l->k.side[side],
                                   .v = l->v.side[side],
                                   .rates = l->rates.side[side],
                                   .gate = l->gate.side[side],
                                   .merged_gate =
                                       l->c->merge % 2 ? l->merged_gate.side[side] : NULL,
                                   .out = l->out.side[side]};
}

typedef void operation(struct backend *b, const struct attention_step *step);

static void both(struct layer *l, operation *const ops[SIDES], uint64_t position, size_t row,
                 size_t rows, const char *name) {
    for (int i = 0; i < SIDES; i++) {
        const struct attention_step step = step_of(l, i, position, row, rows);
        ops[i](l->r.b[i], &step);
    }
    compare_states(l, name);
}

#define BOTH(l, name, position, row, rows)                                                         \
    both(l, (operation *const[]){(l)->r.b[0]->ops->name, (l)->r.b[1]->ops->name}, position, row,   \
         rows, #name)

static void run_rows(struct layer *l, uint64_t position, size_t row, size_t rows) {
    const struct window_shape *s = &l->shape;
    if (window_leaves(s, position)) {
        BOTH(l, window_retire, position, row, rows);
        if (s->merge) {
            BOTH(l, window_merge, position, row, rows);
        }
        if (s->memory_width) {
            BOTH(l, memory_write, position, row, rows);
        }
    }
    BOTH(l, window_store, position, row, rows);
    BOTH(l, window_attend, position, row, rows);
    compare(&l->r, &l->out, l->r.candidate->rest, "window_attend");
    if (s->memory_width && window_written_at(s, position - position % s->chunk) > 0) {
        BOTH(l, memory_read, position, row, rows);
        compare(&l->r, &l->out, l->r.candidate->rest, "memory_read");
    }
}

/* The values that queries and keys of a pass have, and gates. */
static void fill_pass(struct layer *l, const struct twin *t, float scale, float offset) {
    float *x = random_floats(t->bytes / 4, scale);
    for (size_t i = 0; i < t->bytes / 4; i++) {
        x[i] += offset;
    }
    for (int i = 0; i < SIDES; i++) {
        l->r.b[i]->ops->buffer_write(l->r.b[i], t->side[i], 0, x, t->bytes);
    }
    free(x);
}

/* Keys and values of very different lengths, so that no two pairs cost nearly the same to merge:
 * rounding must not choose among them. */
static void spread_rows(struct layer *l, struct twin *t) {
    const size_t e = l->shape.head_dim, n = t->bytes / 4;
    float *x = bytes_of(&l->r, t, REFERENCE);
    for (size_t i = 0; i < n; i += e) {
        const float length = exp2f(-6 * (float)(random_bits() >> 8) / (1 << 24));
        for (size_t j = i; j < i + e; j++) {
            x[j] *= length;
        }
    }
    for (int i = 0; i < SIDES; i++) {
        l->r.b[i]->ops->buffer_write(l->r.b[i], t->side[i], 0, x, t->bytes);
    }
    free(x);
}

static void run_passes(struct layer *l) {
    const struct layer_case *c = l->c;
    for (uint64_t p = c->begin; p < c->begin + c->tokens;) {
        const size_t left = (size_t)(c->begin + c->tokens - p), n = left < c->rows ? left : c->rows;
        fill_pass(l, &l->q, 2, 0);
        fill_pass(l, &l->k, 2, 0);
        fill_pass(l, &l->v, 1, 0);
        if (c->merge) {
            spread_rows(l, &l->k);
            spread_rows(l, &l->v);
        }
        fill_pass(l, &l->rates, 1, 1);
        fill_pass(l, &l->gate, 1, -1);
        fill_pass(l, &l->merged_gate, 1, 0);
        for (int i = 0; i < SIDES; i++) {
            l->r.b[i]->ops->positions(l->r.b[i], &l->rope, &l->shape, p, n);
        }
        for (size_t row = 0; row < n;) {
            const size_t to_end = c->chunk - (size_t)((p + row) % c->chunk);
            const size_t rows = n - row < to_end ? n - row : to_end;
            run_rows(l, p + row, row, rows);
            row += rows;
        }
        p += n;
    }
}

static const float *parameters(size_t n, float scale) {
    return random_floats(n, scale);
}

static void make_branch(struct layer *l) {
    const size_t H = l->shape.heads, M = l->shape.kv_heads, e = l->shape.head_dim;
    const size_t f = l->shape.memory_width;
    const float map = 1 / sqrtf((float)e);
    l->branch = (struct memory_branch){.w1 = parameters(M * f * e, map),
                                       .w3 = parameters(M * f * e, map),
                                       .w2 = parameters(M * e * f, 1 / sqrtf((float)f + 1)),
                                       .q_map = parameters(H * e * e, map),
                                       .k_map = parameters(M * e * e, map),
                                       .ev_q = parameters(H * e * e, map),
                                       .ev_k = parameters(M * e * e, map),
                                       .gate_lse = parameters(H, 0.1f),
                                       .alpha = parameters(H * e, 1),
                                       .v_scale = 1.5f};
}

static void free_branch(struct layer *l) {
    const float *owned[] = {l->branch.w1,    l->branch.w2,       l->branch.w3,
                            l->branch.q_map, l->branch.k_map,    l->branch.ev_q,
                            l->branch.ev_k,  l->branch.gate_lse, l->branch.alpha};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        free((void *)owned[i]);
    }
}

static void check_layer(const struct layer_case *c, void **state) {
    static struct layer l;
    l = (struct layer){.c = c,
                       .shape = {.layers = 1,
                                 .heads = c->heads,
                                 .kv_heads = c->kv_heads,
                                 .head_dim = c->head_dim,
                                 .window = c->window,
                                 .chunk = c->chunk,
                                 .sinks = c->sinks,
                                 .keep = c->keep,
                                 .merge = c->merge,
                                 .clip = c->clip,
                                 .memory_width = c->memory_width}};
    open_rig(&l.r, state);
    assert_true(window_check(&l.shape, NULL));
    l.layout = window_layout(&l.shape);
    const struct rope_config config = {.dims = c->dims ? c->dims : c->head_dim,
                                       .interleaved = c->interleaved,
                                       .base = 100,
                                       .factor = 1};
    assert_true(rope_init(&l.rope, &config, NULL));
    make_branch(&l);
    const size_t n = c->rows, H = c->heads, M = c->kv_heads, e = c->head_dim;
    const size_t f = c->memory_width;
    for (int i = 0; i < SIDES; i++) {
        struct error error = {0};
        if (!l.r.b[i]->ops->prepare(l.r.b[i], &l.shape, n, 2048, &error)) {
            fail_msg("%s: %s", l.r.candidate->name, error.text);
        }
    }
    l.state = twin_of(&l.r, NULL, l.layout.bytes);
    l.q = twin_of(&l.r, NULL, n * H * e * 4);
    l.k = twin_of(&l.r, NULL, n * M * e * 4);
    l.v = twin_of(&l.r, NULL, n * M * e * 4);
    l.rates = twin_of(&l.r, NULL, n * WINDOW_RATES * M * 4);
    l.gate = twin_of(&l.r, NULL, n * H * 4);
    l.merged_gate = twin_of(&l.r, NULL, n * H * 4);
    l.out = twin_of(&l.r, NULL, n * H * e * 4);
    for (int i = 0; f && i < SIDES; i++) {
        const struct backend_ops *ops = l.r.b[i]->ops;
        ops->buffer_write(l.r.b[i], l.state.side[i], l.layout.fast, l.branch.w2, M * e * f * 4);
        if (ops->memory_load) {
            assert_true(ops->memory_load(l.r.b[i], &l.branch, &l.shape, NULL));
        }
    }
    run_passes(&l);
    struct twin *twins[] = {&l.state, &l.q, &l.k, &l.v, &l.rates, &l.gate, &l.merged_gate, &l.out};
    for (size_t i = 0; i < sizeof twins / sizeof *twins; i++) {
        drop_twin(&l.r, twins[i]);
    }
    free_branch(&l);
    rope_finish(&l.rope);
    close_rig(&l.r);
}

static void windows(void **state) {
    static const struct layer_case cases[] = {
        /* H, M, e, W, C, S, B, G, D, f, dims, interleaved, begin, tokens, rows */
        {4, 2, 8, 32, 16, 4, 0, 0, 150, 0, 0, 0, 0, 200, 48, false},
        {4, 2, 8, 80, 16, 3, 20, 0, 150, 0, 0, 1, 0, 300, 5, false},
        {3, 3, 10, 96, 16, 16, 7, 0, 60, 0, 4, 0, 0, 300, 1, false},
        {9, 3, 64, 128, 64, 4, 100, 0, 150, 0, 0, 0, 0, 520, 130, false},
        {9, 3, 64, 128, 64, 4, 100, 0, 150, 0, 0, 0, 0, 260, 1, false},
        {7, 1, 80, 64, 32, 0, 300, 0, 4000, 0, 0, 0, 0, 500, 100, false},
        {2, 1, 128, 64, 8, 2, 9, 0, 100, 0, 64, 1, 0, 180, 24, false},
        {4, 2, 192, 24, 24, 1, 3, 0, 90, 0, 0, 0, 0, 150, 72, false},
        {2, 2, 256, 16, 16, 0, 5, 0, 90, 0, 0, 0, 0, 80, 33, false},
        {1, 1, 1024, 8, 4, 1, 2, 0, 90, 0, 0, 0, 0, 30, 12, false},
        {4, 1, 32, 64, 1, 1, 6, 0, 70, 0, 0, 0, 0, 90, 9, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_layer(&cases[i], state);
    }
}

static void merged_tokens(void **state) {
    static const struct layer_case cases[] = {
        /* with a gate where G is odd */
        /* H, M, e, W, C, S, B, G, D, f, dims, interleaved, begin, tokens, rows */
        {4, 2, 8, 32, 16, 4, 0, 5, 70, 0, 0, 0, 0, 250, 48,
         false}, /* fewer than a chunk; limited */
        {4, 2, 10, 48, 16, 3, 20, 41, 900, 0, 0, 1, 0, 260, 5, false},
        {3, 3, 10, 96, 16, 0, 7, 1001, 60, 0, 4, 0, 0, 200, 1, false}, /* never full */
        {2, 1, 30, 33, 33, 1, 40, 1, 150, 0, 0, 0, 0, 300, 66, false},
        {4, 1, 64, 128, 64, 4, 0, 301, 150, 0, 0, 0, 0, 620, 130, false},
        {7, 1, 80, 192, 192, 0, 10, 50, 4000, 0, 0, 0, 0, 780, 192, false},
        {2, 2, 128, 24, 12, 0, 5, 20, 150, 32, 64, 1, 0, 120, 48, false}, /* and a memory */
        {3, 1, 30, 65, 65, 0, 10, 9, 150, 16, 0, 0, 0, 330, 195, false},
        {1, 1, 1024, 8, 4, 1, 2, 3, 90, 0, 0, 0, 0, 40, 12, false},
        {4, 1, 32, 64, 1, 1, 6, 7, 70, 0, 0, 0, 0, 90, 9, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_layer(&cases[i], state);
    }
}

static void memories(void **state) {
    static const struct layer_case cases[] = {
        {4, 2, 8, 32, 16, 4, 0, 0, 150, 16, 0, 0, 0, 150, 16, false},
        {4, 2, 8, 80, 16, 3, 20, 0, 150, 24, 0, 0, 0, 250, 5, false},
        {9, 3, 64, 64, 64, 4, 50, 0, 150, 128, 0, 0, 0, 400, 130, false},
        {9, 3, 64, 64, 64, 4, 50, 0, 150, 80, 0, 0, 0, 260, 1, false},
        {4, 1, 40, 192, 192, 4, 100, 0, 150, 48, 0, 0, 0, 960, 192, false},
        {2, 2, 128, 24, 12, 0, 5, 0, 150, 32, 0, 0, 0, 90, 48, true},
        {1, 1, 256, 16, 8, 1, 0, 0, 150, 16, 0, 0, 0, 64, 24, false},
        {3, 1, 30, 65, 65, 0, 10, 0, 150, 16, 0, 0, 0, 330, 195, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_layer(&cases[i], state);
    }
}

/* ---- all of it ---- */

static const struct {
    const char *name;
    CMUnitTestFunction run;
} checks[] = {{"buffers", buffers},    {"matmul and embed", matrices},
              {"rms_norm", norms},     {"add and swiglu", elementwise},
              {"the window", windows}, {"merged tokens", merged_tokens},
              {"the memory", memories}};
enum { CHECKS = sizeof checks / sizeof *checks, MOST_CANDIDATES = 12 };

int main(void) {
    struct candidate candidates[MOST_CANDIDATES] = {
        {"vulkan plain", "plain", 1e-5, 2e-5, false},
        {"vulkan", "subgroups", 1e-5, 2e-5, false},
        {"vulkan dot", "dot", 0.06, 2e-5, true},
        {"vulkan dot, subgroups", "subgroups dot", 0.06, 2e-5, true},
    };
    size_t count = 4;
    for (const struct kernels *const *k = kernels_all(); *k; k++) {
        if ((*k)->runs_here() && strcmp((*k)->name, "reference") != 0) {
            assert_true(count < MOST_CANDIDATES);
            /* Scores of attention are bf16 products there, and grow in the exponential. */
            const bool bf16 = strcmp((*k)->name, "avx512bf16") == 0;
            candidates[count++] =
                (struct candidate){(*k)->name, NULL, 0.06, bf16 ? 0.2 : 0.05, false};
        }
    }
    static char names[MOST_CANDIDATES * CHECKS][64];
    struct CMUnitTest tests[MOST_CANDIDATES * CHECKS];
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < CHECKS; j++) {
            if (candidates[i].matrices_only && checks[j].run != matrices) {
                continue;
            }
            snprintf(names[n], sizeof names[n], "%s: %s", candidates[i].name, checks[j].name);
            tests[n] = (struct CMUnitTest){
                .name = names[n], .test_func = checks[j].run, .initial_state = &candidates[i]};
            n++;
        }
    }
    return _cmocka_run_group_tests("backend_ops", tests, n, NULL, NULL);
}
