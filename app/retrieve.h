/* SPDX-License-Identifier: Apache-2.0
 *
 * From a question to the passages that go before the model, within a budget, and the judgement
 * whether the sources hold anything on it at all.
 */
#pragma once

#include "app/passage_index.h"

struct retrieve_options {
    size_t passages; /* at most */
    size_t budget;   /* in what `cost` counts */
    /* What a text costs, in tokens say; NULL: bytes. */
    size_t (*cost)(void *context, const char *text, size_t size);
    void *cost_context;
};

/* 6 passages, 4000 bytes. */
struct retrieve_options retrieve_options_default(void);

/* One passage, or several neighbours of one document joined. */
struct retrieved {
    size_t document;            /* the index's number for it */
    const char *name, *heading; /* valid while the index is */
    size_t begin, end;          /* of the document's text, white space at both ends left out */
    size_t first_line, last_line, page; /* of its first byte; page 0: no pages */
    char *text;                         /* the bytes [begin, end), then a NUL */
    double score;
};

/* Starts as {0}. */
struct retrieval {
    struct query query;
    struct retrieved *items; /* best first */
    size_t count;
    double coverage; /* how much of the question, by weight, the best place speaks of: 0 to 1 */
    bool supported;  /* whether that is enough to answer from */
    bool general;    /* the question names no subject ("What is this about?"): items are openings */
};

void retrieval_finish(struct retrieval *r);
bool retrieve(const struct passage_index *index, struct words *words, const char *question,
              const struct retrieve_options *options, struct retrieval *out, struct error *error);
