/* SPDX-License-Identifier: Apache-2.0
 *
 * The three parts of a GGUF file (pairs, directory of tensors, data) grow beside each other and are
 * joined at the end; a failed allocation is remembered by the buffer it struck.
 */
#include "engine/gguf_write.h"

#include <string.h>

enum { VERSION = 3, ALIGNMENT = 32 };

static void put_text(struct bytes *b, const char *data, size_t size) {
    bytes_put_u64(b, size);
    bytes_put(b, data, size);
}

static void put_key(struct gguf_writer *w, const char *key, enum gguf_type type) {
    put_text(&w->pairs, key, strlen(key));
    bytes_put_u32(&w->pairs, type);
    w->pair_count++;
}

static void put_array(struct gguf_writer *w, const char *key, enum gguf_type item, size_t count) {
    put_key(w, key, GGUF_ARRAY);
    bytes_put_u32(&w->pairs, item);
    bytes_put_u64(&w->pairs, count);
}

static void pad(struct bytes *b) {
    static const uint8_t zeros[ALIGNMENT];
    bytes_put(b, zeros, -b->size % ALIGNMENT);
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t value) {
    put_key(w, key, GGUF_U32);
    bytes_put_u32(&w->pairs, value);
}

void gguf_put_f32(struct gguf_writer *w, const char *key, float value) {
    put_key(w, key, GGUF_F32);
    bytes_put_f32(&w->pairs, value);
}

void gguf_put_bool(struct gguf_writer *w, const char *key, bool value) {
    put_key(w, key, GGUF_BOOL);
    bytes_put_u8(&w->pairs, value);
}

void gguf_put_string(struct gguf_writer *w, const char *key, const char *value) {
    put_key(w, key, GGUF_STRING);
    put_text(&w->pairs, value, strlen(value));
}

void gguf_put_strings(struct gguf_writer *w, const char *key, const struct gguf_text *items,
                      size_t count) {
    put_array(w, key, GGUF_STRING, count);
    for (size_t i = 0; i < count; i++) {
        put_text(&w->pairs, items[i].data, items[i].size);
    }
}

void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *items, size_t count) {
    put_array(w, key, GGUF_I32, count);
    for (size_t i = 0; i < count; i++) {
        bytes_put_u32(&w->pairs, (uint32_t)items[i]);
    }
}

void gguf_put_tensor(struct gguf_writer *w, const char *name, enum quant_type type, uint32_t dims,
                     const uint64_t *ne, const void *data) {
    size_t size = quant_row_bytes(type, (size_t)ne[0]);
    put_text(&w->tensors, name, strlen(name));
    bytes_put_u32(&w->tensors, dims);
    for (uint32_t i = 0; i < dims; i++) {
        bytes_put_u64(&w->tensors, ne[i]);
        size *= i ? (size_t)ne[i] : 1;
    }
    bytes_put_u32(&w->tensors, type);
    bytes_put_u64(&w->tensors, w->data.size);
    bytes_put(&w->data, data, size);
    pad(&w->data);
    w->tensor_count++;
}

bool gguf_writer_build(const struct gguf_writer *w, struct bytes *out, struct error *error) {
    struct bytes file = {0};
    bytes_put(&file, "GGUF", 4);
    bytes_put_u32(&file, VERSION);
    bytes_put_u64(&file, w->tensor_count);
    bytes_put_u64(&file, w->pair_count);
    bytes_put(&file, w->pairs.data, w->pairs.size);
    bytes_put(&file, w->tensors.data, w->tensors.size);
    pad(&file);
    bytes_put(&file, w->data.data, w->data.size);
    bytes_put(out, file.data, file.size);
    bool ok =
        !(w->pairs.failed || w->tensors.failed || w->data.failed || file.failed || out->failed);
    bytes_finish(&file);
    return ok || error_set(error, ERROR_NO_SPACE, "out of memory for a GGUF file");
}

void gguf_writer_finish(struct gguf_writer *w) {
    bytes_finish(&w->pairs);
    bytes_finish(&w->tensors);
    bytes_finish(&w->data);
    *w = (struct gguf_writer){0};
}
