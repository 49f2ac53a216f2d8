/* SPDX-License-Identifier: Apache-2.0
 *
 * The index gives candidates by BM25. Each is then read again as a whole: a place that has more of
 * the question's words, and has them close together, goes first. What share of the question the
 * best place covers, rare words weighing most, decides whether there is support.
 */
#include "app/retrieve.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    CANDIDATES = 50, /* passages read again */
    WINDOW = 25,     /* words in which an answer says what the question is about */
    NEAR = 8,        /* words between two terms that belong together */
};

/* Found on the "dev" half of tests/bench/retrieval.py, where the figures change little around them.
 */
#define COMMON_WEIGHT 0.5
#define NAME_WEIGHT 1.2
#define PART_WEIGHT 0.5
#define LONELY_WEIGHT 0.8
#define SUPPORT 0.5

#define IN_TITLE SIZE_MAX /* for a word's number: it stands in the heading or the name */

struct retrieve_options retrieve_options_default(void) {
    return (struct retrieve_options){.passages = 6, .budget = 4000};
}

void retrieval_finish(struct retrieval *r) {
    query_finish(&r->query);
    for (size_t i = 0; i < r->count; i++) {
        free(r->items[i].text);
    }
    free(r->items);
    *r = (struct retrieval){0};
}

struct search {
    const struct passage_index *index;
    struct words *words;
    const struct retrieve_options *options;
    struct retrieval *out;
    size_t passages; /* in the index */
    struct passage_hit hits[CANDIDATES];
    size_t hit_count;
    struct error *error;
};

static bool no_memory(struct search *s) {
    return error_set(s->error, ERROR_NO_SPACE, "out of memory");
}

/* The rarer a word, the more it says; one that no passage has says most. In a short text all words
 * are rare, so general English counts less everywhere, and names, which have no synonyms, more. */
static bool weigh_terms(struct search *s) {
    struct query *q = &s->out->query;
    double total = 0;
    for (size_t i = 0; i < q->count; i++) {
        struct query_term *t = &q->terms[i];
        if (!s->index->ops->frequency(s->index->self, t->stem, &t->passages, s->error)) {
            return false;
        }
        double n = (double)s->passages, df = (double)t->passages;
        double kind = t->part      ? PART_WEIGHT
                      : t->common  ? COMMON_WEIGHT
                      : t->capital ? NAME_WEIGHT
                                   : 1;
        t->weight = kind * log(1 + (n - df + 0.5) / (df + 0.5));
        total += t->weight;
    }
    for (size_t i = 0; i < q->count; i++) {
        q->terms[i].weight /= total > 0 ? total : 1;
    }
    return true;
}

/* Where the terms stand in a passage. */
struct reading {
    const struct query *query;
    size_t *last;    /* per term: number of the word where it was seen last; 0: not yet */
    size_t word;     /* number of the current word, from 1 */
    bool title;      /* reading the heading and the name, which hold for every place */
    double coverage; /* weight of the terms in the best stretch of WINDOW words */
    double close;    /* weight of pairs of terms that stand near each other */
    size_t before;   /* the term seen last, and where */
    size_t before_word;
};

/* How much of the question the WINDOW words up to the current one speak of. */
static double window_coverage(const struct reading *r) {
    double covered = 0;
    size_t present = 0, missing = 0;
    for (size_t i = 0; i < r->query->count; i++) {
        const struct query_term *t = &r->query->terms[i];
        bool in = r->last[i] == IN_TITLE || (r->last[i] && r->word - r->last[i] <= WINDOW);
        covered += in ? t->weight : 0;
        present += in && !t->part;
        missing += !in && !t->part && !t->common;
    }
    /* One word alone, with another of weight missing, is more often chance than an answer. */
    return present == 1 && missing ? covered * LONELY_WEIGHT : covered;
}

