/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing the quote: the passage is cut into sentences (or lines, where there are none), each is
 * weighed by the terms it has, and the best run of at most QUOTE_MAX bytes wins.
 */
#include "app/citations.h"

#include <stdlib.h>
#include <string.h>

#include "app/json.h"
#include "app/safe_text.h"

enum { QUOTE_MAX = 400, SENTENCES_MAX = 256 };

void citations_finish(struct citations *c) {
    for (size_t i = 0; i < c->count; i++) {
        free(c->items[i].quote);
    }
    free(c->items);
    *c = (struct citations){0};
}

struct piece {
    size_t begin, end; /* without white space around */
};

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\v';
}

/* Whether a sentence ends before text[at]: a full stop with what closes after it, then space and
 * no small letter; or a blank line; or, where lines are long or code, a line's end. */
static bool ends_before(const char *text, size_t size, size_t at) {
    if (text[at - 1] == '\n' && (at >= size || text[at] == '\n')) {
        return true;
    }
    if (at >= size || !is_space(text[at])) {
        return false;
    }
    size_t i = at;
    while (i > 0 && strchr("\"')]", text[i - 1])) {
        i--;
    }
    if (i == 0 || !strchr(".!?", text[i - 1])) {
        return false;
    }
    size_t next = at;
    while (next < size && is_space(text[next])) {
        next++;
    }
    /* "Mr. Smith" and "e.g. this": a short word before the stop is mostly no end. */
    size_t word = i - 1;
    while (word > 0 && !is_space(text[word - 1])) {
        word--;
    }
    bool short_word = text[i - 1] == '.' && i - 1 - word <= 2;
    return !short_word && !(next < size && text[next] >= 'a' && text[next] <= 'z');
}

static void trim(const char *text, struct piece *p) {
    while (p->begin < p->end && is_space(text[p->begin])) {
        p->begin++;
    }
    while (p->end > p->begin && is_space(text[p->end - 1])) {
        p->end--;
    }
}

/* A place at or before `at` where no character is divided. */
static size_t character_start(const char *text, size_t at) {
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80) {
        at--;
    }
    return at;
}

/* A sentence longer than a quote may be is cut at line ends, else at spaces, else anywhere. */
static size_t cut_long(const char *text, size_t begin, size_t end) {
    if (end - begin <= QUOTE_MAX) {
        return end;
    }
    size_t space = 0;
    for (size_t at = begin + QUOTE_MAX; at > begin; at--) {
        if (text[at] == '\n') {
            return at;
        }
        space = space == 0 && text[at] == ' ' ? at : space;
    }
    return space ? space : character_start(text, begin + QUOTE_MAX);
}

static size_t split(const char *text, size_t size, struct piece pieces[SENTENCES_MAX]) {
    size_t count = 0, begin = 0;
    while (begin < size && count < SENTENCES_MAX) {
        size_t end = begin + 1;
        while (end < size && !ends_before(text, size, end)) {
            end++;
        }
        struct piece p = {begin, cut_long(text, begin, end)};
        begin = p.end;
        trim(text, &p);
        if (p.end > p.begin) {
            pieces[count++] = p;
        }
    }
    return count;
}

struct weighing {
    const struct query *query, *answer;
    bool *seen; /* [query->count + answer->count] */
    double weight;
};

/* Each term counts once; the question's by their weight, the answer's the less the more there are,
 * together about as much. */
static bool weigh_word(void *context, const struct word *word) {
    struct weighing *w = context;
    if (word->stop) {
        return true;
    }
    size_t q = query_find(w->query, word->stem, word->size);
    if (q < w->query->count && !w->seen[q]) {
        w->seen[q] = true;
        w->weight += w->query->terms[q].weight;
    }
    size_t a = query_find(w->answer, word->stem, word->size);
    if (a < w->answer->count && !w->seen[w->query->count + a]) {
        w->seen[w->query->count + a] = true;
        w->weight += 1.0 / (double)w->answer->count;
    }
    return true;
}

/* The best run of pieces that fits; of equals the shortest, then the first. */
static bool choose(const char *text, size_t size, const struct query *query,
                   const struct query *answer, struct words *words, struct piece *best) {
    struct piece pieces[SENTENCES_MAX];
    size_t count = split(text, size, pieces);
    size_t terms = query->count + answer->count;
    bool *seen = calloc(terms + 1, sizeof *seen);
    if (!seen) {
        return false;
    }
    double best_weight = -1;
    *best = (struct piece){0, cut_long(text, 0, size)};
    for (size_t i = 0; i < count; i++) {
        struct weighing w = {.query = query, .answer = answer, .seen = seen};
        memset(seen, 0, terms);
        for (size_t j = i; j < count && pieces[j].end - pieces[i].begin <= QUOTE_MAX; j++) {
            words_of(words, text + pieces[j].begin, pieces[j].end - pieces[j].begin, weigh_word,
                     &w);
            /* Every sentence more must bring something. */
            double weight = w.weight - 0.05 * (double)(j - i);
            if (weight > best_weight + 1e-9) {
                best_weight = weight;
                *best = (struct piece){pieces[i].begin, pieces[j].end};
            }
        }
    }
    free(seen);
    return true;
}

