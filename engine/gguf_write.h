/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes GGUF version 3: pairs and tensors are added in the order they shall have in the file, then
 * gguf_writer_build puts it together. Keys and names are our own, so nothing about them is checked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/gguf.h"

/* Starts as {0}. */
struct gguf_writer {
    struct bytes pairs, tensors; /* as they will be in the file */
    struct bytes data;           /* of the tensors, each one padded to the alignment */
    uint64_t pair_count, tensor_count;
};

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t value);
void gguf_put_f32(struct gguf_writer *w, const char *key, float value);
void gguf_put_bool(struct gguf_writer *w, const char *key, bool value);
void gguf_put_string(struct gguf_writer *w, const char *key, const char *value);
void gguf_put_strings(struct gguf_writer *w, const char *key, const struct gguf_text *items,
                      size_t count);
void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *items, size_t count);

/* Copies the rows at `data`: ne[0] * ... * ne[dims - 1] values of `type`. */
void gguf_put_tensor(struct gguf_writer *w, const char *name, enum quant_type type, uint32_t dims,
                     const uint64_t *ne, const void *data);

/* Appends the file to `out`. Fails only when memory ran out, here or in an earlier call. */
bool gguf_writer_build(const struct gguf_writer *w, struct bytes *out, struct error *error);
void gguf_writer_finish(struct gguf_writer *w);
