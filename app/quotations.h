/* SPDX-License-Identifier: Apache-2.0
 *
 * What an answer has in quotation marks is a quotation: the marks stay only around words that stand
 * so in the passages or in the question, white space and a last punctuation mark aside. Around
 * others they go, and the words remain as the model's own. Code between backticks is left alone.
 */
#pragma once

#include "app/retrieve.h"

/* Starts as {0}. */
struct quotations {
    struct bytes known; /* passages and question, white space squeezed */
    struct bytes held;  /* from an opening mark on */
    size_t backticks;   /* the run that opened the code which the text is in; 0: none */
    size_t run;         /* of backticks just seen */
    char before;        /* the last byte that was let through */
};

void quotations_finish(struct quotations *q);
bool quotations_know(struct quotations *q, const struct retrieval *retrieval, const char *question,
                     struct error *error);
/* Takes whole characters and appends to `out` what is decided; a quotation is kept back until it
 * ends. Out of memory shows as `out->failed`. */
void quotations_put(struct quotations *q, const char *text, size_t size, struct bytes *out);
/* The rest: a quotation that was not ended is none. */
void quotations_end(struct quotations *q, struct bytes *out);
