/* SPDX-License-Identifier: Apache-2.0
 *
 * Where passages are looked up by their words: in memory (memory_index.h) for a throw-away session,
 * in the session's file otherwise. The stems are those of words.h on both sides.
 */
#pragma once

#include "app/passages.h"
#include "app/query.h"

/* A passage that was found. */
struct passage_hit {
    size_t document;      /* the index's number for it */
    size_t ordinal;       /* the passage's place among those of its document, from 0 */
    struct passage place; /* offsets in the document's text */
    double score;         /* BM25, larger is better */
};

struct passage_index {
    const struct passage_index_ops *ops;
    void *self;
};

/* All return false with `error` set when the index cannot be read or memory runs out. */
struct passage_index_ops {
    /* Passages in all. */
    bool (*count)(void *self, size_t *passages, struct error *error);
    /* Passages that hold the stem in their text, not only in a heading or name. */
    bool (*frequency)(void *self, const char *stem, size_t *passages, struct error *error);
    /* The best `limit` at most, best first. Uses the terms' stems and weights. */
    bool (*search)(void *self, const struct query *query, size_t limit, struct passage_hit *hits,
                   size_t *found, struct error *error);
    /* The passage of this ordinal; `hit->document` says of which document. `*exists` false: none */
    bool (*at)(void *self, size_t document, size_t ordinal, struct passage_hit *hit, bool *exists,
               struct error *error);
    /* The number of the n-th document, from 0; *exists false: there are fewer. */
    bool (*nth)(void *self, size_t n, size_t *document, bool *exists, struct error *error);
    /* Appends bytes [begin, end) of the document's text. */
    bool (*text)(void *self, size_t document, size_t begin, size_t end, struct bytes *out,
                 struct error *error);
    /* The document's name and the heading over a passage ("" if none); valid while the index is. */
    bool (*title)(void *self, const struct passage_hit *hit, const char **name,
                  const char **heading, struct error *error);
};
