/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte-pair merging of one word: its bytes become tokens, then the neighbours that stand first in
 * the merge list become one token, again and again, the leftmost first among equals.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/tokenizer.h"

/* (left, right) -> result; the lower the rank, the sooner. */
struct bpe_merge {
    token left, right, result;
    uint32_t rank;
};

/* The merges in an open-addressing hash table; a free slot has left == TOKEN_NONE. */
struct bpe {
    struct bpe_merge *slots;
    size_t mask;           /* slots - 1, a power of two less one */
    token byte_token[256]; /* TOKEN_NONE for a byte that the vocabulary lacks */
};

/* Room for `merges`; false when memory runs out. Every byte starts as TOKEN_NONE. */
bool bpe_init(struct bpe *b, size_t merges);
void bpe_finish(struct bpe *b); /* accepts a zeroed struct */
/* False when the pair is there already. At most as many as bpe_init made room for. */
bool bpe_add(struct bpe *b, struct bpe_merge merge);

/* Memory for long words, kept from word to word. Starts as {0}. */
struct bpe_scratch {
    void *data;
    size_t size;
};
void bpe_scratch_finish(struct bpe_scratch *s);

/* The longest word in bytes; the caller cuts a longer one (of which natural text has none), so that
 * the memory needed has a bound: 44 bytes for each byte of a word. */
#define BPE_WORD_MAX ((size_t)1 << 20)

/* Appends the tokens of a word, at most one for each byte; a byte that the vocabulary lacks gives
 * none. Time O(n log n). False when memory runs out. */
bool bpe_word(const struct bpe *b, const char *word, size_t size, struct bpe_scratch *scratch,
              struct tokens *out);
