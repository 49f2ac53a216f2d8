/* SPDX-License-Identifier: Apache-2.0
 *
 * Planned memory use against free memory.
 */
#include "engine/plan.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number after `key` in a file of "key value" lines, in the file's unit; false if none. */
static bool number_after(const char *path, const char *key, unsigned long long *value) {
    FILE *f = fopen(path, "re");
    if (!f) {
        return false;
    }
    char line[256];
    bool found = false;
    while (!found && fgets(line, sizeof line, f)) {
        size_t n = strlen(key);
        if (strncmp(line, key, n) == 0) {
            char *end;
            *value = strtoull(line + n, &end, 10);
            found = end != line + n;
        }
    }
    fclose(f);
    return found;
}

static size_t clamp(unsigned long long v) {
    return v > SIZE_MAX ? SIZE_MAX : (size_t)v;
}

/* What a cgroup with a limit leaves; version 2's files, as a container sees them. */
static size_t cgroup_left(void) {
    unsigned long long limit, used;
    if (!number_after("/sys/fs/cgroup/memory.max", "", &limit) ||
        !number_after("/sys/fs/cgroup/memory.current", "", &used)) {
        return SIZE_MAX;
    }
    return clamp(limit > used ? limit - used : 0);
}

size_t plan_free_memory(void) {
    unsigned long long kib;
    size_t available = SIZE_MAX;
    if (number_after("/proc/meminfo", "MemAvailable:", &kib)) {
        available = clamp(kib * 1024);
    }
    size_t left = cgroup_left();
    return left < available ? left : available;
}

/* The largest window whose state fits into `room` bytes, 0 if none does. */
static uint32_t window_that_fits(const struct window_shape *shape, size_t room) {
    struct window_shape s = *shape;
    for (s.window = shape->window / s.chunk / 2 * s.chunk; s.window >= s.chunk;
         s.window = s.window / s.chunk / 2 * s.chunk) {
        if (window_layout(&s).bytes * s.layers <= room) {
            return s.window;
        }
    }
    return 0;
}

static double mib(size_t bytes) {
    return (double)bytes / (1024 * 1024);
}

bool plan_check(const struct plan *p, size_t taken, size_t available,
                const struct window_shape *shape, struct error *error) {
    size_t rest = p->weights + p->adapter + p->activations + p->working;
    size_t total = rest + p->state;
    size_t needed = total > taken ? total - taken : 0;
    if (needed <= available) {
        return true;
    }
    error_set(error, ERROR_NO_SPACE,
              "not enough memory: needs %.0f MiB more (weights %.0f, adapter %.0f, activations "
              "%.0f, scratch %.0f, state of the session %.0f, in use already %.0f), %.0f MiB are "
              "free",
              mib(needed), mib(p->weights), mib(p->adapter), mib(p->activations), mib(p->working),
              mib(p->state), mib(taken), mib(available));
    size_t room = available + taken;
    uint32_t window = room > rest ? window_that_fits(shape, room - rest) : 0;
    if (window && error) {
        size_t n = strlen(error->text);
        snprintf(error->text + n, sizeof error->text - n, "; --window %u would fit", window);
    }
    return false;
}
