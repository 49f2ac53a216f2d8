/* SPDX-License-Identifier: Apache-2.0
 *
 * From a question to its terms.
 */
#include "app/query.h"

#include <stdlib.h>
#include <string.h>

#include "app/common_words.h"

struct parser {
    struct query *q;
    bool any, failed;
};

void query_finish(struct query *q) {
    for (size_t i = 0; i < q->count; i++) {
        free(q->terms[i].stem);
    }
    free(q->terms);
    *q = (struct query){0};
}

size_t query_find(const struct query *q, const char *stem, size_t size) {
    for (size_t i = 0; i < q->count; i++) {
        if (strlen(q->terms[i].stem) == size && memcmp(q->terms[i].stem, stem, size) == 0) {
            return i;
        }
    }
    return q->count;
}

static bool add_word(void *context, const struct word *word) {
    struct parser *p = context;
    struct query *q = p->q;
    bool first = !p->any;
    p->any = true;
    if (word->stop) {
        return true;
    }
    /* The first word of a sentence has its capital for another reason. */
    bool capital = word->capital && !first;
    size_t found = query_find(q, word->stem, word->size);
    if (found < q->count) {
        q->terms[found].capital |= capital;
        q->terms[found].common &= !capital;
        return true;
    }
    struct query_term *terms = reallocarray(q->terms, q->count + 1, sizeof *terms);
    char *stem = strndup(word->stem, word->size);
    if (terms) {
        q->terms = terms;
    }
    if (!terms || !stem) {
        free(stem);
        p->failed = true;
        return false;
    }
    q->terms[q->count++] = (struct query_term){.stem = stem,
                                               .capital = capital,
                                               .part = word->part,
                                               .common = !capital && is_common_word(stem)};
    return true;
}

bool query_parse(struct query *q, struct words *words, const char *question, struct error *error) {
    struct parser p = {.q = q};
    words_of(words, question, strlen(question), add_word, &p);
    if (p.failed) {
        query_finish(q);
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    return true;
}
