/* SPDX-License-Identifier: Apache-2.0
 *
 * Little-endian bytes: a growable buffer to write into, and a bounds-checked reader whose error is
 * sticky, so that a parser may read a whole record and look once at `failed`.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Growable; owns `data`. Starts as {0}. When memory runs out `failed` is set and stays. */
struct bytes {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool failed;
};

void bytes_finish(struct bytes *b);
/* Makes room for `size` more bytes and returns where they go (uninitialised), or NULL. */
uint8_t *bytes_extend(struct bytes *b, size_t size);
void bytes_put(struct bytes *b, const void *data, size_t size);
void bytes_put_u8(struct bytes *b, uint8_t v);
void bytes_put_u32(struct bytes *b, uint32_t v);
void bytes_put_u64(struct bytes *b, uint64_t v);
void bytes_put_f32(struct bytes *b, float v);

/* Reads from memory that it does not own. Past the end every read gives zero and sets `failed`. */
struct reader {
    const uint8_t *data;
    size_t size;
    size_t at;
    bool failed;
};

struct reader reader_of(const void *data, size_t size);
size_t reader_left(const struct reader *r);
/* The next `size` bytes, or NULL (and failed) if fewer are left. */
const uint8_t *reader_take(struct reader *r, uint64_t size);
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
float reader_f32(struct reader *r);
