/* SPDX-License-Identifier: Apache-2.0
 *
 * Training an adapter for a base model, in two stages. Stage 1, layer-wise attention transfer:
 * every layer's memory branch learns on its own to make sinks, kept tokens and window into what
 * full attention gives; no gradient goes through the base. Stage 2, distillation: all branches
 * together learn to give the next token the distribution that full attention gives it, with
 * gradients through the frozen base. The caller chooses the tokens, and owns files and time.
 */
#pragma once

#include "engine/engine.h"

struct finetune;

enum finetune_stage { FINETUNE_TRANSFER = 1, FINETUNE_DISTILL = 2 };

struct finetune_options {
    uint32_t length;    /* L: tokens of a sequence, a multiple of the chunk, at least 16 of them */
    uint32_t width;     /* f: memory width, a multiple of 16; 0: no fast weights, the gate of merged
                         * tokens is trained, in stage 2 alone */
    uint32_t chunk;     /* C */
    uint32_t sinks;     /* S */
    float rate;         /* the highest learning rate of stage 1 */
    float distill_rate; /* and of stage 2 */
    bool far_start;     /* maps start at the average far rotation, else at identity */
    bool kept;          /* of three sequences two are read with kept tokens, W or twice as many */
    bool lengths;       /* a quarter of the sequences have half the length */
    bool distill;       /* there will be a stage 2: makes room for it */
    uint64_t seed;
};
struct finetune_options finetune_defaults(void);

/* The engine must be on the CPU, without an adapter, and outlive this; nothing else may use it
 * meanwhile. ERROR_USAGE for options that do not hold, ERROR_NO_SPACE with numbers. */
struct finetune *finetune_create(struct engine *e, const struct finetune_options *options,
                                 struct error *error);
void finetune_destroy(struct finetune *f); /* accepts NULL */
/* Starts from the parameters of an adapter of the same model, width, chunk and sinks
 * (ERROR_INCOMPATIBLE, naming both), instead of calibrating. */
bool finetune_start_from(struct finetune *f, const char *adapter, struct error *error);

/* What is read, and how. W and B are such that something is written. */
struct finetune_sequence {
    const token *ids; /* of the vocabulary */
    size_t length;    /* a multiple of C, at most L */
    size_t window;    /* W: one of finetune_window, or of the half length's */
    size_t keep;      /* B: 0, or where options.kept W, or 2 W; in the mean of the layers */
    size_t merge; /* G, too: 0 with fast weights; else W / 2, without kept tokens also 2 W. Where a
                   * quarter of the length is less than 2 W, W stands for it */
};
/* Windows that sequences are trained with: a 16th, an 8th and a quarter of the length. */
enum { FINETUNE_WINDOWS = 3 };
size_t finetune_window(const struct finetune *f, size_t i);
/* How the sequence of a step is read, by chance of the seed; and the i-th to be measured with. */
struct finetune_sequence finetune_plan(const struct finetune *f, uint64_t step, const token *ids);
struct finetune_sequence finetune_trial(const struct finetune *f, size_t i, const token *ids);

/* What one sequence gave. */
struct finetune_result {
    const float *errors; /* stage 1, [layers]: of 1.0 = the window alone; until the next call. Else
                          * NULL */
    size_t layers;
    double mean;    /* of the errors; stage 2: KL(full attention || this), nats per position past
                     * the first that was written */
    size_t skipped; /* layers whose gradients were not finite: left as they were */
};

/* Calibrate once, before anything else: it measures the size of values and fits gates and alpha to
 * the sequence. `progress` in [0, 1] is the place in the stage's schedule of the learning rate. */
void finetune_calibrate(struct finetune *f, const struct finetune_sequence *s);
/* Then, where there will be a stage 2, each layer's share of the kept and merged tokens may be
 * found: by the KL of sequences with kept tokens, each read 21 times with this or that group of
 * layers having fewer or more. `watch` is told after passes, and false stops it. Until
 * finetune_spread settles it by all that were tried, layers have the same. */
bool finetune_spread_try(struct finetune *f, const struct finetune_sequence *s,
                         const struct session_watch *watch);
void finetune_spread(struct finetune *f);
/* What the layer has of the mean. */
float finetune_share(const struct finetune *f, uint32_t layer);
struct finetune_result finetune_step(struct finetune *f, const struct finetune_sequence *s,
                                     double progress);
struct finetune_result finetune_measure(struct finetune *f, const struct finetune_sequence *s);
/* Stage 2: the KL of sinks, kept tokens and window without a memory, and of merged tokens as they
 * are where their gate is trained. */
double finetune_measure_alone(struct finetune *f, const struct finetune_sequence *s);

/* Training starts in stage 1, with memory width 0 in stage 2. Entering stage 2 forgets the
 * optimiser's moments. */
void finetune_enter(struct finetune *f, enum finetune_stage stage);
enum finetune_stage finetune_stage(const struct finetune *f);

uint64_t finetune_steps(const struct finetune *f);   /* of both stages */
uint64_t finetune_skipped(const struct finetune *f); /* layers' updates in all */
size_t finetune_parameters(const struct finetune *f);
size_t finetune_bytes(const struct finetune *f); /* of memory that training took */
/* A layer's parameters, in the order of parameters.h. */
const float *finetune_values(const struct finetune *f, uint32_t layer);

/* What the caller adds to a checkpoint. */
struct finetune_run {
    uint8_t texts[HASH_BYTES]; /* of what it trains on */
    uint64_t steps;            /* planned */
    double seconds;            /* planned, 0 for no limit */
    double spent;              /* seconds so far */
    double best;               /* held-out figure of the adapter on disk, of this stage */
    double share;              /* of the budget for stage 1; 0 or 1 for one stage only */
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
    double held_out; /* error or KL on texts set aside */
    const char *date;
};

/* The adapter as a GGUF file: adapter_open reads it. */
bool finetune_adapter(const struct finetune *f, const struct finetune_origin *origin,
                      struct bytes *out, struct error *error);
