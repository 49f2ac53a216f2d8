/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside storage/ only: arrays of rows that grow while they are fetched.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/error.h"

/* `array` points to a pointer to rows. Makes room for one more; the array was grown only by this
 * and has `count` rows. The room doubles at each power of two, so it needs not be kept. */
static inline bool rows_grow(void *array, size_t count, size_t size, struct error *error) {
    if ((count & (count - 1)) != 0) {
        return true;
    }
    void *rows;
    memcpy(&rows, array, sizeof rows);
    void *more = realloc(rows, (count ? 2 * count : 1) * size);
    if (!more) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    memcpy(array, &more, sizeof more);
    return true;
}
