/* SPDX-License-Identifier: Apache-2.0
 *
 * Training on a tiny model, in steps that are the same each time.
 */
#pragma once

#include "engine/finetune/finetune.h"
#include "tests/tools/tiny_engine.h"

enum { TINY_LENGTH = 256, TINY_CHUNK = 16, TINY_SINKS = 4, TINY_MEMORY = 32 };

/* Sequences, chunks, sinks and memory width as above; stage 1 alone, all sequences of one kind. */
struct finetune_options tiny_training_options(void);
/* Of TINY_LENGTH tokens, without kept ones. */
struct finetune_sequence tiny_sequence(const token *ids, size_t window);
/* On a fresh engine, to be closed after the trainer. Fails the test where it cannot. */
struct finetune *tiny_training_start(struct engine **e, const struct finetune_options *o);
/* Step number `step` of a fixed run of 8; the first one calibrates. */
struct finetune_result tiny_training_step(struct finetune *f, uint64_t step);
