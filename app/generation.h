/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens drawn one by one, as filtered text that comes in whole characters.
 */
#pragma once

#include "app/answer.h"
#include "app/quotations.h"

struct generation {
    struct bytes text; /* owned */
    size_t tokens;
    double first_seconds; /* clock_seconds() when the first token was chosen */
    double last_seconds;
    bool stopped; /* by `show` or by the user's interrupt */
};

/* Continues the session until the turn ends or `options->tokens` were drawn. `chat` NULL: plain
 * continuation, which ends only at the end of text. `quotations` checks what the text has in
 * quotation marks; NULL: nothing does. */
bool generate_text(struct session *session, struct engine *engine, const struct chat *chat,
                   const struct answer_options *options, struct quotations *quotations,
                   struct generation *out, struct error *error);
