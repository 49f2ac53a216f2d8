/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokens of a GGUF file: id -> bytes and kind, bytes -> id. The file spells the bytes of
 * ordinary tokens in the alphabet of GPT-2, which has a printable character for each byte; here
 * they are plain bytes. Owns copies, so the file may go.
 */
#pragma once

#include "engine/tokenizer.h"

enum token_kind {
    TOKEN_TEXT,    /* made from text by merging */
    TOKEN_ADDED,   /* "user defined": found in the text as it stands, before anything else */
    TOKEN_CONTROL, /* control or unknown: no text yields it; its bytes are its name */
};

struct vocabulary {
    size_t count;
    char *pool;      /* the bytes of all tokens, one after another */
    size_t *starts;  /* (count + 1) places in the pool */
    uint8_t *kinds;  /* (count) enum token_kind */
    uint32_t *slots; /* open-addressing hash table of ids by bytes and kind */
    size_t mask;     /* slots - 1 */
};

/* Longest token in bytes, as the file spells it. */
#define TOKEN_BYTES_MAX ((size_t)1 << 16)

/* Errors are ERROR_INCOMPATIBLE, with key, item, found and expected, or ERROR_NO_SPACE. */
bool vocabulary_load(struct vocabulary *v, const struct gguf *g, struct error *error);
void vocabulary_finish(struct vocabulary *v); /* accepts a zeroed struct */

/* No bytes for an id that is not in the vocabulary. */
struct gguf_text vocabulary_bytes(const struct vocabulary *v, token id);
bool vocabulary_is(const struct vocabulary *v, token id, enum token_kind kind);
/* The lowest id with these bytes and kind, or TOKEN_NONE. */
token vocabulary_find(const struct vocabulary *v, const char *bytes, size_t size,
                      enum token_kind kind);

/* Turns GPT-2's alphabet into bytes at `out`, which has room for spelled.size; false when the text
 * holds another character. */
bool vocabulary_unspell(struct gguf_text spelled, char *out, size_t *size);
