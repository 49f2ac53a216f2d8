/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the directory of a GGUF file:
 *
 *   "GGUF", version u32, tensors u64, pairs u64
 *   pairs:   key, type u32, value
 *   tensors: name, dims u32, ne[dims] u64, type u32, offset u64
 *   zeros up to the next multiple of general.alignment
 *   tensor data, each tensor at its offset from here, itself a multiple of the alignment
 *
 * where a key, name or string is its length u64 and its bytes, and an array the type u32 of its
 * items, their count u64, and the items.
 *
 * Names are found, and repeated ones refused, by binary search in a sorted index: no choice of
 * names by a hostile file makes that slow.
 */
#include "engine/gguf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "engine/base/bytes.h"
#include "engine/gguf_private.h"

enum {
    PAIR_BYTES_MIN = 8 + 1 + 4 + 1,           /* key of one byte, a one-byte value */
    TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8, /* name of one byte, one dimension */
    PAIRS_MAX = 1 << 20,
    TENSORS_MAX = 1 << 20,
    KEY_MAX = 65535,
    TENSOR_NAME_MAX = 63,
    ARRAY_MAX = 1 << 30,
    ALIGNMENT_DEFAULT = 32,
    ALIGNMENT_MIN = 8,
    ALIGNMENT_MAX = 65536,
};

struct parser {
    struct gguf *g;
    struct reader r;
    struct error *error;
};

static int compare_offsets(const void *a, const void *b) {
    const struct gguf_tensor *const *x = a, *const *y = b;
    const char *p = (*x)->data, *q = (*y)->data;
    return (p > q) - (p < q);
}

static bool out_of_memory(const struct parser *p) {
    return error_set(p->error, ERROR_NO_SPACE, "out of memory for the directory of a model file");
}

/* Sorts the names and refuses one that comes twice. */
static bool sort_names(const struct parser *p, struct gguf_entry *entries, size_t count,
                       const char *what) {
    qsort(entries, count, sizeof *entries, gguf_compare_entries);
    for (size_t i = 1; i < count; i++) {
        if (gguf_compare_entries(&entries[i - 1], &entries[i]) == 0) {
            return error_set(p->error, ERROR_INCOMPATIBLE, "duplicate %s \"%.*s\"", what,
                             SHOWN(entries[i].name));
        }
    }
    return true;
}

/* A number of the directory itself; `what` says which, for the error. */
static bool read_u32(struct parser *p, const char *what, uint32_t *value) {
    size_t at = p->r.at;
    *value = reader_u32(&p->r);
    return !p->r.failed ||
           error_set(p->error, ERROR_INCOMPATIBLE, "byte %zu: the file ends within %s", at, what);
}

static bool read_u64(struct parser *p, const char *what, uint64_t *value) {
    size_t at = p->r.at;
    *value = reader_u64(&p->r);
    return !p->r.failed ||
           error_set(p->error, ERROR_INCOMPATIBLE, "byte %zu: the file ends within %s", at, what);
}

static bool is_clean_utf8(struct gguf_text text) {
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text.data;
    size_t left = text.size;
    while (left) {
        utf8proc_int32_t point;
        utf8proc_ssize_t n = utf8proc_iterate(at, (utf8proc_ssize_t)left, &point);
        if (n <= 0 || point < 0x20 || (point >= 0x7f && point < 0xa0)) {
            return false;
        }
        at += n;
        left -= (size_t)n;
    }
    return true;
}

/* A key or tensor name of 1..max bytes. */
static bool read_name(struct parser *p, const char *what, size_t max, struct gguf_text *name) {
    size_t at = p->r.at;
    uint64_t size;
    if (!read_u64(p, what, &size)) {
        return false;
    }
    if (size < 1 || size > max) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "byte %zu: a %s of %" PRIu64 " bytes, expected 1 to %zu", at, what, size,
                         max);
    }
    size_t left = reader_left(&p->r);
    *name = (struct gguf_text){(const char *)reader_take(&p->r, size), (size_t)size};
    if (!name->data) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "byte %zu: a %s of %" PRIu64 " bytes, but only %zu are left", at, what,
                         size, left);
    }
    if (!is_clean_utf8(*name)) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "byte %zu: a %s with control bytes or invalid UTF-8", at, what);
    }
    return true;
}

/* Passes over a string value, without an error message. */
static bool skip_string(struct reader *r) {
    reader_take(r, reader_u64(r));
    return !r->failed;
}

