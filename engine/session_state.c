/* SPDX-License-Identifier: Apache-2.0
 *
 * A session to bytes and back. The format by bytes is in engine/README.md.
 */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/session_private.h"

/* More than anybody reads; up to here positions are exact in double precision. */
static const uint64_t POSITION_MAX = (uint64_t)1 << 53;
/* Of a header's flags. */
enum { WRITES = 1, BY_DEVICE = 2 };
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
    bytes_put_u32(out, s->options.merge);
    bytes_put_u32(out, s->options.sinks);
    bytes_put_u8(out, s->options.memory);
    bytes_put_u8(out, (s->options.writes ? WRITES : 0) | (info->device ? BY_DEVICE : 0));
    bytes_put_u64(out, s->position);
    for (uint32_t i = 0; i < info->vocabulary; i++) {
        bytes_put_f32(out, s->logits[i]);
    }
    return seal(out, from, error);
}

size_t session_parts(const struct session *s) {
    return 1 + s->shape.layers;
}

/* What a device that failed gives is nothing to keep. */
static bool read_state(struct session *s, uint32_t layer, uint8_t *to, struct error *error) {
    struct error why = {0};
    for (;;) {
        if (!session_catch_up(s, error)) {
            return false;
        }
        struct backend *b = s->engine->backend;
        b->ops->buffer_read(b, s->states[layer], 0, to, session_layout(s, layer).bytes);
        if (b->ops->wait(b, &why)) {
            return true;
        }
        if (!engine_recover(s->engine, &why)) {
            return error_set(error, why.code, "%s", why.text);
        }
    }
}

bool session_save_part(struct session *s, size_t part, struct bytes *out, struct error *error) {
    if (part == 0) {
        return save_header(s, out, error);
    }
    if (part > s->shape.layers || !s->loaded[part - 1]) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "the session is not whole: layer %zu was not loaded", part - 1);
    }
    const uint32_t layer = (uint32_t)part - 1;
    size_t from = out->size;
    uint8_t *to = bytes_extend(out, session_layout(s, layer).bytes);
    return (!to || read_state(s, layer, to, error)) && seal(out, from, error);
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
    struct session_options o = {.window = reader_u32(&r),
                                .keep = reader_u32(&r),
                                .merge = reader_u32(&r),
                                .sinks = reader_u32(&r)};
    o.memory = reader_u8(&r) != 0;
    const uint8_t flags = reader_u8(&r);
    o.writes = flags & WRITES;
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
    if (position > POSITION_MAX) {
        error_set(error, ERROR_INCOMPATIBLE,
                  "the saved session stands at position %" PRIu64 ", expected at most %" PRIu64,
                  position, POSITION_MAX);
        return NULL;
    }
    struct session *s = session_make(e, &o, error);
    if (!s) {
        if (error && error->code == ERROR_USAGE) { /* nobody asked for it: the header is wrong */
            error->code = ERROR_INCOMPATIBLE;
        }
        error_prefix(error, "the saved session");
        return NULL;
    }
    s->position = position;
    const bool by_device = flags & BY_DEVICE;
    if (by_device != (e->info.device != NULL)) {
        engine_tell(e,
                    "the saved session was computed by %s and goes on with %s: they round "
                    "differently, so answers may be worded differently",
                    by_device ? "Vulkan" : "the CPU", by_device ? "the CPU" : "Vulkan");
    }
    bool finite = true;
    for (uint32_t i = 0; i < e->info.vocabulary; i++) {
        s->logits[i] = reader_f32(&r);
        finite = finite && isfinite(s->logits[i]);
    }
    if (!finite) {
        error_set(error, ERROR_INCOMPATIBLE,
                  "the header of the saved session holds a logit that is not finite");
        session_destroy(s);
        return NULL;
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

/* Means of what binary16 holds, turned; their distances, squared and times counts, are finite. */
static const float MERGED_MAX = 2 * 65504;

/* Of the bytes [begin, end): no infinity, no NaN. */
static bool finite_halves(const void *data, size_t begin, size_t end) {
    for (size_t at = begin; at < end; at += sizeof(uint16_t)) {
        uint16_t v;
        memcpy(&v, (const char *)data + at, sizeof v);
        if ((v & 0x7c00) == 0x7c00) {
            return false;
        }
    }
    return true;
}

/* NaN is within no limit. */
static bool floats_within(const void *data, size_t begin, size_t end, float limit) {
    for (size_t at = begin; at < end; at += sizeof(float)) {
        float v;
        memcpy(&v, (const char *)data + at, sizeof v);
        if (!(fabsf(v) <= limit)) {
            return false;
        }
    }
    return true;
}

bool session_load_part(struct session *s, size_t part, const void *data, size_t size,
                       struct error *error) {
    if (part == 0 || part > s->shape.layers) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "part %zu of the saved session: there are %u layers", part,
                         s->shape.layers);
    }
    const struct window_layout l = session_layout(s, (uint32_t)part - 1);
    if (size != l.bytes + HASH_BYTES) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "part %zu of the saved session has %zu bytes, expected %zu", part, size,
                         l.bytes + HASH_BYTES);
    }
    char what[64];
    snprintf(what, sizeof what, "layer %zu of the saved session", part - 1);
    if (s->loaded[part - 1]) {
        return error_set(error, ERROR_INCOMPATIBLE, "%s was loaded before", what);
    }
    if (!check_seal(data, size, what, error)) {
        return false;
    }
    if (!finite_halves(data, l.keys, l.scores) ||
        !floats_within(data, l.scores, l.kept_at, FLT_MAX) ||
        !floats_within(data, l.merged, l.fast, MERGED_MAX) ||
        !floats_within(data, l.fast, l.bytes, FLT_MAX)) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "%s holds a number that is not finite, or larger than any merged token's",
                         what);
    }
    struct backend *b = s->engine->backend;
    b->ops->buffer_write(b, s->states[part - 1], 0, data, l.bytes);
    standby_load(s, part - 1, data);
    s->loaded[part - 1] = true;
    return true;
}
