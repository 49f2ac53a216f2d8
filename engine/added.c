/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass over the text for each added token, of which vocabularies have none or a few.
 */
#include "engine/added.h"

#include <stdlib.h>
#include <string.h>

/* qsort compares ids alone; it needs the lengths beside them. */
struct length {
    size_t size;
    token id;
};

static int by_length(const void *a, const void *b) {
    const struct length *x = a, *y = b;
    if (x->size != y->size) {
        return x->size > y->size ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

bool added_init(struct added *a, const struct vocabulary *v) {
    *a = (struct added){0};
    size_t count = 0;
    for (size_t id = 0; id < v->count; id++) {
        count += v->kinds[id] == TOKEN_ADDED && vocabulary_bytes(v, (token)id).size > 0;
    }
    if (count == 0) {
        return true;
    }
    struct length *lengths = malloc(count * sizeof *lengths);
    a->ids = malloc(count * sizeof *a->ids);
    if (lengths && a->ids) {
        for (size_t id = 0; id < v->count; id++) {
            size_t size = vocabulary_bytes(v, (token)id).size;
            if (v->kinds[id] == TOKEN_ADDED && size > 0) {
                lengths[a->count++] = (struct length){.size = size, .id = (token)id};
            }
        }
        qsort(lengths, count, sizeof *lengths, by_length);
        for (size_t i = 0; i < count; i++) {
            a->ids[i] = lengths[i].id;
        }
    }
    free(lengths);
    return a->count == count;
}

void added_finish(struct added *a) {
    free(a->ids);
    *a = (struct added){0};
}

void pieces_finish(struct pieces *p) {
    free(p->items);
    *p = (struct pieces){0};
}

static bool put(struct pieces *p, size_t start, size_t size, token id) {
    if (size == 0) {
        return true;
    }
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? 2 * p->capacity : 16;
        struct piece *items = realloc(p->items, capacity * sizeof *items);
        if (!items) {
            return false;
        }
        p->items = items;
        p->capacity = capacity;
    }
    p->items[p->count++] = (struct piece){.start = start, .size = size, .id = id};
    return true;
}

/* Puts the pieces of `from` with every `word` in text cut out of it. */
static bool cut_word(const struct pieces *from, const char *text, struct gguf_text word, token id,
                     struct pieces *to) {
    to->count = 0;
    for (size_t i = 0; i < from->count; i++) {
        struct piece piece = from->items[i];
        const char *found;
        while (piece.id == TOKEN_NONE &&
               (found = memmem(text + piece.start, piece.size, word.data, word.size))) {
            size_t before = (size_t)(found - (text + piece.start));
            if (!put(to, piece.start, before, TOKEN_NONE) ||
                !put(to, piece.start + before, word.size, id)) {
                return false;
            }
            piece.start += before + word.size;
            piece.size -= before + word.size;
        }
        if (!put(to, piece.start, piece.size, piece.id)) {
            return false;
        }
    }
    return true;
}

bool added_cut(const struct added *a, const struct vocabulary *v, const char *text, size_t size,
               struct pieces *out) {
    struct pieces next = {0};
    out->count = 0;
    bool ok = put(out, 0, size, TOKEN_NONE);
    for (size_t i = 0; ok && i < a->count; i++) {
        struct gguf_text word = vocabulary_bytes(v, a->ids[i]);
        if (!memmem(text, size, word.data, word.size)) {
            continue;
        }
        ok = cut_word(out, text, word, a->ids[i], &next);
        struct pieces swap = *out;
        *out = next;
        next = swap;
    }
    pieces_finish(&next);
    return ok;
}
