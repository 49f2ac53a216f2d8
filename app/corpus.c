/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts -> tokens to train on.
 */
#include "app/corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/library.h"

static const double HELD_OUT = 0.05; /* of every text, at its end */
enum { LEAST_SEQUENCES = 4 };

static uint64_t mix(uint64_t z) {
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* The name without its folders: an adapter tells what it was made from, not where that stood. */
static bool add_text(struct corpus *c, const struct document *d) {
    const char *slash = strrchr(d->name, '/'), *name = slash && slash[1] ? slash + 1 : d->name;
    uint8_t hash[HASH_BYTES];
    char hex[HASH_HEX], *line;
    if (!hash_of(d->text, d->size, hash)) {
        return false;
    }
    hash_hex(hash, hex);
    const int size = asprintf(&line, "%s  %s", hex, name);
    if (size < 0) {
        return false;
    }
    c->texts[c->count++] = (struct gguf_text){line, (size_t)size};
    return true;
}

static bool append(struct tokens *to, const token *ids, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!tokens_push(to, ids[i])) {
            return false;
        }
    }
    return true;
}

/* Every text's last part goes to the one list, the rest to the other; `ends` are where texts end in
 * `all`. */
static bool split(struct corpus *c, const struct tokens *all, const size_t *ends, size_t count) {
    double share = (double)c->length / (double)all->count;
    share = share > HELD_OUT ? share : HELD_OUT;
    for (size_t i = 0, from = 0; i < count; from = ends[i++]) {
        const size_t n = ends[i] - from;
        size_t aside = (size_t)((double)n * share + 0.999999);
        aside = aside < n ? aside : n;
        if (!append(&c->train, all->ids + from, n - aside) ||
            !append(&c->held_out, all->ids + ends[i] - aside, aside)) {
            return false;
        }
    }
    return true;
}

static bool encode(struct corpus *c, const struct library *l, const struct tokenizer *t,
                   struct error *error) {
    struct tokens all = {0};
    size_t *ends = calloc(l->count + 1, sizeof *ends);
    c->texts = calloc(l->count + 1, sizeof *c->texts);
    bool ok = (ends && c->texts) || error_set(error, ERROR_NO_SPACE, "no memory for the texts");
    for (size_t i = 0; ok && i < l->count; i++) {
        const struct document *d = &l->documents[i];
        ok = tokenizer_encode(t, d->text, d->size, &all, error) &&
             (add_text(c, d) || error_set(error, ERROR_NO_SPACE, "no memory for the texts"));
        ends[i] = all.count;
    }
    if (ok && all.count < LEAST_SEQUENCES * c->length) {
        ok = error_set(error, ERROR_FAILURE,
                       "the texts have %zu tokens, expected at least %zu, %d sequences of %zu",
                       all.count, LEAST_SEQUENCES * c->length, LEAST_SEQUENCES, c->length);
    }
    if (ok) {
        ok = (hash_of(all.ids, all.count * sizeof *all.ids, c->fingerprint) &&
              split(c, &all, ends, l->count)) ||
             error_set(error, ERROR_NO_SPACE, "no memory for %zu tokens", all.count);
    }
    tokens_finish(&all);
    free(ends);
    return ok;
}

bool corpus_read(struct corpus *c, const char *const *paths, size_t count,
                 const struct tokenizer *t, size_t length, bool (*stop)(void *),
                 struct error *error) {
    struct library library = {0};
    struct walk_options walk = walk_options_default();
    walk.stop = stop;
    c->length = length;
    c->bos = tokenizer_adds_bos(t) ? tokenizer_bos(t) : TOKEN_NONE;
    bool ok = library_read(&library, paths, count, &walk, error);
    if (ok && library.count == 0) {
        ok = error_set(error, ERROR_FAILURE, "nothing to train on: %s",
                       library.skips.count ? library.skips.items[0].reason : "no file was found");
    }
    ok = ok && encode(c, &library, t, error);
    library_finish(&library);
    return ok;
}

void corpus_finish(struct corpus *c) {
    for (size_t i = 0; i < c->count; i++) {
        free((char *)c->texts[i].data);
    }
    free(c->texts);
    tokens_finish(&c->train);
    tokens_finish(&c->held_out);
    *c = (struct corpus){0};
}

static void copy(const struct corpus *c, const struct tokens *from, size_t at, token *ids) {
    memcpy(ids, from->ids + at, c->length * sizeof *ids);
    if (c->bos != TOKEN_NONE) {
        ids[0] = c->bos;
    }
}

size_t corpus_choice(uint64_t seed, uint64_t step, size_t n) {
    return (size_t)(mix(mix(seed ^ 0x77696e646f77u) + step) % n);
}

/* The piece that stands at place `index` of a shuffle of `n`: a Feistel network of four rounds over
 * the next power of four, walked until it lands inside. */
static size_t shuffled(uint64_t key, size_t index, size_t n) {
    unsigned half = 1;
    while ((uint64_t)1 << (2 * half) < n) {
        half++;
    }
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    uint64_t v = index;
    do {
        uint64_t left = v >> half, right = v & mask;
        for (unsigned round = 0; round < 4; round++) {
            const uint64_t next = left ^ (mix(key + (uint64_t)round * 0x10001 + right) & mask);
            left = right;
            right = next;
        }
        v = left << half | right;
    } while (v >= n);
    return (size_t)v;
}

void corpus_sequence(const struct corpus *c, uint64_t seed, uint64_t step, token *ids) {
    /* One piece less than there is room for: the cut moves by up to a piece. */
    const size_t whole = c->train.count / c->length, pieces = whole > 1 ? whole - 1 : 1;
    const uint64_t epoch = step / pieces, key = mix(mix(seed) + epoch);
    size_t slack = c->train.count - pieces * c->length;
    slack = slack < c->length ? slack : c->length;
    const size_t cut = slack ? (size_t)(mix(key ^ 0x637574u) % slack) : 0;
    copy(c, &c->train, cut + shuffled(key, (size_t)(step % pieces), pieces) * c->length, ids);
}

size_t corpus_held_out_count(const struct corpus *c, size_t most) {
    const size_t whole = c->held_out.count / c->length;
    return whole < most ? whole : most;
}

void corpus_held_out(const struct corpus *c, size_t i, size_t of, token *ids) {
    const size_t room = c->held_out.count - c->length;
    copy(c, &c->held_out, of > 1 ? room / (of - 1) * i : 0, ids);
}
