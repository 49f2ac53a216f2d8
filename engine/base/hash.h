/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 (libcrypto), for fingerprints of models and for checking what was stored or fetched.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES 32
#define HASH_HEX (2 * HASH_BYTES + 1)

struct hash; /* a digest being computed */

/* NULL when memory runs out. hash_finish gives the digest and frees; hash_drop only frees. */
struct hash *hash_start(void);
void hash_add(struct hash *h, const void *data, size_t size);
void hash_finish(struct hash *h, uint8_t out[HASH_BYTES]);
void hash_drop(struct hash *h);

bool hash_of(const void *data, size_t size, uint8_t out[HASH_BYTES]);

/* 64 lower-case hexadecimal digits and a final NUL. */
void hash_hex(const uint8_t hash[HASH_BYTES], char out[HASH_HEX]);
/* False unless `hex` is exactly 64 hexadecimal digits. */
bool hash_from_hex(const char *hex, uint8_t out[HASH_BYTES]);
