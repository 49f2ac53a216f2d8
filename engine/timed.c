/* SPDX-License-Identifier: Apache-2.0
 *
 * The timed table. It stands at the begin of what it needs to know, so that an operation, which is
 * given the backend alone, finds that; the backend itself stays what it was. Sizes of matrices,
 * which are the backend's secret, are noted when they are made.
 */
#include "engine/timed.h"
#include "engine/base/clock.h"

#include <stdlib.h>

enum operation {
    MATRICES,
    ATTENTION,
    STORE,
    RETIRE,
    MERGE,
    MEMORY_WRITE,
    MEMORY_READ,
    NORM,
    SWIGLU,
    ADD,
    POSITIONS,
    EMBED,
};
_Static_assert(EMBED + 1 == ENGINE_OPERATIONS, "as many as engine.h says");

static const char *const names[ENGINE_OPERATIONS] = {
    [MATRICES] = "matrices",       [ATTENTION] = "attention",
    [STORE] = "window store",      [RETIRE] = "window retire",
    [MERGE] = "window merge",      [MEMORY_WRITE] = "memory write",
    [MEMORY_READ] = "memory read", [NORM] = "norm",
    [SWIGLU] = "swiglu",           [ADD] = "add",
    [POSITIONS] = "positions",     [EMBED] = "embed",
};

struct sized {
    const struct matrix *matrix;
    double values, bytes;
};

struct timed {
    struct backend_ops ops; /* first: what the backend's ops points to */
    const struct backend_ops *inner;
    struct engine_work work[ENGINE_OPERATIONS];
    double begin;
    struct sized *matrices; /* [count] */
    size_t count;
};

static struct timed *of(const struct backend *b) {
    return (struct timed *)b->ops;
}

static const struct backend_ops *begin(const struct backend *b) {
    struct timed *t = of(b);
    t->begin = clock_seconds();
    return t->inner;
}

static void end(struct backend *b, enum operation operation, double flops, double bytes) {
    struct timed *t = of(b);
    struct error error; /* stays with the device, for the wait of whoever asks */
    t->inner->wait(b, &error);
    struct engine_work *work = &t->work[operation];
    work->seconds += clock_seconds() - t->begin;
    work->calls++;
    work->flops += flops;
    work->bytes += bytes;
}

static void destroy(struct backend *b) {
    struct timed *t = of(b);
    t->inner->destroy(b);
    free(t->matrices);
    free(t);
}

static struct matrix *matrix_create(struct backend *b, const struct gguf_tensor *tensor,
                                    struct error *error) {
    struct timed *t = of(b);
    struct sized *more = realloc(t->matrices, (t->count + 1) * sizeof *more);
    if (!more) {
        error_set(error, ERROR_NO_SPACE, "no memory for a list of %zu matrices", t->count + 1);
        return NULL;
    }
    t->matrices = more;
    struct matrix *matrix = t->inner->matrix_create(b, tensor, error);
    if (matrix) {
        more[t->count++] = (struct sized){
            .matrix = matrix,
            .values = (double)tensor->ne[0] * (double)tensor->ne[1],
            .bytes = (double)tensor->size,
        };
    }
    return matrix;
}

static struct sized size_of(const struct timed *t, const struct matrix *matrix) {
    size_t i = 0;
    while (i < t->count && t->matrices[i].matrix != matrix) {
        i++;
    }
    return i < t->count ? t->matrices[i] : (struct sized){0};
}

static void embed(struct backend *b, struct buffer *y, struct matrix *matrix, const int32_t *ids,
                  size_t n) {
    begin(b)->embed(b, y, matrix, ids, n);
    end(b, EMBED, 0, 0);
}

static void rms_norm(struct backend *b, struct buffer *y, struct buffer *x, size_t from,
                     struct buffer *weight, size_t n, size_t width, float eps) {
    begin(b)->rms_norm(b, y, x, from, weight, n, width, eps);
    end(b, NORM, 0, 0);
}

