/* SPDX-License-Identifier: Apache-2.0
 *
 * Text -> pieces between added tokens -> words -> tokens. Control tokens are no part of any of the
 * three steps: a merge that would make one is left out when the merge list is read.
 */
#include "engine/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/added.h"
#include "engine/bpe.h"
#include "engine/pretokenize.h"
#include "engine/vocabulary.h"

#define MERGES_KEY "tokenizer.ggml.merges"

struct tokenizer {
    const struct pretokenizer *pre;
    struct vocabulary vocabulary;
    struct added added;
    struct bpe bpe;
    token bos, eos;
    bool adds_bos;
};

bool tokens_push(struct tokens *list, token id) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        token *ids =
            capacity <= SIZE_MAX / sizeof *ids ? realloc(list->ids, capacity * sizeof *ids) : NULL;
        if (!ids) {
            return false;
        }
        list->ids = ids;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
    return true;
}

void tokens_finish(struct tokens *list) {
    free(list->ids);
    *list = (struct tokens){0};
}

/* For messages: names in a file may be of any length. */
static int shown(size_t size) {
    return size < 60 ? (int)size : 60;
}

/* The text at `key`, whatever it says; `expected` is for the message. */
static bool read_name(const struct gguf *g, const char *key, const char *expected,
                      struct gguf_text *name, struct error *error) {
    return gguf_find(g, key)
               ? gguf_text(g, key, name, error)
               : error_set(error, ERROR_INCOMPATIBLE, "%s: missing, expected %s", key, expected);
}

static bool refuse_name(const char *key, const char *expected, struct gguf_text found,
                        struct error *error) {
    return error_set(error, ERROR_INCOMPATIBLE, "%s: \"%.*s\", expected %s", key, shown(found.size),
                     found.data, expected);
}

static bool read_names(struct tokenizer *t, const struct gguf *g, struct error *error) {
    static const char model_key[] = "tokenizer.ggml.model", pre_key[] = "tokenizer.ggml.pre";
    static const char model_expected[] = "gpt2, byte-level BPE";
    char pre_expected[100];
    snprintf(pre_expected, sizeof pre_expected, "one of %s", pretokenizer_names());
    struct gguf_text model, pre;
    if (!read_name(g, model_key, model_expected, &model, error) ||
        !read_name(g, pre_key, pre_expected, &pre, error)) {
        return false;
    }
    if (!gguf_text_is(model, "gpt2")) {
        return refuse_name(model_key, model_expected, model, error);
    }
    t->pre = pretokenizer_find(pre.data, pre.size);
    return t->pre || refuse_name(pre_key, pre_expected, pre, error);
}

/* A token named by the file; TOKEN_NONE when it names none. */
static bool read_id(const struct tokenizer *t, const struct gguf *g, const char *key, token *id,
                    struct error *error) {
    uint32_t value;
    *id = TOKEN_NONE;
    if (!gguf_find(g, key)) {
        return true;
    }
    if (!gguf_u32(g, key, &value, error)) {
        return false;
    }
    if (value >= t->vocabulary.count) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "%s: token %lu, expected less than %zu, the size of the vocabulary", key,
                         (unsigned long)value, t->vocabulary.count);
    }
    *id = (token)value;
    return true;
}

static bool read_ids(struct tokenizer *t, const struct gguf *g, struct error *error) {
    token unused;
    if (!read_id(t, g, "tokenizer.ggml.bos_token_id", &t->bos, error) ||
        !read_id(t, g, "tokenizer.ggml.eos_token_id", &t->eos, error) ||
        !read_id(t, g, "tokenizer.ggml.unknown_token_id", &unused, error) ||
        !read_id(t, g, "tokenizer.ggml.padding_token_id", &unused, error) ||
        !gguf_bool_or(g, "tokenizer.ggml.add_bos_token", t->pre->adds_bos, &t->adds_bos, error)) {
        return false;
    }
    t->adds_bos = t->adds_bos && t->bos != TOKEN_NONE;
    return true;
}

/* Bytes that text is made of: those of UTF-8 but for control characters and for the lead bytes of
 * private and unassigned planes. Real vocabularies lack some of the others. */
static bool is_text_byte(unsigned byte) {
    return byte == '\t' || byte == '\n' || (byte >= 0x20 && byte < 0x7F) ||
           (byte >= 0x80 && byte < 0xC0) || (byte >= 0xC2 && byte <= 0xF0);
}

