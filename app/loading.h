/* SPDX-License-Identifier: Apache-2.0
 *
 * From the common options to a loaded engine and a session's options.
 */
#pragma once

#include "app/command.h"
#include "app/models.h"
#include "app/progress.h"
#include "engine/engine.h"
#include "engine/sampler.h"

/* Starts as {0}. */
struct loaded {
    struct model_choice choice;
    struct engine *engine;
};

/* `adapter` false: without the adapter even if the model has one. */
bool load_engine(struct loaded *loaded, const struct options *options, bool adapter,
                 struct error *error);
void loaded_finish(struct loaded *loaded);

/* The engine's defaults with --window, --keep and --merge put in. */
struct session_options session_options_of(const struct options *options, const struct engine *e);
/* --temp and --seed; the rest at usual values, and no penalty on repeating. */
struct sampler_options sampler_options_of(const struct options *options);

/* A watch that shows "LABEL: 12 %, 840 tokens/s, 0:34 left" and stops when the user interrupts. */
struct reading_watch {
    struct session_watch watch; /* what session_append takes */
    struct progress progress;
    const char *label; /* printable */
    double begin;
    size_t before, total; /* tokens read before this append, and in all */
};
void reading_watch_init(struct reading_watch *w, const struct options *options, size_t total);