static bool skip_array(struct parser *p, struct gguf_pair *pair) {
    size_t at = p->r.at;
    uint32_t item;
    if (!read_u32(p, "the type of an array", &item) ||
        !read_u64(p, "the length of an array", &pair->count)) {
        return false;
    }
    if (item >= GGUF_TYPES || item == GGUF_ARRAY) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "byte %zu: key \"%.*s\" is an array of type %" PRIu32
                         ", expected 0 to 12 and no arrays",
                         at, SHOWN(pair->key), item);
    }
    pair->item = (enum gguf_type)item;
    size_t item_min = item == GGUF_STRING ? 8 : gguf_types[item].size, left = reader_left(&p->r);
    if (pair->count > ARRAY_MAX || pair->count > left / item_min) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "byte %zu: key \"%.*s\" is an array of %" PRIu64
                         " items, but only %zu bytes are left (and %d items allowed)",
                         at, SHOWN(pair->key), pair->count, left, ARRAY_MAX);
    }
    pair->data = p->r.data + p->r.at;
    if (item != GGUF_STRING) {
        reader_take(&p->r, pair->count * gguf_types[item].size);
    }
    for (uint64_t i = 0; item == GGUF_STRING && i < pair->count; i++) {
        at = p->r.at;
        if (!skip_string(&p->r)) {
            return error_set(p->error, ERROR_INCOMPATIBLE,
                             "byte %zu: key \"%.*s\": string %" PRIu64
                             " of the array runs past the end of the file",
                             at, SHOWN(pair->key), i);
        }
    }
    pair->size = (size_t)(p->r.data + p->r.at - pair->data);
    return true;
}

static bool read_pair(struct parser *p, struct gguf_pair *pair) {
    if (!read_name(p, "key", KEY_MAX, &pair->key)) {
        return false;
    }
    size_t at = p->r.at;
    uint32_t type;
    if (!read_u32(p, "the type of a key", &type)) {
        return false;
    }
    if (type >= GGUF_TYPES) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "byte %zu: key \"%.*s\" has type %" PRIu32 ", expected 0 to 12", at,
                         SHOWN(pair->key), type);
    }
    pair->type = pair->item = (enum gguf_type)type;
    pair->count = 1;
    if (type == GGUF_ARRAY) {
        return skip_array(p, pair);
    }
    at = p->r.at;
    pair->data = p->r.data + at;
    if (type == GGUF_STRING ? !skip_string(&p->r) : !reader_take(&p->r, gguf_types[type].size)) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "byte %zu: the %s value of key \"%.*s\" runs past the end of the file", at,
                         gguf_types[type].name, SHOWN(pair->key));
    }
    pair->size = p->r.at - at;
    return true;
}

/* Type, rows and bytes of a tensor whose name and dimensions are known. */
static bool size_tensor(const struct parser *p, struct gguf_tensor *t, uint32_t type) {
    const struct quant_info *info = quant_info(type);
    if (!info) {
        const char *name = quant_name(type);
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "tensor \"%.*s\" has type %s (number %" PRIu32
                         "), which this version does not read",
                         SHOWN(t->name), name ? name : "unknown", type);
    }
    t->type = (enum quant_type)type;
    if (t->ne[0] % info->block) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "tensor \"%.*s\" has rows of %" PRIu64
                         " values, expected a multiple of %" PRIu32 ", the block of %s",
                         SHOWN(t->name), t->ne[0], info->block, info->name);
    }
    int64_t values = 1; /* signed as in every other reader of the format, so that none may wrap */
    uint64_t bytes = t->ne[0] / info->block;
    bool wraps = __builtin_mul_overflow(bytes, info->block_bytes, &bytes);
    for (int i = 0; i < 4; i++) {
        wraps |= __builtin_mul_overflow(values, t->ne[i], &values);
        wraps |= i > 0 && __builtin_mul_overflow(bytes, t->ne[i], &bytes);
    }
    if (wraps || bytes > INT64_MAX || bytes > SIZE_MAX) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "tensor \"%.*s\" is too large: its size does not fit in 63 bits",
                         SHOWN(t->name));
    }
    t->size = (size_t)bytes;
    return true;
}