static bool read_bytes(struct tokenizer *t, struct error *error) {
    for (unsigned byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        token id = vocabulary_find(&t->vocabulary, &c, 1, TOKEN_TEXT);
        if (id == TOKEN_NONE && is_text_byte(byte)) {
            return error_set(error, ERROR_INCOMPATIBLE,
                             "tokenizer.ggml.tokens: no token for the byte 0x%02X, expected one "
                             "for every byte of UTF-8 text",
                             byte);
        }
        t->bpe.byte_token[byte] = id;
    }
    return true;
}

/* What a name in the merge list stands for. */
enum named { NAMED_TEXT, NAMED_SPECIAL, NAMED_NOTHING };

static enum named find_named(const struct vocabulary *v, struct gguf_text spelled, char *buffer,
                             token *id) {
    size_t size;
    if (spelled.size <= TOKEN_BYTES_MAX && vocabulary_unspell(spelled, buffer, &size) && size > 0) {
        *id = vocabulary_find(v, buffer, size, TOKEN_TEXT);
        if (*id != TOKEN_NONE) {
            return NAMED_TEXT;
        }
    }
    bool special = vocabulary_find(v, spelled.data, spelled.size, TOKEN_CONTROL) != TOKEN_NONE ||
                   vocabulary_find(v, spelled.data, spelled.size, TOKEN_ADDED) != TOKEN_NONE;
    return special ? NAMED_SPECIAL : NAMED_NOTHING;
}

/* Adds "left right"; `buffer` has room for the longest token, `joined` for two. */
static bool read_merge(struct tokenizer *t, size_t rank, struct gguf_text text, char *buffer,
                       char *joined, struct error *error) {
    const char *space = text.size > 1 ? memchr(text.data + 1, ' ', text.size - 1) : NULL;
    if (!space) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         MERGES_KEY "[%zu]: \"%.*s\", expected two tokens with a space between",
                         rank, shown(text.size), text.data);
    }
    struct gguf_text left = {text.data, (size_t)(space - text.data)};
    struct gguf_text right = {space + 1, text.size - left.size - 1};
    struct gguf_text result = {joined, left.size + right.size};
    struct bpe_merge merge = {.rank = (uint32_t)rank};
    bool special = false;
    const struct {
        struct gguf_text name;
        token *id;
    } parts[] = {{left, &merge.left}, {right, &merge.right}, {result, &merge.result}};
    if (left.size <= TOKEN_BYTES_MAX && right.size <= TOKEN_BYTES_MAX) {
        memcpy(joined, left.data, left.size);
        memcpy(joined + left.size, right.data, right.size);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct gguf_text name = parts[i].name;
        enum named named = name.size <= TOKEN_BYTES_MAX
                               ? find_named(&t->vocabulary, name, buffer, parts[i].id)
                               : NAMED_NOTHING;
        if (named == NAMED_NOTHING) {
            return error_set(error, ERROR_INCOMPATIBLE,
                             MERGES_KEY "[%zu]: \"%.*s\" is no token, expected one of the "
                                        "vocabulary",
                             rank, shown(name.size), name.data);
        }
        special = special || named == NAMED_SPECIAL;
    }
    if (!special && !bpe_add(&t->bpe, merge)) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         MERGES_KEY "[%zu]: \"%.*s\" stands there twice, expected once", rank,
                         shown(text.size), text.data);
    }
    return true;
}

static bool read_merges(struct tokenizer *t, const struct gguf *g, struct error *error) {
    const struct gguf_pair *pair = gguf_find(g, MERGES_KEY);
    if (!pair || pair->type != GGUF_ARRAY || pair->item != GGUF_STRING ||
        pair->count >= UINT32_MAX) {
        return error_set(error, ERROR_INCOMPATIBLE, MERGES_KEY ": %s, expected a list of strings",
                         pair ? "is of another type" : "missing");
    }
    char *buffer = malloc(3 * TOKEN_BYTES_MAX);
    bool ok = bpe_init(&t->bpe, (size_t)pair->count) && buffer;
    if (!ok) {
        error_set(error, ERROR_NO_SPACE, "no memory for %llu merges",
                  (unsigned long long)pair->count);
    }
    struct gguf_strings strings = gguf_strings_of(pair);
    struct gguf_text text;
    for (size_t rank = 0; ok && gguf_strings_next(&strings, &text); rank++) {
        ok = read_merge(t, rank, text, buffer, buffer + TOKEN_BYTES_MAX, error);
    }
    free(buffer);
    return ok && read_bytes(t, error);
}

