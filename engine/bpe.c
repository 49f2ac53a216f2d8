/* SPDX-License-Identifier: Apache-2.0
 *
 * Short words, nearly all of them, are merged in two small arrays that are searched from end to
 * end; long ones as a linked list with a heap of the possible merges.
 */
#include "engine/bpe.h"

#include <stdlib.h>
#include <string.h>

#define SHORT 32 /* bytes up to which searching the arrays beats the heap */
#define NO_RANK UINT32_MAX

static size_t hash_pair(token left, token right) {
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9E3779B97F4A7C15u;
    return (size_t)(h >> 32); /* the high bits depend on all bits of both */
}

bool bpe_init(struct bpe *b, size_t merges) {
    *b = (struct bpe){0};
    for (size_t i = 0; i < 256; i++) {
        b->byte_token[i] = TOKEN_NONE;
    }
    size_t slots = 16;
    while (slots / 2 < merges) {
        slots *= 2;
    }
    b->slots = malloc(slots * sizeof *b->slots);
    if (!b->slots) {
        return false;
    }
    b->mask = slots - 1;
    for (size_t i = 0; i < slots; i++) {
        b->slots[i].left = TOKEN_NONE;
    }
    return true;
}

void bpe_finish(struct bpe *b) {
    free(b->slots);
    *b = (struct bpe){0};
}

/* The slot of the pair, or the free one where it belongs. */
static struct bpe_merge *slot_of(const struct bpe *b, token left, token right) {
    for (size_t i = hash_pair(left, right);; i++) {
        struct bpe_merge *m = &b->slots[i & b->mask];
        if (m->left == TOKEN_NONE || (m->left == left && m->right == right)) {
            return m;
        }
    }
}

bool bpe_add(struct bpe *b, struct bpe_merge merge) {
    struct bpe_merge *slot = slot_of(b, merge.left, merge.right);
    if (slot->left != TOKEN_NONE) {
        return false;
    }
    *slot = merge;
    return true;
}

/* NULL when the two do not merge. */
static const struct bpe_merge *find(const struct bpe *b, token left, token right) {
    if (left == TOKEN_NONE || right == TOKEN_NONE) {
        return NULL;
    }
    const struct bpe_merge *m = slot_of(b, left, right);
    return m->left == TOKEN_NONE ? NULL : m;
}

/* The merge of ids[i] and ids[i + 1] as rank and result. */
struct step {
    uint32_t rank;
    token result;
};

static struct step step_of(const struct bpe *b, token left, token right) {
    const struct bpe_merge *m = find(b, left, right);
    return m ? (struct step){m->rank, m->result} : (struct step){NO_RANK, TOKEN_NONE};
}

static size_t merge_short(const struct bpe *b, const uint8_t *word, size_t size, token *ids) {
    struct step steps[SHORT];
    for (size_t i = 0; i < size; i++) {
        ids[i] = b->byte_token[word[i]];
    }
    for (size_t i = 0; i + 1 < size; i++) {
        steps[i] = step_of(b, ids[i], ids[i + 1]);
    }
    size_t n = size;
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++) {
            best = steps[i].rank < steps[best].rank ? i : best;
        }
        if (steps[best].rank == NO_RANK) {
            break;
        }
        ids[best] = steps[best].result;
        n--;
        memmove(ids + best + 1, ids + best + 2, (n - best - 1) * sizeof *ids);
        if (best + 1 < n) {
            memmove(steps + best + 1, steps + best + 2, (n - best - 2) * sizeof *steps);
            steps[best] = step_of(b, ids[best], ids[best + 1]);
        }
        if (best > 0) {
            steps[best - 1] = step_of(b, ids[best - 1], ids[best]);
        }
    }
    return n;
}

/* A symbol of a long word; a symbol that was merged into the one before it has id == GONE. */
#define GONE ((token)-2)
#define NO_SYMBOL UINT32_MAX
struct symbol {
    token id;
    uint32_t before, after;
};

/* A merge that was possible when it was queued; it still is if both symbols are as they were. */
struct candidate {
    uint32_t rank, at;
    token left, right;
};

