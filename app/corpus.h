/* SPDX-License-Identifier: Apache-2.0
 *
 * The texts that an adapter is trained on, as tokens: one stream to draw sequences from, and the
 * end of every text set aside to measure with.
 */
#pragma once

#include "engine/base/hash.h"
#include "engine/tokenizer.h"

/* Starts as {0}. */
struct corpus {
    size_t length; /* tokens of a sequence */
    token bos;     /* starts every sequence, or TOKEN_NONE */
    struct tokens train, held_out;
    struct gguf_text *texts; /* "SHA-256  NAME" of each, owned */
    size_t count;
    uint8_t fingerprint[HASH_BYTES]; /* of the tokens, in their order */
};

/* Reads files and folders. ERROR_FAILURE, with both numbers, unless there are tokens for 4
 * sequences. */
bool corpus_read(struct corpus *c, const char *const *paths, size_t count,
                 const struct tokenizer *t, size_t length, bool (*stop)(void *),
                 struct error *error);
void corpus_finish(struct corpus *c);

/* The sequence of a step. An epoch is all of the stream in pieces that do not overlap, cut at
 * another place and put in another order each time: so texts count by their length, and nothing is
 * read twice before all has been read once. Depends on nothing but the seed and the step. */
void corpus_sequence(const struct corpus *c, uint64_t seed, uint64_t step, token *ids);
/* A number in [0, n) for the step, by the same rule. */
size_t corpus_choice(uint64_t seed, uint64_t step, size_t n);

/* Up to `most` sequences spread over what is set aside. */
size_t corpus_held_out_count(const struct corpus *c, size_t most);
void corpus_held_out(const struct corpus *c, size_t i, size_t of, token *ids);
