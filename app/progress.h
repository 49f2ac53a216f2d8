/* SPDX-License-Identifier: Apache-2.0
 *
 * One line of progress on standard error. On a terminal it is written over in place, without escape
 * sequences; elsewhere it is a plain line now and then.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "app/command.h"

struct progress {
    bool on;       /* lines are wanted */
    bool messages; /* so are messages */
    bool terminal;
    double next;  /* seconds of the monotonic clock; earlier lines are dropped */
    size_t shown; /* bytes of the line on the screen */
};

void progress_init(struct progress *p, const struct options *options);
/* Cheap to call often. */
void progress_line(struct progress *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A message that stays, unless the user asked for quiet. */
void progress_message(struct progress *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void progress_end(struct progress *p);

/* "94 MB", "1.3 GB", "812 bytes" (powers of ten). */
#define PROGRESS_SIZE 32
const char *progress_bytes(unsigned long long bytes, char text[PROGRESS_SIZE]);