static bool read_word(void *context, const struct word *word) {
    struct reading *r = context;
    r->word += !word->part;
    size_t i = word->stop ? r->query->count : query_find(r->query, word->stem, word->size);
    if (i == r->query->count) {
        return true;
    }
    if (r->title || r->last[i] == IN_TITLE) {
        r->last[i] = IN_TITLE;
    } else {
        if (r->before_word && r->before != i && r->word - r->before_word <= NEAR) {
            double pair = fmin(r->query->terms[i].weight, r->query->terms[r->before].weight);
            r->close = fmax(r->close, r->last[i] ? pair : r->close + pair);
        }
        r->last[i] = r->word;
    }
    r->before = i;
    r->before_word = r->title ? 0 : r->word;
    r->coverage = fmax(r->coverage, window_coverage(r));
    return true;
}

static bool read_hit(struct search *s, struct passage_hit *hit, struct reading *r) {
    struct bytes text = {0};
    const char *name, *heading;
    size_t *last = calloc(s->out->query.count + 1, sizeof *last);
    bool ok = last ? s->index->ops->text(s->index->self, hit->document, hit->place.begin,
                                         hit->place.end, &text, s->error) &&
                         s->index->ops->title(s->index->self, hit, &name, &heading, s->error)
                   : no_memory(s);
    *r = (struct reading){.query = &s->out->query, .last = last};
    if (ok) {
        r->title = true;
        words_of(s->words, heading, strlen(heading), read_word, r);
        words_of(s->words, name, strlen(name), read_word, r);
        r->title = false;
        r->word = 0;
        words_of(s->words, (const char *)text.data, text.size, read_word, r);
    }
    r->last = NULL;
    free(last);
    bytes_finish(&text);
    return ok;
}

static int compare_hits(const void *a, const void *b) {
    const struct passage_hit *x = a, *y = b;
    if (x->score != y->score) {
        return x->score > y->score ? -1 : 1;
    }
    if (x->document != y->document) {
        return x->document < y->document ? -1 : 1;
    }
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

static bool rank_hits(struct search *s) {
    double coverage = 0;
    for (size_t i = 0; i < s->hit_count; i++) {
        struct reading r;
        if (!read_hit(s, &s->hits[i], &r)) {
            return false;
        }
        s->hits[i].score *= 0.5 + r.coverage * r.coverage + 0.5 * fmin(r.close, 1);
        coverage = fmax(coverage, r.coverage);
    }
    qsort(s->hits, s->hit_count, sizeof *s->hits, compare_hits);
    s->out->coverage = coverage;
    return true;
}

/* The openings of the documents: what a question about the whole can stand on. */
static bool find_openings(struct search *s) {
    for (size_t n = 0; s->hit_count < s->options->passages && s->hit_count < CANDIDATES; n++) {
        size_t document;
        bool exists;
        if (!s->index->ops->nth(s->index->self, n, &document, &exists, s->error)) {
            return false;
        }
        if (!exists) {
            break;
        }
        if (!s->index->ops->at(s->index->self, document, 0, &s->hits[s->hit_count], &exists,
                               s->error)) {
            return false;
        }
        s->hit_count += exists; /* an empty document has no passage */
    }
    return true;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\v';
}

/* Fills the item's text, lines and trimmed span from [begin, end), which starts in `place`. */
static bool fill(struct search *s, struct retrieved *item, const struct passage_hit *hit,
                 size_t begin, size_t end, size_t first_line, size_t last_line, size_t page) {
    struct bytes text = {0};
    const char *name, *heading;
    if (!s->index->ops->title(s->index->self, hit, &name, &heading, s->error) ||
        !s->index->ops->text(s->index->self, hit->document, begin, end, &text, s->error)) {
        bytes_finish(&text);
        return false;
    }
    size_t skip = 0;
    while (skip < text.size && is_space((char)text.data[skip])) {
        skip++;
    }
    size_t size = text.size;
    while (size > skip && is_space((char)text.data[size - 1])) {
        size--;
    }
    char *copy = strndup(size > skip ? (const char *)text.data + skip : "", size - skip);
    bytes_finish(&text);
    if (!copy) {
        return no_memory(s);
    }
    *item = (struct retrieved){.document = hit->document,
                               .name = name,
                               .heading = heading,
                               .begin = begin + skip,
                               .end = begin + size,
                               .first_line = first_line,
                               .last_line = last_line,
                               .page = page,
                               .text = copy,
                               .score = hit->score};
    return true;
}

/* A run of neighbouring passages [first, last] of a document being put together. */
struct span {
    struct passage_hit first, last;
    double score;
};

static size_t cost_of(const struct search *s, const char *text, size_t size) {
    return s->options->cost ? s->options->cost(s->options->cost_context, text, size) : size;
}

static bool hit_cost(struct search *s, const struct passage_hit *hit, size_t *cost) {
    struct bytes text = {0};
    bool ok = s->index->ops->text(s->index->self, hit->document, hit->place.begin, hit->place.end,
                                  &text, s->error);
    *cost = ok ? cost_of(s, (const char *)text.data, text.size) : 0;
    bytes_finish(&text);
    return ok;
}

static bool follows(const struct span *a, const struct span *b) {
    return a->last.document == b->first.document && a->last.ordinal + 1 == b->first.ordinal &&
           a->last.place.page == b->first.place.page;
}

/* Joins spans that follow each other on one page; the joined one stands where the better was. */
static size_t join(struct span *spans, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            bool before = follows(&spans[j], &spans[i]);
            if (!before && !follows(&spans[i], &spans[j])) {
                continue;
            }
            if (before) {
                spans[i].first = spans[j].first;
            } else {
                spans[i].last = spans[j].last;
            }
            count--;
            memmove(&spans[j], &spans[j + 1], (count - j) * sizeof *spans);
            j = i; /* its new neighbour may be any of the rest */
        }
    }
    return count;
}

