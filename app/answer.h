/* SPDX-License-Identifier: Apache-2.0
 *
 * One question to one answer: passages are looked up, the prompt is put behind what the session has
 * read, the model answers, the program cites. The session stays as it was: the work is done on a
 * fork of it.
 */
#pragma once

#include "app/citations.h"
#include "app/retrieve.h"
#include "engine/engine.h"
#include "engine/sampler.h"

struct answer_options {
    size_t tokens; /* of the answer, at most */
    struct sampler_options sampler;
    /* Called with each piece of the answer as it comes: filtered text, whole characters. Returns
     * false to stop. May be NULL. */
    bool (*show)(void *context, const char *text, size_t size);
    void *show_context;
    const struct session_watch *watch; /* of the prompt's reading; may be NULL */
};

/* What makes answers of small models readable: a sampler that does not go round in circles. */
struct answer_options answer_options_default(void);

/* Starts as {0}. */
struct answer {
    struct bytes text; /* filtered for a terminal, ended by NUL (not counted) */
    struct citations citations;
    bool supported; /* false: nothing in the sources on it; text and citations are empty */
    bool stopped;   /* by `show` or the watch; the text is what came until then */
    size_t prefill_tokens, answer_tokens;
    double model_seconds, memory_seconds; /* what opening the session took; 0 without one */
    double retrieval_seconds;
    double first_token_seconds; /* after retrieval; the prompt's reading and the first token */
    double prefill_seconds;     /* of these */
    double tokens_per_second;   /* of the answer */
};

void answer_finish(struct answer *a);

/* What is said when the sources hold nothing on the question. */
extern const char answer_unsupported[];

/* `retrieval` is of `question` on `index`. False with an error when something failed; a question
 * without support is no failure. */
bool answer_question(struct answer *a, struct session *session, struct engine *engine,
                     const char *question, const struct retrieval *retrieval,
                     const struct passage_index *index, struct words *words,
                     const struct answer_options *options, struct error *error);

/* What a text costs in tokens: for struct retrieve_options. `context` is the struct tokenizer. */
size_t answer_token_cost(void *context, const char *text, size_t size);
/* The room, in tokens, that passages may take in a window of W. */
size_t answer_passage_budget(uint32_t window);
