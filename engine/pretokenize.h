/* SPDX-License-Identifier: Apache-2.0
 *
 * Pre-tokenisers: text -> words, the pieces that byte-level BPE then works on one by one. A
 * vocabulary names the one that it was trained with; another gives other tokens, so an unknown name
 * is refused, never guessed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct pretokenizer {
    const char *name; /* tokenizer.ggml.pre of a GGUF file */
    size_t (*first)(const struct pretokenizer *p, const char *text, size_t size);
    size_t digits;    /* digits that stand together in one word; 0: any number */
    bool whole_words; /* a word that is in the vocabulary is that token, whatever the merges say */
    bool adds_bos;    /* unless the file says otherwise */
};

/* NULL when the name is not known. */
const struct pretokenizer *pretokenizer_find(const char *name, size_t size);
/* The known names, comma-separated, for messages. */
const char *pretokenizer_names(void);

/* Bytes of the first word of text[0..size), size > 0: at least one, and never only a part of a
 * valid UTF-8 character. Text after the word is looked at, but no further than the end of a run of
 * one class, so a walk over the whole text is linear. */
size_t pretokenize_first(const struct pretokenizer *p, const char *text, size_t size);
