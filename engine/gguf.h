/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF files, versions 2 and 3: bytes -> metadata and tensor directory. The file is hostile: every
 * count, length and offset is checked before it is used, nothing is allocated in proportion to a
 * count that the bytes left cannot hold, and gguf_parse works on bytes alone so that a fuzzer can
 * drive it. Nothing is copied: keys, strings and tensor data point into the caller's bytes, which
 * must outlive the struct gguf.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"
#include "engine/quant.h"

/* Text in the file: not NUL-terminated, valid UTF-8 for keys and tensor names, any bytes for
 * values. */
struct gguf_text {
    const char *data;
    size_t size;
};

enum gguf_type { /* numbers as in the file */
                 GGUF_U8,
                 GGUF_I8,
                 GGUF_U16,
                 GGUF_I16,
                 GGUF_U32,
                 GGUF_I32,
                 GGUF_F32,
                 GGUF_BOOL,
                 GGUF_STRING,
                 GGUF_ARRAY,
                 GGUF_U64,
                 GGUF_I64,
                 GGUF_F64,
                 GGUF_TYPES,
};

/* A metadata pair. For an array `type` is GGUF_ARRAY and `item` the type of its items. */
struct gguf_pair {
    struct gguf_text key;
    enum gguf_type type;
    enum gguf_type item;
    uint64_t count;      /* items of an array; 1 otherwise */
    const uint8_t *data; /* the value's first byte, little-endian, any alignment */
    size_t size;         /* bytes of the value */
};

/* A tensor: rows of ne[0] values, ne[0] fastest; unused dimensions are 1. */
struct gguf_tensor {
    struct gguf_text name;
    uint32_t dims; /* 1..4 */
    uint64_t ne[4];
    enum quant_type type;
    const void *data; /* inside the file */
    size_t size;      /* bytes, all rows */
};

struct gguf {
    uint32_t version;
    uint64_t alignment;
    size_t pair_count, tensor_count;
    struct gguf_pair *pairs;     /* in file order; owned */
    struct gguf_tensor *tensors; /* in file order; owned */
    size_t trailing;             /* bytes after the last tensor: odd, but no error */
    size_t header_size;          /* bytes before the tensor data */
    struct gguf_index *index;    /* names -> places; private */
};

/* Errors (ERROR_INCOMPATIBLE unless memory runs out) name the key or tensor, the byte offset, what
 * was found and what was expected; the caller puts the file's name before them. */
bool gguf_parse(struct gguf *g, const void *data, size_t size, struct error *error);
void gguf_finish(struct gguf *g); /* accepts a zeroed struct */

/* NULL when there is none. */
const struct gguf_pair *gguf_find(const struct gguf *g, const char *key);
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);

/* Reads a scalar; false with an error when the key is missing or has another type. The _or forms
 * give `fallback` when the key is missing and still fail on another type. An unsigned value may be
 * stored as any integer type that is not negative. */
bool gguf_u32(const struct gguf *g, const char *key, uint32_t *value, struct error *error);
bool gguf_u32_or(const struct gguf *g, const char *key, uint32_t fallback, uint32_t *value,
                 struct error *error);
bool gguf_f32(const struct gguf *g, const char *key, float *value, struct error *error);
bool gguf_f32_or(const struct gguf *g, const char *key, float fallback, float *value,
                 struct error *error);
bool gguf_bool_or(const struct gguf *g, const char *key, bool fallback, bool *value,
                  struct error *error);
bool gguf_text(const struct gguf *g, const char *key, struct gguf_text *value, struct error *error);
bool gguf_text_is(struct gguf_text text, const char *word);

/* Walks the items of an array of strings. Starts as gguf_strings_of(pair); false at the end. */
struct gguf_strings {
    const uint8_t *at, *end;
};
struct gguf_strings gguf_strings_of(const struct gguf_pair *pair);
bool gguf_strings_next(struct gguf_strings *s, struct gguf_text *item);
