/* SPDX-License-Identifier: Apache-2.0
 *
 * A GGUF file with a vocabulary and nothing else, described piece by piece so that a test can spoil
 * one piece of it.
 */
#pragma once

#include "engine/base/bytes.h"
#include "engine/gguf.h"

enum { VOCABULARY_FILE_MOST = 1024 };

struct vocabulary_file {
    const char *model, *pre, *chat_template; /* NULL: no such key */
    struct gguf_text tokens[VOCABULARY_FILE_MOST], merges[VOCABULARY_FILE_MOST];
    int32_t types[VOCABULARY_FILE_MOST];
    size_t token_count;
    size_t merge_count, type_count, score_count; /* 0: no such key */
    int64_t bos, eos, unknown, padding;          /* -1: no such key */
    int add_bos;                                 /* -1: no such key */
    uint64_t rows;                               /* of token_embd.weight; 0: no such tensor */
};

/* The vocabulary of tests/golden, sound. */
void vocabulary_file_golden(struct vocabulary_file *f);
/* Appends a token or a merge; `text` must outlive `f`. */
void vocabulary_file_add_token(struct vocabulary_file *f, const char *text, int32_t type);
void vocabulary_file_add_merge(struct vocabulary_file *f, const char *text);
/* The place of a token; it must be there. */
size_t vocabulary_file_find(const struct vocabulary_file *f, const char *text);
void vocabulary_file_build(const struct vocabulary_file *f, struct bytes *out);
