/* SPDX-License-Identifier: Apache-2.0
 *
 * An engine on a tiny model, with or without a tiny adapter, through temporary files as the
 * program would have them.
 */
#pragma once

#include "engine/engine.h"
#include "tests/tools/tiny_adapter.h"
#include "tests/tools/tiny_model.h"

/* Writes bytes to a new file and returns its path, to be unlinked and freed; NULL on failure. */
char *tiny_file(const void *data, size_t size);

/* `adapter` may be NULL. The files are gone afterwards; the engine keeps its mappings. */
struct engine *tiny_engine_on(const char *backend, const struct tiny_model *model,
                              const struct tiny_adapter *adapter, size_t threads,
                              struct error *error);
/* The same, on the CPU. */
struct engine *tiny_engine_of(const struct tiny_model *model, const struct tiny_adapter *adapter,
                              size_t threads, struct error *error);
/* The same, on one thread. */
struct engine *tiny_engine(const struct tiny_model *model, const struct tiny_adapter *adapter,
                           struct error *error);

/* Tokens of the plain vocabulary, the same for the same seed. */
void tiny_tokens(uint64_t seed, token *ids, size_t n);
