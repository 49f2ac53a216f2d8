/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON on standard output (--json), and small JSON files that the program keeps for itself.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "engine/base/error.h"

/* A JSON string of any bytes: what is no UTF-8 becomes U+FFFD. JSON null for NULL. */
json_t *json_text(const char *text);

/* Prints and releases `value`, which may be NULL when memory ran out while it was made. Returns the
 * exit code. */
int json_print(json_t *value, struct error *error);

/* Writes `value` (and releases it) to `path` through a temporary file, 0600, so that a reader sees
 * the old contents or the new. */
bool json_save(json_t *value, const char *path, struct error *error);
/* An object of at most 64 KiB, or NULL when there is no such file or it is no JSON object. */
json_t *json_read(const char *path);
