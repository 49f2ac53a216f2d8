/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading and checking of the token list. Real files leave out some bytes that no text has
 * (SmolLM2 lacks 21), repeat tokens or leave them empty: that is no error.
 */
#include "engine/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/bytes.h"
#include "engine/unicode.h"

#define FREE_SLOT UINT32_MAX

#define TOKENS_KEY "tokenizer.ggml.tokens"
#define TYPES_KEY "tokenizer.ggml.token_type"
#define SCORES_KEY "tokenizer.ggml.scores"

/* Numbers of tokenizer.ggml.token_type that we tell apart. */
enum { TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_USER_DEFINED = 4, TYPE_LAST = 6 };

/* Control tokens whatever type the file gives: some files call them ordinary, and then a document
 * that quotes one would end its turn. */
static const char *const control_names[] = {
    "<|im_start|>",    "<|im_end|>", "<|endoftext|>",       "<|begin_of_text|>",
    "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>",
};

static bool is_control_name(struct gguf_text text) {
    for (size_t i = 0; i < sizeof control_names / sizeof *control_names; i++) {
        if (gguf_text_is(text, control_names[i])) {
            return true;
        }
    }
    return false;
}

/* The byte that a character of the alphabet stands for, or -1. Printable Latin-1 characters stand
 * for themselves; U+0100 and up for the other bytes in ascending order. */
static int byte_of(uint32_t code) {
    if ((code >= 0x21 && code <= 0x7E) || (code >= 0xA1 && code <= 0xFF && code != 0xAD)) {
        return (int)code;
    }
    if (code >= 0x100 && code <= 0x120) {
        return (int)(code - 0x100);
    }
    if (code >= 0x121 && code <= 0x142) {
        return (int)(code - 0x121 + 0x7F);
    }
    return code == 0x143 ? 0xAD : -1;
}

bool vocabulary_unspell(struct gguf_text spelled, char *out, size_t *size) {
    *size = 0;
    for (size_t at = 0; at < spelled.size;) {
        struct unicode_char c = unicode_first(spelled.data + at, spelled.size - at);
        int byte = byte_of(c.code);
        if (byte < 0) {
            return false;
        }
        out[(*size)++] = (char)byte;
        at += c.size;
    }
    return true;
}

static size_t hash_bytes(const char *bytes, size_t size) {
    uint64_t h = 0xCBF29CE484222325u; /* FNV-1a */
    for (size_t i = 0; i < size; i++) {
        h = (h ^ (uint8_t)bytes[i]) * 0x100000001B3u;
    }
    return (size_t)(h ^ h >> 32);
}

/* The slot that holds the token of these bytes and kind, or the free one where it belongs. */
static uint32_t *slot_of(const struct vocabulary *v, const char *bytes, size_t size,
                         enum token_kind kind) {
    for (size_t i = hash_bytes(bytes, size);; i++) {
        uint32_t *slot = &v->slots[i & v->mask];
        if (*slot == FREE_SLOT) {
            return slot;
        }
        size_t start = v->starts[*slot];
        if (v->kinds[*slot] == kind && v->starts[*slot + 1] - start == size &&
            memcmp(v->pool + start, bytes, size) == 0) {
            return slot;
        }
    }
}

token vocabulary_find(const struct vocabulary *v, const char *bytes, size_t size,
                      enum token_kind kind) {
    uint32_t id = *slot_of(v, bytes, size, kind);
    return id == FREE_SLOT ? TOKEN_NONE : (token)id;
}

struct gguf_text vocabulary_bytes(const struct vocabulary *v, token id) {
    if (id < 0 || (size_t)id >= v->count) {
        return (struct gguf_text){.data = "", .size = 0};
    }
    return (struct gguf_text){.data = v->pool + v->starts[id],
                              .size = v->starts[id + 1] - v->starts[id]};
}

bool vocabulary_is(const struct vocabulary *v, token id, enum token_kind kind) {
    return id >= 0 && (size_t)id < v->count && v->kinds[id] == kind;
}

static bool incompatible(struct error *error, const char *key, const char *found,
                         const char *expected) {
    return error_set(error, ERROR_INCOMPATIBLE, "%s: %s, expected %s", key, found, expected);
}

/* A list that goes along with the tokens: absent (*pair is NULL), or as long as they are many. */
static bool find_list(const struct gguf *g, const char *key, uint64_t tokens, enum gguf_type item,
                      const struct gguf_pair **pair, struct error *error) {
    *pair = gguf_find(g, key);
    if (!*pair) {
        return true;
    }
    /* Scores may be integers too; nobody reads them. */
    bool right =
        (*pair)->type == GGUF_ARRAY && ((*pair)->item == item || (*pair)->item == GGUF_I32);
    if (!right) {
        return incompatible(error, key, "is of another type", "a list of numbers of 4 bytes");
    }
    if ((*pair)->count != tokens) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "%s: %llu items, expected %llu, as many as " TOKENS_KEY, key,
                         (unsigned long long)(*pair)->count, (unsigned long long)tokens);
    }
    return true;
}

