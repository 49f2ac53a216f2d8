/* SPDX-License-Identifier: Apache-2.0
 *
 * The user's own editor and pager ($VISUAL, $EDITOR, $PAGER), which get the terminal while they
 * run. Errors: what could not be run, or the status that it ended with.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"

/* Opens the file, at a line from 1 on, or at its begin (0). */
bool external_edit(const char *path, uint64_t line, struct error *error);
/* Shows a text in the pager. */
bool external_page(const char *text, size_t size, uint64_t line, struct error *error);
/* The text as the user left it in the editor, to be freed; NULL with an error. */
char *external_write(const char *text, struct error *error);
