/* SPDX-License-Identifier: Apache-2.0
 *
 * How a fallible function tells why it failed: it returns false (or NULL) and fills a struct error
 * with one sentence for a person, naming the thing, what was found and what was expected.
 */
#pragma once

#include <stdbool.h>

/* The values are the program's exit codes, so that main() has nothing to translate. */
enum error_code {
    ERROR_NONE = 0,
    ERROR_FAILURE = 1,
    ERROR_USAGE = 2,
    ERROR_NOT_IN_SOURCES = 3, /* the sources do not support an answer, or something was skipped */
    ERROR_NOT_FOUND = 4,      /* no such session, model or file */
    ERROR_INCOMPATIBLE = 5,   /* damaged, or made for something else */
    ERROR_NETWORK = 6,
    ERROR_CHECKSUM = 7,
    ERROR_NO_SPACE = 8, /* disk or memory */
    ERROR_INTERRUPTED = 130,
};

struct error {
    enum error_code code;
    char text[1000]; /* no newline at the end; may hold bytes of hostile names, so filter on show */
};

/* Fills `error` (which may be NULL) and returns false, so a caller can `return error_set(...)`. */
bool error_set(struct error *error, enum error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "PREFIX: " before the text that is there, for a caller that knows the file's name. */
bool error_prefix(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
