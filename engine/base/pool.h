/* SPDX-License-Identifier: Apache-2.0
 *
 * Worker threads for loops whose turns are independent. Between two loops of one token the workers
 * spin for some tens of microseconds (a wake-up through the kernel costs as much as a small loop),
 * then they sleep: an idle program uses no CPU.
 */
#pragma once

#include <stddef.h>

#include "engine/base/error.h"

struct pool;

/* One turn of a loop. `thread` is in [0, pool_threads) and names the scratch it may use. */
typedef void pool_task(void *context, size_t index, size_t thread);

/* `threads` counts the caller too, so 1 makes no worker. NULL on failure. */
struct pool *pool_create(size_t threads, struct error *error);
void pool_destroy(struct pool *pool); /* accepts NULL */
size_t pool_threads(const struct pool *pool);

/* Runs task(context, i, thread) for every i in [0, count) and returns when all are done. Which
 * thread runs which index is not fixed, so a result must not depend on it. Not reentrant. */
void pool_run(struct pool *pool, size_t count, pool_task *task, void *context);
