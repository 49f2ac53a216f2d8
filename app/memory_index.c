/* SPDX-License-Identifier: Apache-2.0
 *
 * Term -> list of (passage, how often), in a hash table with open addressing. Passages of all
 * documents are numbered through; a document knows the number of its first one.
 */
#include "app/memory_index.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const double k1 = 1.2; /* how soon more of the same word stops to count */
static const double b = 0.4;  /* how much a long passage is held back; they are of similar length */
static const float heading_weight = 0.5f; /* of a word that only the heading or the name has */

struct posting {
    uint32_t passage;
    float count; /* below 1: only in the heading or the name */
};

struct term {
    char *stem; /* NULL: the slot is free */
    struct posting *postings;
    size_t count;
    size_t in_text; /* postings of passages that have it in their text */
};

struct indexed {
    const struct document *document;
    const struct passages *passages;
    size_t first; /* number of its first passage */
};

struct memory_index {
    struct words *words;
    struct term *terms; /* [capacity], a power of two */
    size_t capacity, used;
    struct indexed *documents;
    size_t document_count;
    float *lengths; /* words of each passage */
    size_t passage_count;
    double total_length;
};

struct memory_index *memory_index_create(struct words *words, struct error *error) {
    struct memory_index *m = calloc(1, sizeof *m);
    if (m) {
        m->words = words;
        m->capacity = 4096;
        m->terms = calloc(m->capacity, sizeof *m->terms);
    }
    if (!m || !m->terms) {
        free(m);
        error_set(error, ERROR_NO_SPACE, "out of memory");
        return NULL;
    }
    return m;
}

void memory_index_destroy(struct memory_index *m) {
    if (!m) {
        return;
    }
    for (size_t i = 0; i < m->capacity; i++) {
        free(m->terms[i].stem);
        free(m->terms[i].postings);
    }
    free(m->terms);
    free(m->documents);
    free(m->lengths);
    free(m);
}

/* FNV-1a. Texts made to collide could slow a search down, nothing worse. */
static uint64_t hash(const char *stem, size_t size) {
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < size; i++) {
        h = (h ^ (unsigned char)stem[i]) * 1099511628211u;
    }
    return h ^ h >> 29;
}

/* The slot that holds the stem, or the free one where it belongs. */
static struct term *slot(struct term *terms, size_t capacity, const char *stem, size_t size) {
    for (size_t i = hash(stem, size) & (capacity - 1);; i = (i + 1) & (capacity - 1)) {
        struct term *t = &terms[i];
        if (!t->stem || (strncmp(t->stem, stem, size) == 0 && t->stem[size] == '\0')) {
            return t;
        }
    }
}

static bool grow(struct memory_index *m) {
    size_t capacity = 2 * m->capacity;
    struct term *terms = calloc(capacity, sizeof *terms);
    if (!terms) {
        return false;
    }
    for (size_t i = 0; i < m->capacity; i++) {
        if (m->terms[i].stem) {
            *slot(terms, capacity, m->terms[i].stem, strlen(m->terms[i].stem)) = m->terms[i];
        }
    }
    free(m->terms);
    m->terms = terms;
    m->capacity = capacity;
    return true;
}

/* Counts the stem for the passage, which is the last one so far. */
static bool count_word(struct memory_index *m, const char *stem, size_t size, uint32_t passage,
                       float weight) {
    if (2 * m->used >= m->capacity && !grow(m)) {
        return false;
    }
    struct term *t = slot(m->terms, m->capacity, stem, size);
    if (!t->stem) {
        t->stem = strndup(stem, size);
        if (!t->stem) {
            return false;
        }
        m->used++;
    }
    struct posting *last = t->count ? &t->postings[t->count - 1] : NULL;
    if (last && last->passage == passage) {
        /* What the text has already, the heading adds nothing to. */
        last->count += weight >= 1 ? weight : 0;
        return true;
    }
    if ((t->count & (t->count - 1)) == 0) {
        struct posting *postings =
            reallocarray(t->postings, t->count ? 2 * t->count : 1, sizeof *postings);
        if (!postings) {
            return false;
        }
        t->postings = postings;
    }
    t->postings[t->count++] = (struct posting){.passage = passage, .count = weight};
    t->in_text += weight >= 1;
    return true;
}

struct counting {
    struct memory_index *m;
    uint32_t passage;
    float weight;
    size_t words;
    bool failed;
};

static bool count_each(void *context, const struct word *word) {
    struct counting *c = context;
    c->words += !word->part;
    if (!word->stop && !count_word(c->m, word->stem, word->size, c->passage, c->weight)) {
        c->failed = true;
        return false;
    }
    return true;
}

/* The text goes first, then heading and name, so that in_text counts what it says. */
static bool index_passage(struct memory_index *m, const struct document *d,
                          const struct passage *p) {
    struct counting c = {.m = m, .passage = (uint32_t)m->passage_count, .weight = 1};
    words_of(m->words, d->text + p->begin, p->end - p->begin, count_each, &c);
    size_t length = c.words;
    c.weight = heading_weight;
    if (p->section < d->section_count) {
        const char *title = d->sections[p->section].title;
        words_of(m->words, title, strlen(title), count_each, &c);
    }
    words_of(m->words, d->name, strlen(d->name), count_each, &c);
    m->lengths[m->passage_count++] = (float)length;
    m->total_length += (double)length;
    return !c.failed;
}