static bool check_count(const struct gguf *g, const struct gguf_pair *tokens, struct error *error) {
    if (!tokens) {
        return incompatible(error, TOKENS_KEY, "missing", "the list of tokens");
    }
    if (tokens->type != GGUF_ARRAY || tokens->item != GGUF_STRING) {
        return incompatible(error, TOKENS_KEY, "is of another type", "a list of strings");
    }
    if (tokens->count == 0 || tokens->count > INT32_MAX) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         TOKENS_KEY ": %llu tokens, expected 1 to 2147483647",
                         (unsigned long long)tokens->count);
    }
    /* More rows than tokens are padding; a file with the vocabulary alone has no rows. */
    const struct gguf_tensor *embedding = gguf_find_tensor(g, "token_embd.weight");
    if (embedding && embedding->ne[1] < tokens->count) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         TOKENS_KEY ": %llu tokens, expected at most %llu, the rows of "
                                    "token_embd.weight",
                         (unsigned long long)tokens->count, (unsigned long long)embedding->ne[1]);
    }
    return true;
}

static bool allocate(struct vocabulary *v, size_t count, size_t pool) {
    size_t slots = 16;
    while (slots / 2 < count) {
        slots *= 2;
    }
    v->count = count;
    v->mask = slots - 1;
    v->pool = malloc(pool > 0 ? pool : 1);
    v->starts = malloc((count + 1) * sizeof *v->starts);
    v->kinds = malloc(count);
    v->slots = malloc(slots * sizeof *v->slots);
    if (!v->pool || !v->starts || !v->kinds || !v->slots) {
        return false;
    }
    for (size_t i = 0; i < slots; i++) {
        v->slots[i] = FREE_SLOT;
    }
    return true;
}

/* Appends token `id` to the pool and to the index. */
static void add_token(struct vocabulary *v, size_t id, struct gguf_text text, uint32_t type) {
    enum token_kind kind = type == TYPE_UNKNOWN || type == TYPE_CONTROL || is_control_name(text)
                               ? TOKEN_CONTROL
                           : type == TYPE_USER_DEFINED ? TOKEN_ADDED
                                                       : TOKEN_TEXT;
    char *out = v->pool + v->starts[id];
    size_t size;
    bool spelled = kind == TOKEN_TEXT && vocabulary_unspell(text, out, &size);
    if (!spelled) {
        size = text.size;
        memcpy(out, text.data, size);
    }
    v->starts[id + 1] = v->starts[id] + size;
    v->kinds[id] = kind;
    /* An ordinary token that is not spelled in the alphabet cannot be made by merging bytes. */
    if (size > 0 && (spelled || kind != TOKEN_TEXT)) {
        uint32_t *slot = slot_of(v, out, size, kind);
        if (*slot == FREE_SLOT) {
            *slot = (uint32_t)id;
        }
    }
}

static bool read_tokens(struct vocabulary *v, const struct gguf_pair *tokens,
                        const struct gguf_pair *types, struct error *error) {
    struct gguf_strings strings = gguf_strings_of(tokens);
    struct reader type_reader = types ? reader_of(types->data, types->size) : (struct reader){0};
    struct gguf_text text;
    v->starts[0] = 0;
    for (size_t id = 0; id < v->count && gguf_strings_next(&strings, &text); id++) {
        uint32_t type = types ? reader_u32(&type_reader) : 1;
        if (type > TYPE_LAST) {
            return error_set(error, ERROR_INCOMPATIBLE,
                             TYPES_KEY "[%zu]: type %ld, expected 0 to %d", id, (long)(int32_t)type,
                             TYPE_LAST);
        }
        if (text.size > TOKEN_BYTES_MAX) {
            return error_set(error, ERROR_INCOMPATIBLE,
                             TOKENS_KEY "[%zu]: %zu bytes, expected at most %zu", id, text.size,
                             TOKEN_BYTES_MAX);
        }
        add_token(v, id, text, type);
    }
    return true;
}

bool vocabulary_load(struct vocabulary *v, const struct gguf *g, struct error *error) {
    *v = (struct vocabulary){0};
    const struct gguf_pair *tokens = gguf_find(g, TOKENS_KEY), *types, *scores;
    if (!check_count(g, tokens, error) ||
        !find_list(g, TYPES_KEY, tokens->count, GGUF_I32, &types, error) ||
        !find_list(g, SCORES_KEY, tokens->count, GGUF_F32, &scores, error)) {
        return false;
    }
    bool ok = allocate(v, (size_t)tokens->count, tokens->size)
                  ? read_tokens(v, tokens, types, error)
                  : error_set(error, ERROR_NO_SPACE, "no memory for a vocabulary of %llu tokens",
                              (unsigned long long)tokens->count);
    if (!ok) {
        vocabulary_finish(v);
    }
    return ok;
}

void vocabulary_finish(struct vocabulary *v) {
    free(v->pool);
    free(v->starts);
    free(v->kinds);
    free(v->slots);
    *v = (struct vocabulary){0};
}
