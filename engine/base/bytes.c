/* SPDX-License-Identifier: Apache-2.0
 *
 * Little-endian writer and bounds-checked reader. Bytes are assembled one by one, so the code is
 * the same on a big-endian machine and never reads unaligned words.
 */
#include "engine/base/bytes.h"

#include <stdlib.h>
#include <string.h>

void bytes_finish(struct bytes *b) {
    free(b->data);
    *b = (struct bytes){0};
}

uint8_t *bytes_extend(struct bytes *b, size_t size) {
    if (b->failed || size > SIZE_MAX / 2 - b->size) {
        b->failed = true;
        return NULL;
    }
    if (size > b->capacity - b->size) {
        size_t capacity = b->capacity ? b->capacity * 2 : 256;
        if (capacity < b->size + size) {
            capacity = b->size + size;
        }
        uint8_t *data = realloc(b->data, capacity);
        if (!data) {
            b->failed = true;
            return NULL;
        }
        b->data = data;
        b->capacity = capacity;
    }
    uint8_t *at = b->data + b->size;
    b->size += size;
    return at;
}

void bytes_put(struct bytes *b, const void *data, size_t size) {
    uint8_t *at = size ? bytes_extend(b, size) : NULL;
    if (at) {
        memcpy(at, data, size);
    }
}

static void put_le(struct bytes *b, uint64_t v, size_t size) {
    uint8_t *at = bytes_extend(b, size);
    for (size_t i = 0; at && i < size; i++) {
        at[i] = (uint8_t)(v >> (8 * i));
    }
}

void bytes_put_u8(struct bytes *b, uint8_t v) {
    put_le(b, v, 1);
}

void bytes_put_u32(struct bytes *b, uint32_t v) {
    put_le(b, v, 4);
}

void bytes_put_u64(struct bytes *b, uint64_t v) {
    put_le(b, v, 8);
}

void bytes_put_f32(struct bytes *b, float v) {
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    put_le(b, u, 4);
}

struct reader reader_of(const void *data, size_t size) {
    return (struct reader){.data = data, .size = size};
}

size_t reader_left(const struct reader *r) {
    return r->failed ? 0 : r->size - r->at;
}

const uint8_t *reader_take(struct reader *r, uint64_t size) {
    if (r->failed || size > r->size - r->at) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *at = r->data + r->at;
    r->at += (size_t)size;
    return at;
}

static uint64_t read_le(struct reader *r, size_t size) {
    const uint8_t *at = reader_take(r, size);
    uint64_t v = 0;
    for (size_t i = 0; at && i < size; i++) {
        v |= (uint64_t)at[i] << (8 * i);
    }
    return v;
}

uint8_t reader_u8(struct reader *r) {
    return (uint8_t)read_le(r, 1);
}

uint16_t reader_u16(struct reader *r) {
    return (uint16_t)read_le(r, 2);
}

uint32_t reader_u32(struct reader *r) {
    return (uint32_t)read_le(r, 4);
}

uint64_t reader_u64(struct reader *r) {
    return read_le(r, 8);
}

float reader_f32(struct reader *r) {
    uint32_t u = reader_u32(r);
    float v;
    memcpy(&v, &u, sizeof v);
    return v;
}
