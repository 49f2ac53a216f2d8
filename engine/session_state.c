/* SPDX-License-Identifier: Apache-2.0
 *
 * A session to bytes and back. The format by bytes is in engine/README.md.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/session_private.h"

static const char MAGIC[8] = {'A', 'L', 'L', 'M', 'E', 'M', 'S', '1'};

/* Every part ends with the SHA-256 of what stands before it. */
static bool seal(struct bytes *out, size_t from, struct error *error) {
    uint8_t hash[HASH_BYTES];
    if (out->failed || !hash_of(out->data + from, out->size - from, hash)) {
        return error_set(error, ERROR_NO_SPACE, "no memory to save the session");
    }
    bytes_put(out, hash, sizeof hash);
    return !out->failed || error_set(error, ERROR_NO_SPACE, "no memory to save the session");
}

static bool check_seal(const void *data, size_t size, const char *what, struct error *error) {
    uint8_t hash[HASH_BYTES];
    if (size < HASH_BYTES || !hash_of(data, size - HASH_BYTES, hash) ||
        memcmp(hash, (const char *)data + size - HASH_BYTES, HASH_BYTES) != 0) {
        return error_set(error, ERROR_INCOMPATIBLE, "%s is damaged: its checksum does not match",
                         what);
    }
    return true;
}

static bool save_header(const struct session *s, struct bytes *out, struct error *error) {
    const struct engine_info *info = &s->engine->info;
    size_t from = out->size;
    bytes_put(out, MAGIC, sizeof MAGIC);
    bytes_put_u32(out, ADAPTER_SPEC);
    bytes_put(out, info->file_fingerprint, HASH_BYTES);
    bytes_put(out, info->adapter_fingerprint, HASH_BYTES);
    bytes_put_u32(out, s->options.window);
    bytes_put_u32(out, s->options.keep);
    bytes_put_u32(out, s->options.sinks);
    bytes_put_u8(out, s->options.memory);
    bytes_put_u8(out, s->options.writes);
    bytes_put_u64(out, s->position);
    for (uint32_t i = 0; i < info->vocabulary; i++) {
        bytes_put_f32(out, s->logits[i]);
    }
    return seal(out, from, error);
}

size_t session_parts(const struct session *s) {
    return 1 + s->shape.layers;
}

bool session_save_part(const struct session *s, size_t part, struct bytes *out,
                       struct error *error) {
    if (part == 0) {
        return save_header(s, out, error);
    }
    size_t from = out->size;
    uint8_t *to = bytes_extend(out, s->layout.bytes);
    if (to) {
        struct backend *b = s->engine->backend;
        b->ops->buffer_read(b, s->states[part - 1], 0, to, s->layout.bytes);
    }
    return seal(out, from, error);
}

static bool same_origin(const char *what, const uint8_t *found, const uint8_t *expected,
                        struct error *error) {
    if (memcmp(found, expected, HASH_BYTES) == 0) {
        return true;
    }
    char found_hex[HASH_HEX], expected_hex[HASH_HEX];
    hash_hex(found, found_hex);
    hash_hex(expected, expected_hex);
    return error_set(error, ERROR_INCOMPATIBLE,
                     "the saved session was made with another %s: fingerprint %.12s, this one is "
                     "%.12s",
                     what, found_hex, expected_hex);
}

struct session *session_load(struct engine *e, const void *header, size_t size,
                             struct error *error) {
    if (!check_seal(header, size, "the header of the saved session", error)) {
        return NULL;
    }
    struct reader r = reader_of(header, size - HASH_BYTES);
    const uint8_t *magic = reader_take(&r, sizeof MAGIC);
    if (!magic || memcmp(magic, MAGIC, sizeof MAGIC) != 0) {
        error_set(error, ERROR_INCOMPATIBLE, "this is no saved session: wrong magic bytes");
        return NULL;
    }
    uint32_t spec = reader_u32(&r);
    const uint8_t *file = reader_take(&r, HASH_BYTES), *adapter = reader_take(&r, HASH_BYTES);
    struct session_options o = {
        .window = reader_u32(&r), .keep = reader_u32(&r), .sinks = reader_u32(&r)};
    o.memory = reader_u8(&r) != 0;
    o.writes = reader_u8(&r) != 0;
    uint64_t position = reader_u64(&r);
    if (spec != ADAPTER_SPEC && !r.failed) {
        error_set(error, ERROR_INCOMPATIBLE,
                  "the saved session has format version %u, this program reads %d", spec,
                  ADAPTER_SPEC);
        return NULL;
    }
    /* The logits come after the fingerprints have been compared: their number is the model's. */
    if (r.failed || !same_origin("model", file, e->info.file_fingerprint, error) ||
        !same_origin("adapter", adapter, e->info.adapter_fingerprint, error)) {
        if (r.failed) {
            error_set(error, ERROR_INCOMPATIBLE, "the header of the saved session is too short");
        }
        return NULL;
    }
    struct session *s = session_make(e, &o, error);
    if (!s) {
        return NULL;
    }
    s->position = position;
    for (uint32_t i = 0; i < e->info.vocabulary; i++) {
        s->logits[i] = reader_f32(&r);
    }
    if (r.failed || reader_left(&r) != 0) {
        error_set(error, ERROR_INCOMPATIBLE,
                  "the header of the saved session has %zu bytes, "
                  "which is not what a vocabulary of %u needs",
                  size, e->info.vocabulary);
        session_destroy(s);
        return NULL;
    }
    return s;
}

bool session_load_part(struct session *s, size_t part, const void *data, size_t size,
                       struct error *error) {
    if (part == 0 || part > s->shape.layers || size != s->layout.bytes + HASH_BYTES) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "part %zu of the saved session has %zu bytes, expected %zu", part, size,
                         s->layout.bytes + HASH_BYTES);
    }
    char what[64];
    snprintf(what, sizeof what, "layer %zu of the saved session", part - 1);
    if (!check_seal(data, size, what, error)) {
        return false;
    }
    const char *fast = (const char *)data + s->layout.fast;
    for (size_t at = 0; at < s->layout.bytes - s->layout.fast; at += sizeof(float)) {
        float v;
        memcpy(&v, fast + at, sizeof v);
        if (!isfinite(v)) {
            return error_set(error, ERROR_INCOMPATIBLE, "%s holds a fast weight that is not finite",
                             what);
        }
    }
    struct backend *b = s->engine->backend;
    b->ops->buffer_write(b, s->states[part - 1], 0, data, s->layout.bytes);
    s->loaded[part - 1] = true;
    return true;
}
