/* SPDX-License-Identifier: Apache-2.0
 *
 * Turns of a conversation -> tokens. The template inside a model file is a program of its author;
 * it is never run. We recognise by the control tokens that it mentions which of the known forms it
 * is.
 */
#pragma once

#include "engine/tokenizer.h"

enum chat_form {
    CHAT_NONE,   /* a base model: "Question: ...\nAnswer:" in plain text */
    CHAT_CHATML, /* <|im_start|>role\ntext<|im_end|>\n */
    CHAT_LLAMA3, /* <|start_header_id|>role<|end_header_id|>\n\ntext<|eot_id|> */
};

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT };

struct chat {
    enum chat_form form;
    const struct tokenizer *tokenizer;
    token open, close, header_end; /* control tokens of the form; TOKEN_NONE where it has none */
};

struct chat chat_recognise(const struct gguf *g, const struct tokenizer *t);
const char *chat_form_name(enum chat_form form);

/* Appends the start of a turn; the text follows by tokenizer_encode, then chat_end_turn. A turn of
 * the assistant that is left open is where the model writes its answer. */
bool chat_begin_turn(const struct chat *c, enum chat_role role, struct tokens *list,
                     struct error *error);
bool chat_end_turn(const struct chat *c, enum chat_role role, struct tokens *list,
                   struct error *error);
/* True for a token that ends the assistant's turn: the form's own, or the end of text. */
bool chat_ends(const struct chat *c, token id);
