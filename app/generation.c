/* SPDX-License-Identifier: Apache-2.0
 *
 * Drawing an answer.
 */
#include "app/generation.h"

#include "app/interrupt.h"
#include "app/progress.h"
#include "app/safe_text.h"

/* Filters the bytes of a token and hands on what is whole. */
static bool show_piece(struct generation *g, struct safe_text *filter, struct gguf_text piece,
                       const struct answer_options *o, struct error *error) {
    size_t from = g->text.size;
    safe_text_put(filter, piece.data, piece.size, &g->text);
    if (g->text.failed) {
        return error_set(error, ERROR_NO_SPACE, "no memory for the answer");
    }
    if (o->show && g->text.size > from &&
        !o->show(o->show_context, (const char *)g->text.data + from, g->text.size - from)) {
        g->stopped = true;
    }
    return true;
}

static bool draw_tokens(struct session *session, struct engine *engine, const struct chat *chat,
                        const struct answer_options *o, struct sampler *sampler,
                        struct generation *g, struct error *error) {
    const struct tokenizer *t = engine_tokenizer(engine);
    struct safe_text filter = {.kind = SAFE_PROSE};
    while (g->tokens < o->tokens && !g->stopped) {
        token next = sampler_next(sampler, session_logits(session));
        if (next == TOKEN_NONE) {
            return error_set(error, ERROR_INCOMPATIBLE,
                             "the model's output is not finite after %llu tokens",
                             (unsigned long long)session_position(session));
        }
        g->last_seconds = progress_clock();
        g->first_seconds = g->tokens ? g->first_seconds : g->last_seconds;
        if (chat ? chat_ends(chat, next) : next == tokenizer_eos(t)) {
            break;
        }
        g->tokens++;
        if (!tokenizer_is_control(t, next) &&
            !show_piece(g, &filter, tokenizer_bytes(t, next), o, error)) {
            return false;
        }
        g->stopped = g->stopped || interrupt_requested();
        if (!session_append(session, &next, 1, NULL, error)) {
            return false;
        }
    }
    size_t from = g->text.size;
    safe_text_end(&filter, &g->text);
    if (o->show && g->text.size > from) {
        o->show(o->show_context, (const char *)g->text.data + from, g->text.size - from);
    }
    bytes_put_u8(&g->text, 0);
    if (g->text.failed) {
        return error_set(error, ERROR_NO_SPACE, "no memory for the answer");
    }
    g->text.size--;
    return true;
}

bool generate_text(struct session *session, struct engine *engine, const struct chat *chat,
                   const struct answer_options *options, struct generation *out,
                   struct error *error) {
    *out = (struct generation){.first_seconds = progress_clock()};
    out->last_seconds = out->first_seconds;
    struct sampler *sampler =
        sampler_create(&options->sampler, engine_info(engine)->vocabulary, error);
    bool ok = sampler && draw_tokens(session, engine, chat, options, sampler, out, error);
    sampler_destroy(sampler);
    if (!ok) {
        bytes_finish(&out->text);
    }
    return ok;
}
