/* SPDX-License-Identifier: Apache-2.0
 *
 * Passages found by the store. Documents that a question touches are few, so what is known of them
 * (name, headings, passages) is fetched once and kept.
 */
#include "app/store_index.h"

#include <stdlib.h>
#include <string.h>

struct known {
    struct store_document document;
    struct store_sections sections;
    struct store_passages passages;
};

struct store_index {
    struct store *store;
    struct store_horizon horizon;
    bool limited;
    struct known **known; /* each on its own, so that names stay where they are */
    size_t count;
    size_t *order; /* [order_count]: the documents within the horizon; NULL: not asked for yet */
    size_t order_count;
};

static bool put_stem(void *context, const struct word *word) {
    struct bytes *out = context;
    bytes_put_u8(out, ' ');
    bytes_put(out, word->stem, word->size);
    return !out->failed;
}

static bool put_words(void *context, struct blob text, struct bytes *out) {
    words_of(context, text.data, text.size, put_stem, out);
    return !out->failed;
}

struct store_index *store_index_create(struct store *store, struct words *words,
                                       struct error *error) {
    const struct store_words rule = {.name = "allmem 1", .put = put_words, .context = words};
    struct store_index *index = calloc(1, sizeof *index);
    if (!index) {
        error_set(error, ERROR_NO_SPACE, "no memory for the index");
        return NULL;
    }
    if (!store_use_words(store, &rule, error)) {
        free(index);
        return NULL;
    }
    index->store = store;
    return index;
}

static void known_free(struct known *k) {
    store_document_finish(&k->document);
    store_sections_finish(&k->sections);
    store_passages_finish(&k->passages);
    free(k);
}

void store_index_destroy(struct store_index *index) {
    if (index) {
        for (size_t i = 0; i < index->count; i++) {
            known_free(index->known[i]);
        }
        free(index->known);
        free(index->order);
        free(index);
    }
}

void store_index_limit(struct store_index *index, const struct store_horizon *horizon) {
    index->limited = horizon != NULL;
    index->horizon = horizon ? *horizon : (struct store_horizon){0};
}

static struct known *know(struct store_index *index, size_t document, struct error *error) {
    for (size_t i = 0; i < index->count; i++) {
        if (index->known[i]->document.id == (int64_t)document) {
            return index->known[i];
        }
    }
    struct known **grown = reallocarray(index->known, index->count + 1, sizeof *grown);
    struct known *k = calloc(1, sizeof *k);
    index->known = grown ? grown : index->known;
    if (!grown || !k) {
        free(k);
        error_set(error, ERROR_NO_SPACE, "no memory for the index");
        return NULL;
    }
    int64_t id = (int64_t)document;
    if (!store_document_get(index->store, id, &k->document, error) ||
        !store_sections_list(index->store, id, &k->sections, error) ||
        !store_passages_list(index->store, id, (struct store_span){0, k->document.size},
                             &k->passages, error)) {
        known_free(k);
        return NULL;
    }
    index->known[index->count++] = k;
    return k;
}

