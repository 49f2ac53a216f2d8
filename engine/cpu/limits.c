/* SPDX-License-Identifier: Apache-2.0
 *
 * What the machine can do at its best, measured with the kernels that the backend uses: products of
 * matrices that stay in the caches, with weights in 8 bits and in 16, and reading memory in order.
 * Operations are compared with these (engine.h, engine_work).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/pool.h"
#include "engine/cpu/kernels.h"
#include "engine/engine.h"

enum {
    ROWS = 96, /* of weights, as many as a task of the backend has */
    WIDTH = 1536,
    TOKENS = 256,
    TURNS = 16,             /* of a task: some milliseconds */
    REPEATS = 5,            /* the best counts */
    PIECE = 1 << 20,        /* bytes that a task reads */
    READ_BYTES = 256 << 20, /* far more than caches hold */
    AHEAD = 8192,           /* bytes */
};

struct work {
    const struct product *product;
    enum quant_type type;
    const uint8_t *w;
    const char *packed;
    float *y;      /* [threads][TOKENS][ROWS] */
    char *scratch; /* [threads][scratch_bytes] */
    size_t scratch_bytes;
    const uint64_t *memory;
    uint64_t *sums; /* [pieces]: so that nothing is left out */
};

static void multiply(void *context, size_t index, size_t thread) {
    const struct work *c = context;
    (void)index;
    for (size_t turn = 0; turn < TURNS; turn++) {
        c->product->multiply(c->type, c->w, ROWS, WIDTH, c->packed, TOKENS,
                             c->y + thread * TOKENS * ROWS, ROWS,
                             c->scratch + thread * c->scratch_bytes);
    }
}

static void read_piece(void *context, size_t index, size_t thread) {
    const struct work *c = context;
    (void)thread;
    enum { LINE = 64 / sizeof(uint64_t) };
    const uint64_t *p = c->memory + index * (PIECE / sizeof *p);
    uint64_t sums[LINE] = {0};
    for (size_t i = 0; i < PIECE / sizeof *p; i += LINE) {
        __builtin_prefetch((const char *)(p + i) + AHEAD);
        for (size_t j = 0; j < LINE; j++) {
            sums[j] += p[i + j];
        }
    }
    for (size_t j = 0; j < LINE; j++) {
        c->sums[index] += sums[j];
    }
}

/* Seconds of the fastest of some repeats. */
static double fastest(struct pool *pool, size_t count, pool_task *task, struct work *c) {
    double best = 0;
    for (size_t repeat = 0; repeat < REPEATS; repeat++) {
        const double begin = clock_seconds();
        pool_run(pool, count, task, c);
        const double spent = clock_seconds() - begin;
        best = repeat == 0 || spent < best ? spent : best;
    }
    return best;
}

static double products(struct pool *pool, struct work *c, enum quant_type type) {
    const size_t tasks = 4 * pool_threads(pool);
    c->type = type;
    return 2.0 * TURNS * ROWS * WIDTH * TOKENS * (double)tasks / fastest(pool, tasks, multiply, c);
}

/* In 64-byte lines, zeroed: any format's weights, and pages that are there. */
static void *room(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    return p ? memset(p, 0, bytes) : NULL;
}

bool engine_measure_limits(size_t threads, struct engine_limits *limits, struct error *error) {
    const struct product *product = &kernels_choose()->batch;
    const size_t scratch_bytes = (product->scratch_bytes(WIDTH) + 63) / 64 * 64;
    const size_t pieces = READ_BYTES / PIECE;
    struct pool *pool = pool_create(threads, error);
    uint8_t *w = room(ROWS * quant_row_bytes(QUANT_F32, WIDTH));
    char *packed = room(TOKENS * product->packed_bytes(WIDTH));
    float *y = room(threads * TOKENS * ROWS * sizeof *y);
    char *scratch = room(threads * scratch_bytes);
    uint64_t *memory = room(READ_BYTES), *sums = room(pieces * sizeof *sums);
    bool ok = pool && w && packed && y && scratch && memory && sums;
    if (ok) {
        struct work c = {.product = product,
                         .w = w,
                         .packed = packed,
                         .y = y,
                         .scratch = scratch,
                         .scratch_bytes = scratch_bytes,
                         .memory = memory,
                         .sums = sums};
        limits->products8 = products(pool, &c, QUANT_Q8_0);
        limits->products16 = products(pool, &c, QUANT_F16);
        limits->read = READ_BYTES / fastest(pool, pieces, read_piece, &c);
    } else if (pool) {
        error_set(error, ERROR_NO_SPACE, "no memory to measure the machine in");
    }
    void *owned[] = {w, packed, y, scratch, memory, sums};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        free(owned[i]);
    }
    pool_destroy(pool);
    return ok;
}
