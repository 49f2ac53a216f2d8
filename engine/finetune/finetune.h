/* SPDX-License-Identifier: Apache-2.0
 *
 * Training an adapter for a base model, stage 1: layer-wise attention transfer. Every layer's
 * memory branch learns on its own to make sinks and window into what full attention gives; no
 * gradient goes through the base. The caller chooses the tokens, and owns files and time.
 */
#pragma once

#include "engine/engine.h"

struct finetune;

struct finetune_options {
    uint32_t length; /* L: tokens of a sequence, a multiple of the chunk, at least 16 of them */
    uint32_t width;  /* f: memory width, a multiple of 16 */
    uint32_t chunk;  /* C */
    uint32_t sinks;  /* S */
    float rate;      /* the highest learning rate */
    bool far_start;  /* maps start at the average far rotation, else at identity */
    uint64_t seed;
};
struct finetune_options finetune_defaults(void);

/* The engine must be on the CPU, without an adapter, and outlive this; nothing else may use it
 * meanwhile. ERROR_USAGE for options that do not hold, ERROR_NO_SPACE with numbers. */
struct finetune *finetune_create(struct engine *e, const struct finetune_options *options,
                                 struct error *error);
void finetune_destroy(struct finetune *f); /* accepts NULL */

/* Windows that sequences are trained with: a 16th, an 8th and a quarter of the length. */
enum { FINETUNE_WINDOWS = 3 };
size_t finetune_window(const struct finetune *f, size_t i);

/* What one sequence gave. */
struct finetune_result {
    const float *errors; /* [layers]: of 1.0 = sinks and window alone; until the next call */
    size_t layers;
    double mean;
    size_t skipped; /* layers whose gradients were not finite: left as they were */
};

/* `ids` are length tokens of the vocabulary. Calibrate once, before anything else: it measures the
 * size of values and sets the gates to open a little. `progress` in [0, 1] is the place in the
 * learning rate's schedule. */
void finetune_calibrate(struct finetune *f, const token *ids, size_t window);
struct finetune_result finetune_step(struct finetune *f, const token *ids, size_t window,
                                     double progress);
struct finetune_result finetune_measure(struct finetune *f, const token *ids, size_t window);

uint64_t finetune_steps(const struct finetune *f);
uint64_t finetune_skipped(const struct finetune *f); /* layers' updates in all */
size_t finetune_parameters(const struct finetune *f);
/* A layer's parameters, in the order of parameters.h. */
const float *finetune_values(const struct finetune *f, uint32_t layer);

/* What the caller adds to a checkpoint. */
struct finetune_run {
    uint8_t texts[HASH_BYTES]; /* of what it trains on */
    uint64_t steps;            /* planned */
    double seconds;            /* planned, 0 for no limit */
    double spent;              /* seconds so far */
    double best;               /* held-out error of the adapter on disk */
};

/* A checkpoint: all that the next step depends on. Continuing from it is bit for bit the same as
 * never having stopped. */
bool finetune_save(const struct finetune *f, const struct finetune_run *run, struct bytes *out,
                   struct error *error);
/* ERROR_INCOMPATIBLE, naming both, for another model or other options, and for damage. */
bool finetune_load(struct finetune *f, const void *data, size_t size, struct finetune_run *run,
                   struct error *error);

/* Where an adapter comes from. */
struct finetune_origin {
    const struct gguf_text *texts; /* "SHA-256  NAME" each */
    size_t text_count;
    double held_out; /* error on texts set aside */
    const char *date;
};

/* The adapter as a GGUF file: adapter_open reads it. */
bool finetune_adapter(const struct finetune *f, const struct finetune_origin *origin,
                      struct bytes *out, struct error *error);
