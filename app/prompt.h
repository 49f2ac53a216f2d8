/* SPDX-License-Identifier: Apache-2.0
 *
 * The prompt of a question: instructions, numbered passages, the question, as turns of the model's
 * chat form. Texts from outside are encoded as content, so they can never open or close a turn.
 */
#pragma once

#include "app/retrieve.h"
#include "engine/chat.h"

/* Appends the prompt up to where the answer begins. `after_text`: something was read before, so the
 * first turn starts on a new line. */
bool prompt_build(const struct chat *chat, const char *question, const struct retrieval *retrieval,
                  bool after_text, struct tokens *out, struct error *error);
