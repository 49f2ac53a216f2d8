/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 over libcrypto's EVP interface.
 */
#include "engine/base/hash.h"

#include <openssl/evp.h>
#include <string.h>

struct hash *hash_start(void) {
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        ctx = NULL;
    }
    return (struct hash *)ctx;
}

void hash_add(struct hash *h, const void *data, size_t size) {
    EVP_DigestUpdate((EVP_MD_CTX *)h, data, size);
}

void hash_finish(struct hash *h, uint8_t out[HASH_BYTES]) {
    EVP_DigestFinal_ex((EVP_MD_CTX *)h, out, NULL);
    hash_drop(h);
}

void hash_drop(struct hash *h) {
    EVP_MD_CTX_free((EVP_MD_CTX *)h);
}

bool hash_of(const void *data, size_t size, uint8_t out[HASH_BYTES]) {
    return EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL) == 1;
}

void hash_hex(const uint8_t hash[HASH_BYTES], char out[HASH_HEX]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HASH_BYTES; i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 15];
    }
    out[2 * HASH_BYTES] = '\0';
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hash_from_hex(const char *hex, uint8_t out[HASH_BYTES]) {
    if (strlen(hex) != 2 * HASH_BYTES) {
        return false;
    }
    for (size_t i = 0; i < HASH_BYTES; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
