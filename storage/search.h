/* SPDX-License-Identifier: Apache-2.0
 *
 * Full-text search over the passages. A term is a word, an identifier or several words that must
 * stand together; case, accents and English endings do not count, identifiers are also found by
 * their parts. A term is only ever looked for: none of its bytes act as query syntax.
 */
#pragma once

#include "storage/documents.h"

enum { STORE_TERMS_MAX = 64 };

/* What a memory at a snapshot had read: documents begun before `position`, and of `document`, which
 * it was reading (0: none), the part before `byte`. */
struct store_horizon {
    int64_t position;
    int64_t document;
    uint64_t byte;
};

struct store_query {
    const struct blob *terms;
    size_t count;                        /* 1 to STORE_TERMS_MAX */
    bool all;                            /* a passage must hold every term, else one is enough */
    size_t limit;                        /* of passages to give */
    const struct store_horizon *horizon; /* NULL: all documents, read or not */
};

struct store_hit {
    int64_t passage, document; /* of documents with the same text, the first */
    struct store_span span;
    struct store_place place;
    double score;     /* bm25, higher is better */
    uint64_t matched; /* bit i: the passage holds term i */
};

struct store_hits {
    struct store_hit *rows; /* best first */
    size_t count;
    uint64_t passages;                   /* in the session */
    uint64_t frequency[STORE_TERMS_MAX]; /* in how many passages of the session term i stands */
};

bool store_search(struct store *store, const struct store_query *query, struct store_hits *hits,
                  struct error *error);
void store_hits_finish(struct store_hits *hits);

/* The passages of a document that overlap [begin, end), in order. */
struct store_passage {
    int64_t id;
    struct store_span span;
    uint64_t first_line, last_line;
};
struct store_passages {
    struct store_passage *rows;
    size_t count;
};
bool store_passages_list(struct store *store, int64_t document, struct store_span within,
                         struct store_passages *passages, struct error *error);
void store_passages_finish(struct store_passages *passages);
