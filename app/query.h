/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of a question that say what it is about, as stems, and how much each of them counts.
 */
#pragma once

#include "app/words.h"
#include "engine/base/error.h"

struct query_term {
    char *stem;
    bool capital; /* a name, a number or an identifier */
    bool part;    /* of an identifier that is a term itself */
    bool common;
    size_t passages; /* that hold it; filled by retrieve */
    double weight;   /* share of the question, all add up to 1; filled by retrieve */
};

/* Starts as {0}. */
struct query {
    struct query_term *terms; /* each stem once, in order */
    size_t count;
};

void query_finish(struct query *q);
/* A question of nothing but small words ("What is this about?") gives no term. False only when
 * memory runs out. */
bool query_parse(struct query *q, struct words *words, const char *question, struct error *error);

/* The index of the term with this stem; count: none. */
size_t query_find(const struct query *q, const char *stem, size_t size);
