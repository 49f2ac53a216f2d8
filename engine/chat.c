/* SPDX-License-Identifier: Apache-2.0
 *
 * The forms of turns as one table; a form is recognised by its opening token.
 */
#include "engine/chat.h"

#include <string.h>

/* What stands around the text of a turn. The role's name is between `open` and `after_role`. */
struct form {
    const char *name;
    const char *open, *header_end, *close; /* names of control tokens; NULL for none */
    const char *after_role, *after_turn;   /* plain text */
};

static const struct form forms[] = {
    [CHAT_NONE] = {.name = "none"},
    [CHAT_CHATML] = {.name = "chatml",
                     .open = "<|im_start|>",
                     .close = "<|im_end|>",
                     .after_role = "\n",
                     .after_turn = "\n"},
    [CHAT_LLAMA3] = {.name = "llama3",
                     .open = "<|start_header_id|>",
                     .header_end = "<|end_header_id|>",
                     .close = "<|eot_id|>",
                     .after_role = "\n\n",
                     .after_turn = ""},
};

static const char *const roles[] = {
    [CHAT_SYSTEM] = "system", [CHAT_USER] = "user", [CHAT_ASSISTANT] = "assistant"};

/* For a model that knows no turns. */
static const struct {
    const char *before, *after;
} plain[] = {[CHAT_SYSTEM] = {"", "\n\n"},
             [CHAT_USER] = {"Question: ", "\n"},
             [CHAT_ASSISTANT] = {"Answer:", "\n\n"}};

/* True when the vocabulary has all control tokens of the form; `c` gets them. */
static bool bind(struct chat *c, enum chat_form form) {
    const struct form *f = &forms[form];
    const struct {
        const char *name;
        token *id;
    } needed[] = {{f->open, &c->open}, {f->close, &c->close}, {f->header_end, &c->header_end}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        *needed[i].id = TOKEN_NONE;
        if (needed[i].name) {
            *needed[i].id = tokenizer_control(c->tokenizer, needed[i].name);
            if (*needed[i].id == TOKEN_NONE) {
                return false;
            }
        }
    }
    c->form = form;
    return true;
}

struct chat chat_recognise(const struct gguf *g, const struct tokenizer *t) {
    struct chat c = {.tokenizer = t};
    const struct gguf_pair *pair = gguf_find(g, "tokenizer.chat_template");
    struct gguf_text text;
    bool has_text = pair && gguf_text(g, "tokenizer.chat_template", &text, NULL);
    for (enum chat_form form = CHAT_CHATML; form <= CHAT_LLAMA3; form++) {
        const char *open = forms[form].open;
        /* Without a template the tokens of ChatML tell enough; those of Llama 3 are in its base
         * models too, which were never trained on turns. */
        bool meant = has_text ? memmem(text.data, text.size, open, strlen(open)) != NULL
                              : !pair && form == CHAT_CHATML;
        if (meant && bind(&c, form)) {
            return c;
        }
    }
    bind(&c, CHAT_NONE);
    return c;
}

const char *chat_form_name(enum chat_form form) {
    return forms[form].name;
}

static bool put_text(const struct chat *c, const char *text, struct tokens *list,
                     struct error *error) {
    return tokenizer_encode(c->tokenizer, text, strlen(text), list, error);
}

/* `id` may be TOKEN_NONE. */
static bool put_control(token id, struct tokens *list, struct error *error) {
    return id == TOKEN_NONE || tokens_push(list, id) ||
           error_set(error, ERROR_NO_SPACE, "no memory for a turn");
}

bool chat_begin_turn(const struct chat *c, enum chat_role role, struct tokens *list,
                     struct error *error) {
    if (c->form == CHAT_NONE) {
        return put_text(c, plain[role].before, list, error);
    }
    return put_control(c->open, list, error) && put_text(c, roles[role], list, error) &&
           put_control(c->header_end, list, error) &&
           put_text(c, forms[c->form].after_role, list, error);
}

bool chat_end_turn(const struct chat *c, enum chat_role role, struct tokens *list,
                   struct error *error) {
    if (c->form == CHAT_NONE) {
        return put_text(c, plain[role].after, list, error);
    }
    return put_control(c->close, list, error) &&
           put_text(c, forms[c->form].after_turn, list, error);
}

bool chat_ends(const struct chat *c, token id) {
    return id != TOKEN_NONE && (id == c->close || id == tokenizer_eos(c->tokenizer));
}