bool memory_index_add(struct memory_index *m, const struct document *document,
                      const struct passages *passages, struct error *error) {
    struct indexed *documents =
        reallocarray(m->documents, m->document_count + 1, sizeof *documents);
    if (documents) {
        m->documents = documents;
    }
    float *lengths =
        documents && passages->count < UINT32_MAX - m->passage_count
            ? reallocarray(m->lengths, m->passage_count + passages->count + 1, sizeof *lengths)
            : NULL;
    if (!lengths) {
        return error_set(error, ERROR_NO_SPACE, "%s: no memory to index it", document->name);
    }
    m->lengths = lengths;
    m->documents[m->document_count++] =
        (struct indexed){.document = document, .passages = passages, .first = m->passage_count};
    for (size_t i = 0; i < passages->count; i++) {
        if (!index_passage(m, document, &passages->items[i])) {
            return error_set(error, ERROR_NO_SPACE, "%s: no memory to index it", document->name);
        }
    }
    return true;
}

static struct passage_hit hit_of(const struct memory_index *m, size_t passage, double score) {
    size_t low = 0, high = m->document_count; /* the last document that starts at or before it */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (m->documents[middle].first <= passage) {
            low = middle;
        } else {
            high = middle;
        }
    }
    /* Documents without passages share their first number with the next one. */
    size_t ordinal = passage - m->documents[low].first;
    return (struct passage_hit){.document = low,
                                .ordinal = ordinal,
                                .place = m->documents[low].passages->items[ordinal],
                                .score = score};
}

static bool count(void *self, size_t *passages, struct error *error) {
    (void)error;
    const struct memory_index *m = self;
    *passages = m->passage_count;
    return true;
}

static bool frequency(void *self, const char *stem, size_t *passages, struct error *error) {
    (void)error;
    const struct memory_index *m = self;
    *passages = slot(m->terms, m->capacity, stem, strlen(stem))->in_text;
    return true;
}

static void score_term(const struct memory_index *m, const struct query_term *q, double *scores) {
    const struct term *t = slot(m->terms, m->capacity, q->stem, strlen(q->stem));
    double mean = m->total_length / (double)m->passage_count + 1e-9;
    for (size_t i = 0; i < t->count; i++) {
        const struct posting *p = &t->postings[i];
        double length = (double)m->lengths[p->passage] / mean;
        scores[p->passage] +=
            q->weight * p->count * (k1 + 1) / (p->count + k1 * (1 - b + b * length));
    }
}

/* The best at the front, sorted; among equals the earlier passage, so the order is always the same.
 * An insertion sort: `limit` is small. */
static size_t best(const struct memory_index *m, const double *scores, size_t limit,
                   struct passage_hit *hits) {
    size_t n = 0;
    for (size_t i = 0; i < m->passage_count; i++) {
        if (scores[i] <= 0 || (n == limit && scores[i] <= hits[n - 1].score)) {
            continue;
        }
        size_t at = n < limit ? n++ : n - 1;
        while (at > 0 && hits[at - 1].score < scores[i]) {
            hits[at] = hits[at - 1];
            at--;
        }
        hits[at] = hit_of(m, i, scores[i]);
    }
    return n;
}

static bool search(void *self, const struct query *query, size_t limit, struct passage_hit *hits,
                   size_t *found, struct error *error) {
    const struct memory_index *m = self;
    double *scores = calloc(m->passage_count + 1, sizeof *scores);
    if (!scores) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    for (size_t i = 0; i < query->count; i++) {
        score_term(m, &query->terms[i], scores);
    }
    *found = limit ? best(m, scores, limit, hits) : 0;
    free(scores);
    return true;
}

static bool at(void *self, size_t document, size_t ordinal, struct passage_hit *hit, bool *exists,
               struct error *error) {
    (void)error;
    const struct memory_index *m = self;
    *exists = document < m->document_count && ordinal < m->documents[document].passages->count;
    if (*exists) {
        *hit = (struct passage_hit){.document = document,
                                    .ordinal = ordinal,
                                    .place = m->documents[document].passages->items[ordinal]};
    }
    return true;
}

static bool nth(void *self, size_t n, size_t *document, bool *exists, struct error *error) {
    (void)error;
    const struct memory_index *m = self;
    *document = n;
    *exists = n < m->document_count;
    return true;
}

static bool text(void *self, size_t document, size_t begin, size_t end, struct bytes *out,
                 struct error *error) {
    const struct memory_index *m = self;
    const struct document *d = m->documents[document].document;
    if (begin > end || end > d->size) {
        return error_set(error, ERROR_FAILURE, "%s: bytes %zu to %zu asked, it has %zu", d->name,
                         begin, end, d->size);
    }
    bytes_put(out, d->text + begin, end - begin);
    return !out->failed || error_set(error, ERROR_NO_SPACE, "out of memory");
}

static bool title(void *self, const struct passage_hit *hit, const char **name,
                  const char **heading, struct error *error) {
    (void)error;
    const struct memory_index *m = self;
    const struct document *d = m->documents[hit->document].document;
    *name = d->name;
    *heading = hit->place.section < d->section_count ? d->sections[hit->place.section].title : "";
    return true;
}

static const struct passage_index_ops memory_ops = {count, frequency, search, at, nth, text, title};

struct passage_index memory_index_view(struct memory_index *m) {
    return (struct passage_index){.ops = &memory_ops, .self = m};
}
