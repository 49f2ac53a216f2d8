/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbered citations, made and checked by the program: each quote is a span of a stored text,
 * compared with it byte by byte before anybody sees it.
 */
#pragma once

#include <jansson.h>

#include "app/retrieve.h"

struct citation {
    unsigned id;                  /* from 1, the number of the passage before the model */
    const char *source;           /* the document's name, any bytes but NUL; belongs to the index */
    size_t document;              /* the index's number for it */
    size_t begin, end;            /* of the quote, bytes of the document's text */
    size_t page;                  /* from 1; 0: the document has no pages */
    size_t first_line, last_line; /* from 1 */
    char *quote;                  /* the bytes [begin, end), then a NUL */
};

/* Starts as {0}. */
struct citations {
    struct citation *items;
    size_t count;
};

void citations_finish(struct citations *c);

/* One for each retrieved passage, in order: the sentence of it, or the few that stand together,
 * that speaks most of the question's and the answer's words. `answer` may be NULL. A quote that is
 * not in the index's text at its place is an error, ERROR_FAILURE: nothing unproved is shown. An
 * unsupported or general question has no citations. */
bool citations_make(struct citations *out, const struct retrieval *retrieval,
                    const struct passage_index *index, struct words *words, const char *answer,
                    struct error *error);

/* `[1] book.txt, lines 120-131: "..."` and a newline for each, filtered for a terminal. */
bool citations_text(const struct citations *c, struct bytes *out, struct error *error);

/* An array of {"id","source","page","first_line","last_line","quote"}; page is null where the
 * source has none. Bytes of the name that are not UTF-8 become U+FFFD. NULL: out of memory. */
json_t *citations_json(const struct citations *c);
