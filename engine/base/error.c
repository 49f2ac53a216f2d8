/* SPDX-License-Identifier: Apache-2.0
 *
 * Formatting of struct error.
 */
#include "engine/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool error_set(struct error *error, enum error_code code, const char *format, ...) {
    if (error) {
        va_list args;
        va_start(args, format);
        error->code = code;
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
    }
    return false;
}

bool error_prefix(struct error *error, const char *format, ...) {
    if (error) {
        char old[sizeof error->text];
        memcpy(old, error->text, sizeof old);
        va_list args;
        va_start(args, format);
        int n = vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < sizeof error->text) {
            snprintf(error->text + n, sizeof error->text - (size_t)n, ": %s", old);
        }
    }
    return false;
}
