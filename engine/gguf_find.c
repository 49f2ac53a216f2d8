/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and tensors of a parsed GGUF file by name, and the values of keys. Ranges were checked by
 * the parser: what is left to go wrong is a missing key, one of another type, or a number out of
 * range.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/bytes.h"
#include "engine/gguf_private.h"

const struct gguf_type_info gguf_types[GGUF_TYPES] = {
    [GGUF_U8] = {"u8", 1},       [GGUF_I8] = {"i8", 1},     [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2},     [GGUF_U32] = {"u32", 4},   [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},     [GGUF_BOOL] = {"bool", 1}, [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0}, [GGUF_U64] = {"u64", 8},   [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

static int compare_texts(struct gguf_text a, struct gguf_text b) {
    size_t common = a.size < b.size ? a.size : b.size;
    int order = memcmp(a.data, b.data, common);
    return order ? order : (a.size > b.size) - (a.size < b.size);
}

int gguf_compare_entries(const void *a, const void *b) {
    return compare_texts(((const struct gguf_entry *)a)->name,
                         ((const struct gguf_entry *)b)->name);
}

static const struct gguf_entry *find_name(const struct gguf_entry *entries, size_t count,
                                          const char *name) {
    struct gguf_entry wanted = {.name = {name, strlen(name)}};
    return count ? bsearch(&wanted, entries, count, sizeof wanted, gguf_compare_entries) : NULL;
}

const struct gguf_pair *gguf_find(const struct gguf *g, const char *key) {
    const struct gguf_entry *entry = find_name(g->index->pairs, g->pair_count, key);
    return entry ? &g->pairs[entry->place] : NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name) {
    const struct gguf_entry *entry = find_name(g->index->tensors, g->tensor_count, name);
    return entry ? &g->tensors[entry->place] : NULL;
}

static bool no_key(const char *key, struct error *error) {
    return error_set(error, ERROR_INCOMPATIBLE, "the file has no key \"%s\"", key);
}

static bool wrong_type(const struct gguf_pair *pair, const char *expected, struct error *error) {
    return error_set(error, ERROR_INCOMPATIBLE, "key \"%.*s\" has type %s, expected %s",
                     SHOWN(pair->key), gguf_types[pair->type].name, expected);
}

static bool pair_u32(const struct gguf_pair *pair, uint32_t *value, struct error *error) {
    struct reader r = reader_of(pair->data, pair->size);
    int64_t v;
    switch (pair->type) {
    case GGUF_U8:
        v = reader_u8(&r);
        break;
    case GGUF_I8:
        v = (int8_t)reader_u8(&r);
        break;
    case GGUF_U16:
        v = reader_u16(&r);
        break;
    case GGUF_I16:
        v = (int16_t)reader_u16(&r);
        break;
    case GGUF_U32:
        v = reader_u32(&r);
        break;
    case GGUF_I32:
        v = (int32_t)reader_u32(&r);
        break;
    case GGUF_U64: /* above 2^63 it reads as negative, and is refused just so */
    case GGUF_I64:
        v = (int64_t)reader_u64(&r);
        break;
    default:
        return wrong_type(pair, "a whole number", error);
    }
    if (v < 0 || v > UINT32_MAX) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "key \"%.*s\" is %" PRId64 ", expected 0 to %" PRIu32, SHOWN(pair->key), v,
                         UINT32_MAX);
    }
    *value = (uint32_t)v;
    return true;
}

static bool pair_f32(const struct gguf_pair *pair, float *value, struct error *error) {
    struct reader r = reader_of(pair->data, pair->size);
    if (pair->type == GGUF_F32) {
        *value = reader_f32(&r);
        return true;
    }
    if (pair->type == GGUF_F64) {
        uint64_t bits = reader_u64(&r);
        double v;
        memcpy(&v, &bits, sizeof v);
        *value = (float)v;
        return true;
    }
    return wrong_type(pair, "f32", error);
}

bool gguf_u32(const struct gguf *g, const char *key, uint32_t *value, struct error *error) {
    const struct gguf_pair *pair = gguf_find(g, key);
    return pair ? pair_u32(pair, value, error) : no_key(key, error);
}

bool gguf_u32_or(const struct gguf *g, const char *key, uint32_t fallback, uint32_t *value,
                 struct error *error) {
    const struct gguf_pair *pair = gguf_find(g, key);
    *value = fallback;
    return !pair || pair_u32(pair, value, error);
}

bool gguf_f32(const struct gguf *g, const char *key, float *value, struct error *error) {
    const struct gguf_pair *pair = gguf_find(g, key);
    return pair ? pair_f32(pair, value, error) : no_key(key, error);
}

bool gguf_f32_or(const struct gguf *g, const char *key, float fallback, float *value,
                 struct error *error) {
    const struct gguf_pair *pair = gguf_find(g, key);
    *value = fallback;
    return !pair || pair_f32(pair, value, error);
}

bool gguf_bool_or(const struct gguf *g, const char *key, bool fallback, bool *value,
                  struct error *error) {
    const struct gguf_pair *pair = gguf_find(g, key);
    *value = fallback;
    if (!pair) {
        return true;
    }
    if (pair->type != GGUF_BOOL) {
        return wrong_type(pair, "bool", error);
    }
    *value = pair->data[0] != 0;
    return true;
}

bool gguf_text(const struct gguf *g, const char *key, struct gguf_text *value,
               struct error *error) {
    const struct gguf_pair *pair = gguf_find(g, key);
    if (!pair) {
        return no_key(key, error);
    }
    if (pair->type != GGUF_STRING) {
        return wrong_type(pair, "string", error);
    }
    *value = (struct gguf_text){(const char *)pair->data + 8, pair->size - 8};
    return true;
}

bool gguf_text_is(struct gguf_text text, const char *word) {
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

struct gguf_strings gguf_strings_of(const struct gguf_pair *pair) {
    size_t size = pair->type == GGUF_ARRAY && pair->item == GGUF_STRING ? pair->size : 0;
    return (struct gguf_strings){pair->data, pair->data + size};
}

bool gguf_strings_next(struct gguf_strings *s, struct gguf_text *item) {
    if (s->at == s->end) {
        return false;
    }
    struct reader r = reader_of(s->at, (size_t)(s->end - s->at));
    uint64_t size = reader_u64(&r);
    *item = (struct gguf_text){(const char *)reader_take(&r, size), (size_t)size};
    s->at += r.at;
    return true;
}
