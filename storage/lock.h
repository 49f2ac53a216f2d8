/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside storage/ only: the lock that makes one process the writer of a session. It is an flock on
 * NAME.db.lock, a file beside the database that holds the writer's process id in decimal. The lock
 * goes with its process, however it ends; the file is removed on an orderly release.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/error.h"

/* Starts as LOCK_FREE. */
struct lock {
    int fd; /* -1: not held */
    char *path;
};

#define LOCK_FREE ((struct lock){.fd = -1})

/* `path` is the database's. Waits up to `wait_ms` for the present owner. Errors: ERROR_FAILURE "in
 * use by process N", ERROR_NO_SPACE, ERROR_FAILURE when the folder cannot be written. */
bool lock_take(struct lock *lock, const char *path, unsigned wait_ms, struct error *error);
void lock_release(struct lock *lock);