struct tokenizer *tokenizer_create(const struct gguf *g, struct error *error) {
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        error_set(error, ERROR_NO_SPACE, "no memory for a tokenizer");
        return NULL;
    }
    if (!read_names(t, g, error) || !vocabulary_load(&t->vocabulary, g, error) ||
        !read_ids(t, g, error) || !read_merges(t, g, error)) {
        goto fail;
    }
    if (!added_init(&t->added, &t->vocabulary)) {
        error_set(error, ERROR_NO_SPACE, "no memory for a tokenizer");
        goto fail;
    }
    return t;
fail:
    tokenizer_destroy(t);
    return NULL;
}

void tokenizer_destroy(struct tokenizer *t) {
    if (t) {
        added_finish(&t->added);
        bpe_finish(&t->bpe);
        vocabulary_finish(&t->vocabulary);
        free(t);
    }
}

size_t tokenizer_size(const struct tokenizer *t) {
    return t->vocabulary.count;
}

const char *tokenizer_pre(const struct tokenizer *t) {
    return t->pre->name;
}

token tokenizer_bos(const struct tokenizer *t) {
    return t->bos;
}

token tokenizer_eos(const struct tokenizer *t) {
    return t->eos;
}

bool tokenizer_adds_bos(const struct tokenizer *t) {
    return t->adds_bos;
}

struct gguf_text tokenizer_bytes(const struct tokenizer *t, token id) {
    return vocabulary_bytes(&t->vocabulary, id);
}

bool tokenizer_is_control(const struct tokenizer *t, token id) {
    return vocabulary_is(&t->vocabulary, id, TOKEN_CONTROL);
}

token tokenizer_control(const struct tokenizer *t, const char *name) {
    return vocabulary_find(&t->vocabulary, name, strlen(name), TOKEN_CONTROL);
}

/* A text on its way to tokens. */
struct encoding {
    const struct tokenizer *t;
    struct tokens *list;
    struct bpe_scratch scratch;
    bool (*stop)(void *);
    void *stop_context;
    size_t asked; /* bytes of the text when `stop` was asked last */
    bool stopped;
};

static bool may_go_on(struct encoding *e, size_t done) {
    enum { BYTES_BETWEEN_QUESTIONS = 1 << 16 };
    if (e->stop && done - e->asked >= BYTES_BETWEEN_QUESTIONS) {
        e->asked = done;
        e->stopped = e->stop(e->stop_context);
    }
    return !e->stopped;
}

static bool encode_word(struct encoding *e, const char *word, size_t length) {
    const struct tokenizer *t = e->t;
    token whole = t->pre->whole_words ? vocabulary_find(&t->vocabulary, word, length, TOKEN_TEXT)
                                      : TOKEN_NONE;
    if (whole != TOKEN_NONE) {
        return tokens_push(e->list, whole);
    }
    for (size_t done = 0; done < length;) {
        size_t part = length - done < BPE_WORD_MAX ? length - done : BPE_WORD_MAX;
        if (!bpe_word(&t->bpe, word + done, part, &e->scratch, e->list)) {
            return false;
        }
        done += part;
    }
    return true;
}

/* The words of text[at..end). */
static bool encode_words(struct encoding *e, const char *text, size_t at, size_t end) {
    while (at < end) {
        size_t length = pretokenize_first(e->t->pre, text + at, end - at);
        if (!encode_word(e, text + at, length)) {
            return false;
        }
        at += length;
        if (!may_go_on(e, at)) {
            return false;
        }
    }
    return true;
}

bool tokenizer_encode_long(const struct tokenizer *t, const char *text, size_t size,
                           bool (*stop)(void *), void *stop_context, struct tokens *list,
                           struct error *error) {
    size_t before = list->count;
    struct encoding e = {.t = t, .list = list, .stop = stop, .stop_context = stop_context};
    struct pieces pieces = {0};
    bool ok = added_cut(&t->added, &t->vocabulary, text, size, &pieces);
    for (size_t i = 0; ok && i < pieces.count; i++) {
        struct piece piece = pieces.items[i];
        ok = piece.id == TOKEN_NONE ? encode_words(&e, text, piece.start, piece.start + piece.size)
                                    : tokens_push(list, piece.id);
    }
    pieces_finish(&pieces);
    bpe_scratch_finish(&e.scratch);
    if (ok) {
        return true;
    }
    list->count = before;
    return e.stopped ? error_set(error, ERROR_INTERRUPTED,
                                 "stopped while the text was cut into "
                                 "tokens")
                     : error_set(error, ERROR_NO_SPACE,
                                 "no memory for the tokens of %zu bytes of text", size);
}

bool tokenizer_encode(const struct tokenizer *t, const char *text, size_t size, struct tokens *list,
                      struct error *error) {
    return tokenizer_encode_long(t, text, size, NULL, NULL, list, error);
}
