/* SPDX-License-Identifier: Apache-2.0
 *
 * Drawing an answer.
 */
#include "app/generation.h"

#include "app/interrupt.h"
#include "app/safe_text.h"
#include "engine/base/clock.h"

/* Where an answer's bytes go: filtered, then with quotations checked, into the text. */
struct writer {
    struct generation *g;
    const struct answer_options *options;
    struct safe_text filter;
    struct quotations *quotations; /* or NULL */
    struct bytes fresh;            /* filtered just now */
};

/* Hands on what has come to the text since it had `from` bytes. */
static bool show_new(struct writer *w, size_t from, struct error *error) {
    struct generation *g = w->g;
    const struct answer_options *o = w->options;
    if (g->text.failed || w->fresh.failed) {
        return error_set(error, ERROR_NO_SPACE, "no memory for the answer");
    }
    if (o->show && g->text.size > from &&
        !o->show(o->show_context, (const char *)g->text.data + from, g->text.size - from)) {
        g->stopped = true;
    }
    return true;
}

static void put_fresh(struct writer *w) {
    if (w->quotations) {
        quotations_put(w->quotations, (const char *)w->fresh.data, w->fresh.size, &w->g->text);
    } else {
        bytes_put(&w->g->text, w->fresh.data, w->fresh.size);
    }
    w->fresh.size = 0;
}

static bool show_piece(struct writer *w, struct gguf_text piece, struct error *error) {
    size_t from = w->g->text.size;
    safe_text_put(&w->filter, piece.data, piece.size, &w->fresh);
    put_fresh(w);
    return show_new(w, from, error);
}

static bool show_end(struct writer *w, struct error *error) {
    size_t from = w->g->text.size;
    safe_text_end(&w->filter, &w->fresh);
    put_fresh(w);
    if (w->quotations) {
        quotations_end(w->quotations, &w->g->text);
    }
    if (!show_new(w, from, error)) {
        return false;
    }
    bytes_put_u8(&w->g->text, 0);
    if (w->g->text.failed) {
        return error_set(error, ERROR_NO_SPACE, "no memory for the answer");
    }
    w->g->text.size--;
    return true;
}

static bool draw_tokens(struct session *session, struct engine *engine, const struct chat *chat,
                        struct writer *w, struct sampler *sampler, struct error *error) {
    const struct tokenizer *t = engine_tokenizer(engine);
    struct generation *g = w->g;
    while (g->tokens < w->options->tokens && !g->stopped) {
        token next = sampler_next(sampler, session_logits(session));
        if (next == TOKEN_NONE) {
            return error_set(error, ERROR_INCOMPATIBLE,
                             "the model's output is not finite after %llu tokens",
                             (unsigned long long)session_position(session));
        }
        g->last_seconds = clock_seconds();
        g->first_seconds = g->tokens ? g->first_seconds : g->last_seconds;
        if (chat ? chat_ends(chat, next) : next == tokenizer_eos(t)) {
            break;
        }
        g->tokens++;
        if (!tokenizer_is_control(t, next) && !show_piece(w, tokenizer_bytes(t, next), error)) {
            return false;
        }
        g->stopped = g->stopped || interrupt_requested();
        if (!session_append(session, &next, 1, NULL, error)) {
            return false;
        }
    }
    return show_end(w, error);
}

bool generate_text(struct session *session, struct engine *engine, const struct chat *chat,
                   const struct answer_options *options, struct quotations *quotations,
                   struct generation *out, struct error *error) {
    *out = (struct generation){.first_seconds = clock_seconds()};
    out->last_seconds = out->first_seconds;
    struct writer w = {
        .g = out, .options = options, .filter = {.kind = SAFE_PROSE}, .quotations = quotations};
    struct sampler *sampler =
        sampler_create(&options->sampler, engine_info(engine)->vocabulary, error);
    bool ok = sampler && draw_tokens(session, engine, chat, &w, sampler, error);
    sampler_destroy(sampler);
    bytes_finish(&w.fresh);
    if (!ok) {
        bytes_finish(&out->text);
    }
    return ok;
}
