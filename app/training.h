/* SPDX-License-Identifier: Apache-2.0
 *
 * A run of training within its budget of steps or of time: what `allmem finetune` does once texts
 * and model are there.
 */
#pragma once

#include "app/loading.h"
#include "app/options.h"
#include "app/progress.h"
#include "app/training_files.h"

/* The caller fills it up to `spread`, and owns all of it. */
struct training {
    const struct options *options;
    struct loaded loaded;
    struct corpus corpus;
    struct finetune *finetune;
    struct finetune_run run;
    struct training_files files;
    struct progress progress;
    token *ids;           /* [length] */
    double begin, before; /* clock at the start; seconds spent before it */
    double pause_at;      /* clock */
    uint64_t first_step;  /* of this sitting */
    bool started;         /* in an earlier sitting */
    const char *from;     /* the adapter that it started from, or NULL */
    bool spread;          /* tokens over the layers, before the first step */

    double checkpoint_at; /* clock */
    double trained;       /* seconds of this sitting in steps */
    uint64_t tokens;      /* that they read */
    float *layer_errors;  /* [layers], or NULL yet */
    bool smoothed;        /* there is an `error` */
    double error;         /* or KL, of the last steps, smoothed */
};

/* Until the budget is spent, or for now: after `pause_at`, or when the user interrupts
 * (ERROR_INTERRUPTED; the checkpoint is written then too). */
bool training_run(struct training *t, struct error *error);
/* Seconds over all sittings; and how far the schedule has come, 1 at its end, by whichever budget
 * ends first. */
double training_spent(const struct training *t);
double training_progress(const struct training *t);
