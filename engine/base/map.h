/* SPDX-License-Identifier: Apache-2.0
 *
 * A file mapped read-only. Only regular files: a FIFO, device or folder is refused at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/error.h"

struct map {
    const void *data; /* NULL when the file is empty */
    size_t size;
};

/* Errors: ERROR_NOT_FOUND when there is no such file, ERROR_FAILURE otherwise; they name `path`. */
bool map_open(struct map *map, const char *path, struct error *error);
void map_close(struct map *map); /* accepts a zeroed map */
