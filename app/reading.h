/* SPDX-License-Identifier: Apache-2.0
 *
 * Documents into a session: what the model reads of each, and how it is told to the user.
 */
#pragma once

#include "app/command.h"
#include "app/library.h"
#include "engine/engine.h"

/* One line on standard error for each thing that was not taken, with its reason. */
void reading_report_skips(const struct skips *skips, const struct options *options);

/* The tokens of one document as the model reads it: a line with its name, then all of its text.
 * *of_text counts those of the text alone. `first`: nothing was read before. `stop` as in
 * tokenizer_encode_long. */
bool reading_encode(const struct tokenizer *t, const struct document *d, bool first,
                    bool (*stop)(void *), void *stop_context, struct tokens *out, size_t *of_text,
                    struct error *error);

/* Reads all documents, with progress; says the tokens of each at -v and of all at the end. */
bool reading_append_library(struct session *session, struct engine *engine,
                            const struct library *library, const struct options *options,
                            struct error *error);
