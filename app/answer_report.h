/* SPDX-License-Identifier: Apache-2.0
 *
 * An answer as a command prints it: text while it comes, citations after it; or one JSON object.
 */
#pragma once

#include "app/answer.h"
#include "app/command.h"

/* The defaults with --temp and --seed put in; pieces are printed as they come, unless --json. */
struct answer_options answer_options_of_command(const struct options *options);

/* For answer_options.show: writes to standard output at once. */
bool answer_print_piece(void *context, const char *text, size_t size);

/* What follows after the pieces (all of it with --json). `cite` false leaves citations out. Returns
 * the exit code: 3 when the sources hold nothing on it, 130 when the answer was stopped. */
int answer_report(const struct answer *a, const struct options *options, bool cite,
                  struct error *error);
