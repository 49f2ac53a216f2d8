/* SPDX-License-Identifier: Apache-2.0
 *
 * A question and its answer as view Ask shows them: from the transcript or as it comes, laid out
 * into rows.
 */
#pragma once

#include "app/ui/text.h"
#include "app/worker.h"

enum turn_state {
    TURN_WAITS, /* behind a reading, or for the model */
    TURN_READS, /* the model reads the question and its passages */
    TURN_ANSWERS,
    TURN_DONE,
    TURN_FAILED,
};

struct turn {
    char *question; /* filtered */
    struct bytes answer;
    struct cited *citations;
    size_t citations_count;
    enum turn_state state;
    bool stopped, unsupported;
    char note[400]; /* speed, or what went wrong */
    unsigned percent;
    struct styled styled;
    struct rows rows;
    int width;     /* that it is laid out for; 0: not yet */
    long selected; /* the citation that is marked in it, -1: none */
};

void turn_finish(struct turn *t);
/* An answer as it was stored. `quotes`: with the text of its citations. */
void turn_load_answer(struct turn *t, struct store *store, const struct store_turn *from,
                      bool quotes);
void turn_take_answer(struct turn *t, const struct message *m); /* of MESSAGE_ANSWER */
/* "[1] book.txt p.3 lines 5-9: "the quote"" and a line break; of about `most` bytes. */
void turn_put_citation(struct styled *s, const struct cited *c, size_t number, size_t most,
                       bool chosen);
/* Does nothing when it is laid out so already. */
void turn_lay_out(struct turn *t, int width, long selected);
