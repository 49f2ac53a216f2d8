/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer's lock. Since the file is removed on release, a process may lock a file that has just
 * lost its name: it then looks whether the name still leads to what it locked, else tries again.
 */
#include "storage/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MS = 10 };

static bool in_use(const struct lock *lock, const char *path, struct error *error) {
    char text[32] = "";
    ssize_t n = pread(lock->fd, text, sizeof text - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    if (pid > 0) {
        return error_set(error, ERROR_FAILURE, "'%s' is in use by process %ld", path, pid);
    }
    return error_set(error, ERROR_FAILURE, "'%s' is in use by another process", path);
}

static bool is_still_named(const struct lock *lock) {
    struct stat held, named;
    return fstat(lock->fd, &held) == 0 && stat(lock->path, &named) == 0 &&
           held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

static bool cannot_lock(const struct lock *lock, int cause, struct error *error) {
    enum error_code code = cause == ENOSPC || cause == EDQUOT ? ERROR_NO_SPACE : ERROR_FAILURE;
    return error_set(error, code, "cannot lock '%s' for writing: %s", lock->path, strerror(cause));
}

/* Only for the message to others: on a full disk the lock holds just as well without it. */
static void write_pid(const struct lock *lock) {
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(lock->fd, 0) == 0 && pwrite(lock->fd, text, (size_t)n, 0) != n) {
        return;
    }
}

bool lock_take(struct lock *lock, const char *path, unsigned wait_ms, struct error *error) {
    *lock = LOCK_FREE;
    size_t size = strlen(path) + sizeof ".lock";
    lock->path = malloc(size);
    if (!lock->path) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    snprintf(lock->path, size, "%s.lock", path);
    for (unsigned waited = 0;;) {
        lock->fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (lock->fd < 0) {
            cannot_lock(lock, errno, error);
            break;
        }
        if (flock(lock->fd, LOCK_EX | LOCK_NB) == 0) {
            if (is_still_named(lock)) {
                write_pid(lock);
                return true;
            }
        } else if (errno != EWOULDBLOCK && errno != EINTR) {
            cannot_lock(lock, errno, error);
            break;
        } else if (waited >= wait_ms) {
            in_use(lock, path, error);
            break;
        } else {
            nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
            waited += POLL_MS;
        }
        close(lock->fd);
    }
    if (lock->fd >= 0) {
        close(lock->fd);
        lock->fd = -1;
    }
    lock_release(lock);
    return false;
}

void lock_release(struct lock *lock) {
    if (lock->fd >= 0) {
        unlink(lock->path);
        close(lock->fd);
    }
    free(lock->path);
    *lock = LOCK_FREE;
}