/* Reads a tensor's line of the directory; its data is placed when the header's end is known. */
static bool read_tensor(struct parser *p, struct gguf_tensor *t, uint64_t *offset) {
    if (!read_name(p, "tensor name", TENSOR_NAME_MAX, &t->name)) {
        return false;
    }
    size_t at = p->r.at;
    if (!read_u32(p, "the dimensions of a tensor", &t->dims)) {
        return false;
    }
    if (t->dims < 1 || t->dims > 4) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "byte %zu: tensor \"%.*s\" has %" PRIu32 " dimensions, expected 1 to 4",
                         at, SHOWN(t->name), t->dims);
    }
    for (uint32_t i = 0; i < 4; i++) {
        at = p->r.at;
        t->ne[i] = 1;
        if (i < t->dims && !read_u64(p, "the dimensions of a tensor", &t->ne[i])) {
            return false;
        }
        if (t->ne[i] < 1 || t->ne[i] > INT64_MAX) {
            return error_set(p->error, ERROR_INCOMPATIBLE,
                             "byte %zu: dimension %" PRIu32 " of tensor \"%.*s\" is %" PRId64
                             ", expected at least 1",
                             at, i, SHOWN(t->name), (int64_t)t->ne[i]);
        }
    }
    uint32_t type;
    if (!read_u32(p, "the type of a tensor", &type) ||
        !read_u64(p, "the offset of a tensor", offset)) {
        return false;
    }
    if (!size_tensor(p, t, type)) {
        return error_prefix(p->error, "byte %zu", p->r.at - 12);
    }
    if (*offset % p->g->alignment) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "byte %zu: tensor \"%.*s\" is at offset %" PRIu64
                         ", expected a multiple of the alignment %" PRIu64,
                         p->r.at - 8, SHOWN(t->name), *offset, p->g->alignment);
    }
    return true;
}

static bool read_header(struct parser *p) {
    struct gguf *g = p->g;
    uint64_t tensors, pairs;
    if (p->r.size == 0) {
        return error_set(p->error, ERROR_INCOMPATIBLE, "the file is empty, expected a GGUF file");
    }
    const uint8_t *magic = reader_take(&p->r, 4);
    if (!magic || memcmp(magic, "GGUF", 4) != 0) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "no GGUF file: its first four bytes are not \"GGUF\"");
    }
    if (!read_u32(p, "the version", &g->version)) {
        return false;
    }
    if (g->version && g->version % 65536 == 0) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "byte 4: GGUF version %" PRIu32
                         " is byte-swapped: a file of the other endianness (big-endian), expected "
                         "a little-endian one",
                         g->version);
    }
    if (g->version < 2 || g->version > 3) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "byte 4: GGUF version %" PRIu32 ", expected 2 or 3", g->version);
    }
    if (!read_u64(p, "the number of tensors", &tensors) ||
        !read_u64(p, "the number of keys", &pairs)) {
        return false;
    }
    size_t left = reader_left(&p->r);
    if (tensors > TENSORS_MAX || tensors > left / TENSOR_BYTES_MIN) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "byte 8: %" PRIu64
                         " tensors cannot be in the %zu bytes left (and at most %d are allowed)",
                         tensors, left, TENSORS_MAX);
    }
    left -= (size_t)tensors * TENSOR_BYTES_MIN;
    if (pairs > PAIRS_MAX || pairs > left / PAIR_BYTES_MIN) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "byte 16: %" PRIu64
                         " keys cannot be in the %zu bytes left (and at most %d are allowed)",
                         pairs, left, PAIRS_MAX);
    }
    g->tensor_count = (size_t)tensors;
    g->pair_count = (size_t)pairs;
    g->index = calloc(1, sizeof *g->index);
    g->pairs = calloc(g->pair_count + 1, sizeof *g->pairs);
    g->tensors = calloc(g->tensor_count + 1, sizeof *g->tensors);
    if (!g->index || !g->pairs || !g->tensors) {
        return out_of_memory(p);
    }
    g->index->pairs = calloc(g->pair_count + 1, sizeof(struct gguf_entry));
    g->index->tensors = calloc(g->tensor_count + 1, sizeof(struct gguf_entry));
    return (g->index->pairs && g->index->tensors) || out_of_memory(p);
}

