/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop is published by raising `epoch`; every thread then draws indices from `next` until none is
 * left. A worker reports that it is through with an epoch by lowering `busy`; the caller waits for
 * zero, so no worker can still be looking at an old loop when a new one is written.
 */
#include "engine/base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* Turns of the waiting loop before a thread sleeps; each is one pause instruction, 10 to 50 ns. */
enum { SPINS = 4000 };

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
    atomic_size_t busy;
    atomic_uint epoch;
    atomic_bool stop;

    pthread_mutex_t mutex;
    pthread_cond_t wake; /* epoch was raised */
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

static void wait_for_epoch_after(struct pool *pool, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool->epoch, memory_order_acquire) != seen) {
            return;
        }
        pause_briefly();
    }
    pthread_mutex_lock(&pool->mutex);
    pool->sleeping++;
    while (atomic_load_explicit(&pool->epoch, memory_order_acquire) == seen) {
        pthread_cond_wait(&pool->wake, &pool->mutex);
    }
    pool->sleeping--;
    pthread_mutex_unlock(&pool->mutex);
}

static void publish(struct pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add_explicit(&pool->epoch, 1, memory_order_release);
    if (pool->sleeping) {
        pthread_cond_broadcast(&pool->wake);
    }
    pthread_mutex_unlock(&pool->mutex);
}

static void *work(void *context) {
    struct worker *worker = context;
    struct pool *pool = worker->pool;
    unsigned seen = 0;
    for (;;) {
        wait_for_epoch_after(pool, seen);
        seen++;
        if (atomic_load_explicit(&pool->stop, memory_order_acquire)) {
            return NULL;
        }
        draw(pool, worker->index);
        atomic_fetch_sub_explicit(&pool->busy, 1, memory_order_release);
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
    publish(pool);
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
    atomic_store_explicit(&pool->busy, pool->threads - 1, memory_order_relaxed);
    publish(pool);
    draw(pool, 0);
    for (unsigned turn = 0; atomic_load_explicit(&pool->busy, memory_order_acquire) != 0; turn++) {
        if (turn < SPINS) {
            pause_briefly();
        } else {
            sched_yield(); /* the worker that we wait for may need this very core */
        }
    }
}