static size_t count_lines(const char *text, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        n += text[i] == '\n';
    }
    return n;
}

/* The proof: the bytes at that place of the stored text, read anew, are the quote. */
static bool is_verbatim(const struct citation *c, const struct passage_index *index,
                        struct error *error) {
    struct bytes stored = {0};
    bool ok = index->ops->text(index->self, c->document, c->begin, c->end, &stored, error);
    if (ok &&
        (stored.size != strlen(c->quote) || memcmp(stored.data, c->quote, stored.size) != 0)) {
        ok = error_set(error, ERROR_FAILURE, "%s: the quote at byte %zu is not what is stored",
                       c->source, c->begin);
    }
    bytes_finish(&stored);
    return ok;
}

static bool cite(struct citation *c, unsigned id, const struct retrieved *r,
                 const struct query *query, const struct query *answer, struct words *words) {
    struct piece best;
    if (!choose(r->text, r->end - r->begin, query, answer, words, &best)) {
        return false;
    }
    size_t first_line = r->first_line + count_lines(r->text, best.begin);
    *c = (struct citation){
        .id = id,
        .source = r->name,
        .document = r->document,
        .begin = r->begin + best.begin,
        .end = r->begin + best.end,
        .page = r->page,
        .first_line = first_line,
        .last_line = first_line + count_lines(r->text + best.begin, best.end - best.begin),
        .quote = strndup(r->text + best.begin, best.end - best.begin),
    };
    return c->quote != NULL;
}

bool citations_make(struct citations *out, const struct retrieval *retrieval,
                    const struct passage_index *index, struct words *words, const char *answer,
                    struct error *error) {
    if (!retrieval->supported || retrieval->general) {
        return true;
    }
    struct query answered = {0};
    if (answer && !query_parse(&answered, words, answer, error)) {
        return false;
    }
    bool ok = true;
    out->items = calloc(retrieval->count + 1, sizeof *out->items);
    ok = out->items != NULL || error_set(error, ERROR_NO_SPACE, "out of memory");
    for (size_t i = 0; ok && i < retrieval->count; i++) {
        struct citation *c = &out->items[i];
        ok = cite(c, (unsigned)i + 1, &retrieval->items[i], &retrieval->query, &answered, words) ||
             error_set(error, ERROR_NO_SPACE, "out of memory");
        out->count += ok;
        ok = ok && is_verbatim(c, index, error);
    }
    query_finish(&answered);
    if (!ok) {
        citations_finish(out);
    }
    return ok;
}

static void put_filtered(struct bytes *out, const char *text, enum safe_text_kind kind) {
    struct safe_text filter = {.kind = kind};
    safe_text_put(&filter, text, strlen(text), out);
    safe_text_end(&filter, out);
}

static void put_number(struct bytes *out, const char *before, size_t number) {
    char text[64];
    int n = snprintf(text, sizeof text, "%s%zu", before, number);
    bytes_put(out, text, (size_t)n);
}

bool citations_text(const struct citations *c, struct bytes *out, struct error *error) {
    for (size_t i = 0; i < c->count; i++) {
        const struct citation *it = &c->items[i];
        put_number(out, "[", it->id);
        bytes_put(out, "] ", 2);
        put_filtered(out, it->source, SAFE_NAME);
        if (it->page) {
            put_number(out, ", page ", it->page);
        }
        bool one = it->first_line == it->last_line;
        put_number(out, one ? ", line " : ", lines ", it->first_line);
        if (!one) {
            put_number(out, "-", it->last_line);
        }
        bytes_put(out, ": \"", 3);
        put_filtered(out, it->quote, SAFE_PROSE);
        bytes_put(out, "\"\n", 2);
    }
    return !out->failed || error_set(error, ERROR_NO_SPACE, "out of memory");
}

json_t *citations_json(const struct citations *c) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < c->count; i++) {
        const struct citation *it = &c->items[i];
        json_t *page = it->page ? json_integer((json_int_t)it->page) : json_null();
        json_t *row =
            json_pack("{s:I, s:o, s:o, s:I, s:I, s:s}", "id", (json_int_t)it->id, "source",
                      json_text(it->source), "page", page, "first_line", (json_int_t)it->first_line,
                      "last_line", (json_int_t)it->last_line, "quote", it->quote);
        if (!row || json_array_append_new(list, row) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}
