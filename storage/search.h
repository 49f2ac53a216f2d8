/* SPDX-License-Identifier: Apache-2.0
 *
 * Full-text search over the passages. A term is a word, an identifier or several words that must
 * stand together; case, accents and English endings do not count, identifiers are also found by
 * their parts. A term is only ever looked for: none of its bytes act as query syntax.
 */
#pragma once

#include "engine/base/bytes.h"
#include "storage/documents.h"

/* The rule by which texts and terms become words. Storage's own rule is the text as it is and
 * terms.h; another one may stand in its place. The index takes words as runs of letters and digits
 * and takes off English endings, so a rule that does so itself changes little by it. */
struct store_words {
    const char *name; /* of the rule with its version, at most 63 bytes: it is kept in the file */
    /* Appends the words of `text`, a space before each. The same text must always give the same:
     * when an entry is removed, the index is told its words again. False: out of memory. */
    bool (*put)(void *context, struct blob text, struct bytes *out);
    void *context;
};

/* To be called once after opening, before anything is added, removed or searched. An index that was
 * made by another rule is made again if the store is open for writing (about 0.2 s for each MB of
 * text); else this is ERROR_INCOMPATIBLE, naming both rules. */
bool store_use_words(struct store *store, const struct store_words *words, struct error *error);

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
    uint64_t matched; /* bit i: term i is in the passage, its heading or the document's path */
};

struct store_hits {
    struct store_hit *rows; /* best first */
    size_t count;
    uint64_t passages;                   /* in the session */
    uint64_t frequency[STORE_TERMS_MAX]; /* how many hold term i in their text */
};

/* With a rule of the caller's, a term is a word of that rule, or several. */
bool store_search(struct store *store, const struct store_query *query, struct store_hits *hits,
                  struct error *error);
void store_hits_finish(struct store_hits *hits);

/* How many passages hold the term in their text; how many there are. Without ranking, so cheap. */
bool store_frequency(struct store *store, struct blob term, uint64_t *passages,
                     struct error *error);
bool store_passages_count(struct store *store, uint64_t *passages, struct error *error);

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