static bool read_pairs(struct parser *p) {
    struct gguf *g = p->g;
    for (size_t i = 0; i < g->pair_count; i++) {
        if (!read_pair(p, &g->pairs[i])) {
            return false;
        }
        g->index->pairs[i] = (struct gguf_entry){g->pairs[i].key, i};
    }
    if (!sort_names(p, g->index->pairs, g->pair_count, "key")) {
        return false;
    }
    g->alignment = ALIGNMENT_DEFAULT;
    const struct gguf_pair *pair = gguf_find(g, "general.alignment");
    if (!pair) {
        return true;
    }
    if (pair->type != GGUF_U32) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "key \"general.alignment\" has type %s, expected u32",
                         gguf_types[pair->type].name);
    }
    struct reader r = reader_of(pair->data, pair->size);
    g->alignment = reader_u32(&r);
    if (g->alignment < ALIGNMENT_MIN || g->alignment > ALIGNMENT_MAX ||
        (g->alignment & (g->alignment - 1))) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "key \"general.alignment\" is %" PRIu64
                         ", expected a power of two from %d to %d",
                         g->alignment, ALIGNMENT_MIN, ALIGNMENT_MAX);
    }
    return true;
}

/* Points tensor `t` at its bytes, `offset` after the header. */
static bool place_tensor(const struct parser *p, struct gguf_tensor *t, uint64_t offset) {
    uint64_t start, end;
    if (__builtin_add_overflow(p->g->header_size, offset, &start) ||
        __builtin_add_overflow(start, t->size, &end) || end > p->r.size) {
        return error_set(p->error, ERROR_INCOMPATIBLE,
                         "tensor \"%.*s\" (%zu bytes at offset %" PRIu64
                         " of the data, which starts at byte %zu) runs past the end of the file "
                         "(%zu bytes): the file is damaged or not complete",
                         SHOWN(t->name), t->size, offset, p->g->header_size, p->r.size);
    }
    t->data = p->r.data + start;
    return true;
}

/* Refuses tensors that share bytes; counts the bytes after the last one. */
static bool check_overlaps(const struct parser *p) {
    struct gguf *g = p->g;
    const struct gguf_tensor **order = calloc(g->tensor_count + 1, sizeof(struct gguf_tensor *));
    if (!order) {
        return out_of_memory(p);
    }
    for (size_t i = 0; i < g->tensor_count; i++) {
        order[i] = &g->tensors[i];
    }
    qsort(order, g->tensor_count, sizeof(struct gguf_tensor *), compare_offsets);
    bool ok = true;
    size_t end = g->header_size;
    for (size_t i = 0; i < g->tensor_count && ok; i++) {
        size_t start = (size_t)((const uint8_t *)order[i]->data - p->r.data);
        if (start < end) { /* the first tensor cannot: offsets are not negative */
            ok = error_set(p->error, ERROR_INCOMPATIBLE,
                           "tensors \"%.*s\" and \"%.*s\" overlap at byte %zu",
                           SHOWN(order[i - 1]->name), SHOWN(order[i]->name), start);
        }
        end = start + order[i]->size;
    }
    size_t padding = (size_t)(-end & (g->alignment - 1));
    g->trailing = p->r.size - end > padding ? p->r.size - end - padding : 0;
    free(order);
    return ok;
}

static bool read_tensors(struct parser *p) {
    struct gguf *g = p->g;
    uint64_t *offsets = calloc(g->tensor_count + 1, sizeof *offsets);
    bool ok = offsets || out_of_memory(p);
    for (size_t i = 0; i < g->tensor_count && ok; i++) {
        ok = read_tensor(p, &g->tensors[i], &offsets[i]);
        g->index->tensors[i] = (struct gguf_entry){g->tensors[i].name, i};
    }
    ok = ok && sort_names(p, g->index->tensors, g->tensor_count, "tensor name");
    size_t padding = (size_t)(-p->r.at & (g->alignment - 1));
    if (ok && padding > reader_left(&p->r)) {
        if (g->tensor_count) {
            ok = error_set(p->error, ERROR_INCOMPATIBLE,
                           "byte %zu: the file ends before its tensor data", p->r.size);
        }
        padding = reader_left(&p->r);
    }
    g->header_size = p->r.at + padding;
    for (size_t i = 0; i < g->tensor_count && ok; i++) {
        ok = place_tensor(p, &g->tensors[i], offsets[i]);
    }
    free(offsets);
    return ok && check_overlaps(p);
}

bool gguf_parse(struct gguf *g, const void *data, size_t size, struct error *error) {
    *g = (struct gguf){0};
    struct parser p = {.g = g, .r = reader_of(data, size), .error = error};
    if (!read_header(&p) || !read_pairs(&p) || !read_tensors(&p)) {
        gguf_finish(g);
        return false;
    }
    return true;
}

void gguf_finish(struct gguf *g) {
    if (g->index) {
        free(g->index->pairs);
        free(g->index->tensors);
    }
    free(g->index);
    free(g->pairs);
    free(g->tensors);
    *g = (struct gguf){0};
}