static void matmul(struct backend *b, size_t count, struct buffer *const *ys,
                   struct matrix *const *matrices, struct buffer *const *biases, struct buffer *x,
                   size_t n) {
    double values = 0, bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const struct sized s = size_of(of(b), matrices[i]);
        values += s.values;
        bytes += s.bytes;
    }
    begin(b)->matmul(b, count, ys, matrices, biases, x, n);
    end(b, MATRICES, 2 * values * (double)n, bytes);
}

static void add(struct backend *b, struct buffer *y, struct buffer *x, size_t values) {
    begin(b)->add(b, y, x, values);
    end(b, ADD, 0, 0);
}

static void swiglu(struct backend *b, struct buffer *gate, struct buffer *up, size_t values) {
    begin(b)->swiglu(b, gate, up, values);
    end(b, SWIGLU, 0, 0);
}

static void positions(struct backend *b, const struct rope *rope, const struct window_shape *shape,
                      uint64_t from, size_t count) {
    begin(b)->positions(b, rope, shape, from, count);
    end(b, POSITIONS, 0, 0);
}

static void window_retire(struct backend *b, const struct attention_step *step) {
    begin(b)->window_retire(b, step);
    end(b, RETIRE, 0, 0);
}

static void window_merge(struct backend *b, const struct attention_step *step) {
    begin(b)->window_merge(b, step);
    end(b, MERGE, 0, 0);
}

static void window_store(struct backend *b, const struct attention_step *step) {
    begin(b)->window_store(b, step);
    end(b, STORE, 0, 0);
}

/* Two products with each key and value that is visible to the last row. */
static void window_attend(struct backend *b, const struct attention_step *step) {
    const struct window_shape *s = step->shape;
    const double slots = window_visible(s, step->position + step->rows - 1), e = s->head_dim;
    begin(b)->window_attend(b, step);
    end(b, ATTENTION, 4 * (double)step->rows * s->heads * slots * e,
        2 * sizeof(uint16_t) * s->kv_heads * slots * e);
}

/* Per token and memory head: k_map and ev_k; w1, w3 and W; the system, solved; what W gets. */
static void memory_write(struct backend *b, const struct attention_step *step) {
    const struct window_shape *s = step->shape;
    const double e = s->head_dim, f = s->memory_width;
    const double n = (double)(window_written_at(s, step->position) -
                              window_written_at(s, step->position - s->chunk));
    begin(b)->memory_write(b, step);
    end(b, MEMORY_WRITE, 2 * n * s->kv_heads * (2 * e * e + 4 * e * f + n * f + n * n / 6 + n * e),
        4 * sizeof(float) * s->kv_heads * e * f);
}

/* Per token and query head: q_map and ev_q; w1, w3 and W. */
static void memory_read(struct backend *b, const struct attention_step *step) {
    const struct window_shape *s = step->shape;
    const double e = s->head_dim, f = s->memory_width;
    begin(b)->memory_read(b, step);
    end(b, MEMORY_READ, 2 * (double)step->rows * s->heads * (2 * e * e + 3 * e * f),
        sizeof(float) * (3 * s->kv_heads * e * f + 2 * s->heads * e * e));
}

bool timed_begin(struct backend *b, struct error *error) {
    struct timed *t = calloc(1, sizeof *t);
    if (!t) {
        return error_set(error, ERROR_NO_SPACE, "no memory for a backend's clocks");
    }
    t->inner = b->ops;
    t->ops = *b->ops;
    t->ops.destroy = destroy;
    t->ops.matrix_create = matrix_create;
    t->ops.embed = embed;
    t->ops.rms_norm = rms_norm;
    t->ops.matmul = matmul;
    t->ops.add = add;
    t->ops.swiglu = swiglu;
    t->ops.positions = positions;
    t->ops.window_retire = window_retire;
    t->ops.window_merge = window_merge;
    t->ops.memory_write = memory_write;
    t->ops.window_store = window_store;
    t->ops.window_attend = window_attend;
    t->ops.memory_read = memory_read;
    b->ops = &t->ops;
    return true;
}

void timed_take(struct backend *b, struct engine_work work[ENGINE_OPERATIONS]) {
    struct timed *t = of(b);
    for (size_t i = 0; i < ENGINE_OPERATIONS; i++) {
        work[i] = t->work[i];
        work[i].operation = names[i];
        t->work[i] = (struct engine_work){0};
    }
}