/* Takes hits in order while the budget lasts; one too dear is passed over for cheaper ones. */
static bool take_hits(struct search *s) {
    struct span spans[CANDIDATES];
    size_t count = 0, left = s->options->budget;
    for (size_t i = 0, taken = 0; i < s->hit_count && taken < s->options->passages; i++) {
        size_t cost;
        if (!hit_cost(s, &s->hits[i], &cost)) {
            return false;
        }
        if (cost > left) {
            continue;
        }
        left -= cost;
        taken++;
        spans[count++] = (struct span){s->hits[i], s->hits[i], s->hits[i].score};
    }
    count = join(spans, count);
    s->out->items = calloc(count + 1, sizeof *s->out->items);
    if (!s->out->items) {
        return no_memory(s);
    }
    for (size_t i = 0; i < count; i++) {
        struct span *span = &spans[i];
        struct passage_hit hit = span->first;
        hit.score = span->score;
        if (!fill(s, &s->out->items[i], &hit, span->first.place.begin, span->last.place.end,
                  span->first.place.first_line, span->last.place.last_line,
                  span->first.place.page)) {
            return false;
        }
        s->out->count++;
    }
    return true;
}

bool retrieve(const struct passage_index *index, struct words *words, const char *question,
              const struct retrieve_options *options, struct retrieval *out, struct error *error) {
    struct search *s = calloc(1, sizeof *s);
    if (!s) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    s->index = index;
    s->words = words;
    s->options = options;
    s->out = out;
    s->error = error;
    bool ok = query_parse(&out->query, words, question, error) &&
              index->ops->count(index->self, &s->passages, error);
    if (ok && out->query.count == 0) {
        ok = find_openings(s);
        out->general = true;
        out->supported = s->hit_count > 0;
        out->coverage = out->supported ? 1 : 0;
    } else if (ok) {
        ok = weigh_terms(s) &&
             index->ops->search(index->self, &out->query, CANDIDATES, s->hits, &s->hit_count,
                                error) &&
             rank_hits(s);
        out->supported = ok && out->coverage >= SUPPORT;
    }
    ok = ok && take_hits(s);
    if (!ok) {
        retrieval_finish(out);
    }
    free(s);
    return ok;
}