struct heap {
    struct candidate *items;
    size_t count;
};

static bool sooner(struct candidate a, struct candidate b) {
    return a.rank < b.rank || (a.rank == b.rank && a.at < b.at);
}

static void heap_push(struct heap *h, struct candidate c) {
    size_t i = h->count++;
    while (i > 0 && sooner(c, h->items[(i - 1) / 2])) {
        h->items[i] = h->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->items[i] = c;
}

static struct candidate heap_pop(struct heap *h) {
    struct candidate top = h->items[0], last = h->items[--h->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->count) {
            break;
        }
        if (child + 1 < h->count && sooner(h->items[child + 1], h->items[child])) {
            child++;
        }
        if (!sooner(h->items[child], last)) {
            break;
        }
        h->items[i] = h->items[child];
        i = child;
    }
    h->items[i] = last;
    return top;
}

static void queue_pair(const struct bpe *b, const struct symbol *symbols, uint32_t at,
                       struct heap *h) {
    if (at == NO_SYMBOL || symbols[at].after == NO_SYMBOL) {
        return;
    }
    token left = symbols[at].id, right = symbols[symbols[at].after].id;
    const struct bpe_merge *m = find(b, left, right);
    if (m) {
        heap_push(h, (struct candidate){.rank = m->rank, .at = at, .left = left, .right = right});
    }
}

static void merge_long(const struct bpe *b, const uint8_t *word, uint32_t size,
                       struct symbol *symbols, struct heap *h) {
    for (uint32_t i = 0; i < size; i++) {
        symbols[i] = (struct symbol){.id = b->byte_token[word[i]],
                                     .before = i > 0 ? i - 1 : NO_SYMBOL,
                                     .after = i + 1 < size ? i + 1 : NO_SYMBOL};
    }
    for (uint32_t i = 0; i + 1 < size; i++) {
        queue_pair(b, symbols, i, h);
    }
    while (h->count > 0) {
        struct candidate c = heap_pop(h);
        struct symbol *left = &symbols[c.at];
        if (left->id != c.left || left->after == NO_SYMBOL || symbols[left->after].id != c.right) {
            continue;
        }
        struct symbol *right = &symbols[left->after];
        left->id = find(b, c.left, c.right)->result;
        left->after = right->after;
        right->id = GONE;
        if (left->after != NO_SYMBOL) {
            symbols[left->after].before = c.at;
        }
        queue_pair(b, symbols, left->before, h);
        queue_pair(b, symbols, c.at, h);
    }
}

/* A heap of n symbols never holds more than 2 n candidates: n - 1 at the start, and each of the
 * at most n - 1 merges takes one out and puts in two. */
static bool reserve(struct bpe_scratch *s, size_t symbols) {
    size_t need = symbols * (sizeof(struct symbol) + 2 * sizeof(struct candidate));
    if (need > s->size) {
        free(s->data);
        s->data = malloc(need);
        s->size = s->data ? need : 0;
    }
    return s->data != NULL;
}

void bpe_scratch_finish(struct bpe_scratch *s) {
    free(s->data);
    *s = (struct bpe_scratch){0};
}

bool bpe_word(const struct bpe *b, const char *word, size_t size, struct bpe_scratch *scratch,
              struct tokens *out) {
    const uint8_t *bytes = (const uint8_t *)word;
    if (size <= SHORT) {
        token ids[SHORT];
        size_t n = merge_short(b, bytes, size, ids);
        for (size_t i = 0; i < n; i++) {
            if (ids[i] != TOKEN_NONE && !tokens_push(out, ids[i])) {
                return false;
            }
        }
        return true;
    }
    if (!reserve(scratch, size)) {
        return false;
    }
    struct heap h = {.items = scratch->data};
    struct symbol *symbols = (struct symbol *)(h.items + 2 * size);
    merge_long(b, bytes, (uint32_t)size, symbols, &h);
    for (uint32_t i = 0; i != NO_SYMBOL; i = symbols[i].after) {
        if (symbols[i].id != TOKEN_NONE && !tokens_push(out, symbols[i].id)) {
            return false;
        }
    }
    return true;
}
