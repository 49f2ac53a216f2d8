/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop is published by opening the gate under a new epoch; threads that come through it draw
 * indices from `next` until none is left. The caller draws too, then shuts the gate and waits only
 * for those inside: a worker that the system did not run meanwhile is not waited for.
 */
#include "engine/base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Turns of the waiting loop before a thread sleeps; each is one pause instruction, 10 to 50 ns. */
enum { SPINS = 4000 };

static const uint64_t OPEN = 1u << 31, INSIDE = (1u << 31) - 1;

struct worker {
    struct pool *pool;
    pthread_t thread;
    size_t index;
};

struct pool {
    size_t threads;
    struct worker *workers; /* [threads - 1] */

    pool_task *task;
    void *context;
    size_t count;
    atomic_size_t next;
    /* Epoch in the upper half, OPEN, and in the lower bits how many workers are inside. */
    atomic_uint_fast64_t gate;
    atomic_bool stop;

    pthread_mutex_t mutex;
    pthread_cond_t wake; /* the gate was opened */
    size_t sleeping;     /* under mutex */
};

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    atomic_signal_fence(memory_order_seq_cst);
#endif
}

static void draw(struct pool *pool, size_t thread) {
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (i >= pool->count) {
            return;
        }
        pool->task(pool->context, i, thread);
    }
}

static uint32_t epoch_of(uint64_t gate) {
    return (uint32_t)(gate >> 32);
}

static bool news_since(struct pool *pool, uint32_t seen) {
    return epoch_of(atomic_load_explicit(&pool->gate, memory_order_acquire)) != seen;
}

static void wait_for_epoch_after(struct pool *pool, uint32_t seen) {
    for (int i = 0; i < SPINS; i++) {
        if (news_since(pool, seen)) {
            return;
        }
        pause_briefly();
    }
    pthread_mutex_lock(&pool->mutex);
    pool->sleeping++;
    while (!news_since(pool, seen)) {
        pthread_cond_wait(&pool->wake, &pool->mutex);
    }
    pool->sleeping--;
    pthread_mutex_unlock(&pool->mutex);
}

/* Opens the gate for a new epoch; nobody is inside. */
static void open_gate(struct pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    uint64_t gate = atomic_load_explicit(&pool->gate, memory_order_relaxed);
    uint64_t next = ((uint64_t)(epoch_of(gate) + 1) << 32) | OPEN;
    atomic_store_explicit(&pool->gate, next, memory_order_release);
    if (pool->sleeping) {
        pthread_cond_broadcast(&pool->wake);
    }
    pthread_mutex_unlock(&pool->mutex);
}

/* False when the gate is shut already. */
static bool enter(struct pool *pool) {
    uint_fast64_t gate = atomic_load_explicit(&pool->gate, memory_order_acquire);
    while (gate & OPEN) {
        if (atomic_compare_exchange_weak_explicit(&pool->gate, &gate, gate + 1,
                                                  memory_order_acq_rel, memory_order_acquire)) {
            return true;
        }
    }
    return false;
}

static void *work(void *context) {
    struct worker *worker = context;
    struct pool *pool = worker->pool;
    uint32_t seen = 0;
    for (;;) {
        wait_for_epoch_after(pool, seen);
        if (atomic_load_explicit(&pool->stop, memory_order_acquire)) {
            return NULL;
        }
        seen = epoch_of(atomic_load_explicit(&pool->gate, memory_order_acquire));
        if (enter(pool)) {
            draw(pool, worker->index);
            atomic_fetch_sub_explicit(&pool->gate, 1, memory_order_release);
        }
    }
}

struct pool *pool_create(size_t threads, struct error *error) {
    struct pool *pool = calloc(1, sizeof *pool);
    struct worker *workers = calloc(threads, sizeof *workers);
    if (!pool || !workers || threads == 0) {
        free(pool);
        free(workers);
        error_set(error, ERROR_NO_SPACE, "cannot make a pool of %zu threads", threads);
        return NULL;
    }
    pool->workers = workers;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->threads = 1;
    while (pool->threads < threads) {
        struct worker *w = &workers[pool->threads - 1];
        *w = (struct worker){.pool = pool, .index = pool->threads};
        if (pthread_create(&w->thread, NULL, work, w) != 0) {
            error_set(error, ERROR_NO_SPACE, "cannot start thread %zu of %zu", pool->threads + 1,
                      threads);
            pool_destroy(pool);
            return NULL;
        }
        pool->threads++;
    }
    return pool;
}

void pool_destroy(struct pool *pool) {
    if (!pool) {
        return;
    }
    atomic_store_explicit(&pool->stop, true, memory_order_release);
    open_gate(pool);
    for (size_t i = 0; i + 1 < pool->threads; i++) {
        pthread_join(pool->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->workers);
    free(pool);
}

size_t pool_threads(const struct pool *pool) {
    return pool->threads;
}

void pool_run(struct pool *pool, size_t count, pool_task *task, void *context) {
    if (pool->threads == 1 || count <= 1) {
        for (size_t i = 0; i < count; i++) {
            task(context, i, 0);
        }
        return;
    }
    pool->task = task;
    pool->context = context;
    pool->count = count;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    open_gate(pool);
    draw(pool, 0);
    atomic_fetch_and_explicit(&pool->gate, ~OPEN, memory_order_acq_rel);
    for (unsigned turn = 0; atomic_load_explicit(&pool->gate, memory_order_acquire) & INSIDE;
         turn++) {
        if (turn < SPINS) {
            pause_briefly();
        } else {
            sched_yield(); /* the worker that we wait for may need this very core */
        }
    }
}
