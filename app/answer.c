/* SPDX-License-Identifier: Apache-2.0
 *
 * Question -> answer with citations, on a fork of the session.
 */
#include "app/answer.h"

#include <string.h>

#include "app/generation.h"
#include "app/prompt.h"
#include "engine/base/clock.h"

const char answer_unsupported[] = "The text does not say anything about that.";

void answer_finish(struct answer *a) {
    bytes_finish(&a->text);
    citations_finish(&a->citations);
    *a = (struct answer){0};
}

struct answer_options answer_options_default(void) {
    return (struct answer_options){
        .tokens = 120,
        .sampler = {.top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .repeat_penalty = 1.15f}};
}

size_t answer_token_cost(void *context, const char *text, size_t size) {
    struct tokens list = {0};
    size_t count = tokenizer_encode(context, text, size, &list, NULL) ? list.count : size;
    tokens_finish(&list);
    return count;
}

/* Half of the window: the other half holds the question, the answer and the end of what was read.
 */
size_t answer_passage_budget(uint32_t window) {
    return window / 2 < 1200 ? window / 2 : 1200;
}

static bool read_prompt(struct answer *a, struct session *fork, struct engine *engine,
                        const char *question, const struct retrieval *retrieval,
                        const struct answer_options *o, struct error *error) {
    struct tokens prompt = {0};
    double begin = clock_seconds();
    bool ok = prompt_build(engine_chat(engine), question, retrieval, session_position(fork) > 0,
                           &prompt, error) &&
              session_append(fork, prompt.ids, prompt.count, o->watch, error);
    a->prefill_tokens = prompt.count;
    a->prefill_seconds = clock_seconds() - begin;
    tokens_finish(&prompt);
    return ok;
}

/* Stopped before the first token. */
static bool no_text(struct answer *a, struct error *error) {
    bytes_put_u8(&a->text, 0);
    if (a->text.failed) {
        return error_set(error, ERROR_NO_SPACE, "no memory for the answer");
    }
    a->text.size = 0;
    return true;
}

static bool answer_on(struct answer *a, struct session *fork, struct engine *engine,
                      const char *question, const struct retrieval *retrieval,
                      const struct passage_index *index, struct words *words,
                      const struct answer_options *o, double begin, struct error *error) {
    struct generation g;
    if (!read_prompt(a, fork, engine, question, retrieval, o, error)) {
        a->stopped = error->code == ERROR_INTERRUPTED;
        return a->stopped && no_text(a, error);
    }
    struct quotations quotations = {0};
    bool ok = quotations_know(&quotations, retrieval, question, error) &&
              generate_text(fork, engine, engine_chat(engine), o, &quotations, &g, error);
    quotations_finish(&quotations);
    if (!ok) {
        return false;
    }
    a->text = g.text;
    a->stopped = g.stopped;
    a->answer_tokens = g.tokens;
    a->first_token_seconds = g.first_seconds - begin;
    double elapsed = g.last_seconds - g.first_seconds;
    a->tokens_per_second = elapsed > 0 ? (double)g.tokens / elapsed : 0;
    return citations_make(&a->citations, retrieval, index, words, (const char *)a->text.data,
                          error);
}

bool answer_question(struct answer *a, struct session *session, struct engine *engine,
                     const char *question, const struct retrieval *retrieval,
                     const struct passage_index *index, struct words *words,
                     const struct answer_options *options, struct error *error) {
    double begin = clock_seconds();
    a->supported = retrieval->supported;
    if (!a->supported) {
        return true;
    }
    struct session *fork = session_fork(session, error);
    bool ok = fork &&
              answer_on(a, fork, engine, question, retrieval, index, words, options, begin, error);
    session_destroy(fork);
    return ok;
}
