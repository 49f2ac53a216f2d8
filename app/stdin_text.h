/* SPDX-License-Identifier: Apache-2.0
 *
 * An argument that is a text, or "-" for all of standard input.
 */
#pragma once

#include "engine/base/bytes.h"
#include "engine/base/error.h"

/* Appends to `out` (starts as {0}) and ends it with a NUL that is not counted. */
bool text_or_stdin(const char *argument, struct bytes *out, struct error *error);
