/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte-level BPE, from the vocabulary inside a GGUF file. Text always becomes ordinary tokens: no
 * text, whoever wrote it, yields a control token. Those come only from tokenizer_control(), which
 * chat.c uses to build turns.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"
#include "engine/gguf.h"

typedef int32_t token;
#define TOKEN_NONE ((token)-1)

/* A growable list of tokens; owns `ids`. Starts as {0}. */
struct tokens {
    token *ids;
    size_t count, capacity;
};
bool tokens_push(struct tokens *list, token id); /* false when memory runs out */
void tokens_finish(struct tokens *list);

struct tokenizer;

/* Copies what it needs, so the GGUF bytes may go. Refuses (ERROR_INCOMPATIBLE, naming what was
 * found) a tokenizer.ggml.model other than "gpt2", a tokenizer.ggml.pre that is not known, and any
 * vocabulary or merge list that is not sound. */
struct tokenizer *tokenizer_create(const struct gguf *g, struct error *error);
void tokenizer_destroy(struct tokenizer *t); /* accepts NULL */

size_t tokenizer_size(const struct tokenizer *t);     /* tokens in the vocabulary */
const char *tokenizer_pre(const struct tokenizer *t); /* "smollm", "qwen2", ... */
token tokenizer_bos(const struct tokenizer *t);       /* TOKEN_NONE when the file has none */
token tokenizer_eos(const struct tokenizer *t);
bool tokenizer_adds_bos(const struct tokenizer *t); /* the model wants bos at the start, has one */

/* Appends the tokens of text[0..size), any bytes (invalid UTF-8 included), in time linear in size
 * up to a logarithm, without recursion. The bytes of the tokens are the text; only a byte that the
 * vocabulary has no token for is left out (SmolLM2 lacks some control characters, and bytes that
 * UTF-8 never has). Fails only when memory runs out (`list` is then as before). */
bool tokenizer_encode(const struct tokenizer *t, const char *text, size_t size, struct tokens *list,
                      struct error *error);
/* The same for a text that takes long: `stop`, which may be NULL, is asked every 64 KiB or so. When
 * it says true, `list` is as before and the error ERROR_INTERRUPTED. */
bool tokenizer_encode_long(const struct tokenizer *t, const char *text, size_t size,
                           bool (*stop)(void *), void *stop_context, struct tokens *list,
                           struct error *error);
/* The bytes of a token: what encode read. A control token's are its name ("<|im_end|>").
 * Never NULL; an id outside the vocabulary gives no bytes. */
struct gguf_text tokenizer_bytes(const struct tokenizer *t, token id);
/* Control or unknown, or one of the tokens of chat.h, whatever the file calls them. */
bool tokenizer_is_control(const struct tokenizer *t, token id);
/* The control token of that name, or TOKEN_NONE. */
token tokenizer_control(const struct tokenizer *t, const char *name);