/* The passage that begins at `begin`, or the number of passages. */
static size_t ordinal_of(const struct known *k, uint64_t begin) {
    size_t low = 0, high = k->passages.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (k->passages.rows[middle].span.begin < begin) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The section that holds byte `at`, or their number when it stands before all. */
static size_t section_at(const struct known *k, uint64_t at) {
    size_t section = k->sections.count;
    for (size_t i = 0; i < k->sections.count && k->sections.rows[i].begin <= at; i++) {
        section = i;
    }
    return section;
}

static bool fill_hit(struct store_index *index, const struct known *k, size_t ordinal, double score,
                     struct passage_hit *hit, struct error *error) {
    struct store_span span = k->passages.rows[ordinal].span;
    struct store_place place;
    if (!store_document_place(index->store, k->document.id, span, &place, error)) {
        return false;
    }
    *hit = (struct passage_hit){.document = (size_t)k->document.id,
                                .ordinal = ordinal,
                                .place = {.begin = span.begin,
                                          .end = span.end,
                                          .first_line = place.first_line,
                                          .last_line = place.last_line,
                                          .page = place.page,
                                          .section = section_at(k, span.begin)},
                                .score = score};
    return true;
}

static bool run_query(struct store_index *index, const struct blob *terms, size_t count,
                      size_t limit, struct store_hits *hits, struct error *error) {
    struct store_query query = {.terms = terms,
                                .count = count,
                                .limit = limit,
                                .horizon = index->limited ? &index->horizon : NULL};
    return store_search(index->store, &query, hits, error);
}

static bool count(void *self, size_t *passages, struct error *error) {
    const struct store_index *index = self;
    uint64_t n = 0;
    bool ok = store_passages_count(index->store, &n, error);
    *passages = (size_t)n;
    return ok;
}

static bool frequency(void *self, const char *stem, size_t *passages, struct error *error) {
    const struct store_index *index = self;
    uint64_t n = 0;
    bool ok = store_frequency(index->store, blob_of(stem), &n, error);
    *passages = (size_t)n;
    return ok;
}

static bool search(void *self, const struct query *query, size_t limit, struct passage_hit *hits,
                   size_t *found, struct error *error) {
    struct store_index *index = self;
    struct blob terms[STORE_TERMS_MAX];
    struct store_hits rows = {0};
    size_t n = query->count < STORE_TERMS_MAX ? query->count : STORE_TERMS_MAX;
    for (size_t i = 0; i < n; i++) {
        terms[i] = blob_of(query->terms[i].stem);
    }
    *found = 0;
    bool ok = n == 0 || run_query(index, terms, n, limit, &rows, error);
    for (size_t i = 0; ok && i < rows.count; i++) {
        const struct known *k = know(index, (size_t)rows.rows[i].document, error);
        size_t ordinal = k ? ordinal_of(k, rows.rows[i].span.begin) : 0;
        ok = k && (ordinal < k->passages.count ||
                   error_set(error, ERROR_INCOMPATIBLE,
                             "the session's index names a passage that is not there"));
        ok = ok && fill_hit(index, k, ordinal, rows.rows[i].score, &hits[*found], error);
        *found += ok;
    }
    store_hits_finish(&rows);
    return ok;
}

static bool at(void *self, size_t document, size_t ordinal, struct passage_hit *hit, bool *exists,
               struct error *error) {
    struct store_index *index = self;
    const struct known *k = know(index, document, error);
    *exists = k && ordinal < k->passages.count;
    return k && (!*exists || fill_hit(index, k, ordinal, 0, hit, error));
}

static bool load_order(struct store_index *index, struct error *error) {
    struct store_documents rows;
    if (!store_documents_list(index->store, false, &rows, error)) {
        return false;
    }
    index->order = calloc(rows.count + 1, sizeof *index->order);
    for (size_t i = 0; index->order && i < rows.count; i++) {
        int64_t begun = rows.rows[i].first_position;
        if (!index->limited || (begun >= 0 && begun < index->horizon.position)) {
            index->order[index->order_count++] = (size_t)rows.rows[i].id;
        }
    }
    store_documents_finish(&rows);
    return index->order || error_set(error, ERROR_NO_SPACE, "no memory for the index");
}

static bool nth(void *self, size_t n, size_t *document, bool *exists, struct error *error) {
    struct store_index *index = self;
    if (!index->order && !load_order(index, error)) {
        return false;
    }
    *exists = n < index->order_count;
    *document = *exists ? index->order[n] : 0;
    return true;
}

static bool text(void *self, size_t document, size_t begin, size_t end, struct bytes *out,
                 struct error *error) {
    struct store_index *index = self;
    struct blob span;
    if (!store_document_read(index->store, (int64_t)document, begin, end, &span, error)) {
        return false;
    }
    bytes_put(out, span.data, span.size);
    blob_free(&span);
    return !out->failed || error_set(error, ERROR_NO_SPACE, "no memory for a passage");
}

static bool title(void *self, const struct passage_hit *hit, const char **name,
                  const char **heading, struct error *error) {
    const struct known *k = know(self, hit->document, error);
    if (!k) {
        return false;
    }
    *name = k->document.path.data;
    *heading = hit->place.section < k->sections.count
                   ? k->sections.rows[hit->place.section].title.data
                   : "";
    return true;
}

static const struct passage_index_ops store_ops = {count, frequency, search, at, nth, text, title};

struct passage_index store_index_view(struct store_index *index) {
    return (struct passage_index){.ops = &store_ops, .self = index};
}
