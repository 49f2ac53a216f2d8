/* SPDX-License-Identifier: Apache-2.0
 *
 * Digests that tell models apart; struct model says what they cover. Used by model_bind.
 */
#pragma once

#include "engine/model.h"

/* Fills both fingerprints of a model whose config and tensors are bound. Fails only when memory
 * runs out. */
bool fingerprint_model(struct model *m, const struct gguf *g, struct error *error);
