/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands beside an adapter in training: ADAPTER.checkpoint to continue from, and ADAPTER.tsv,
 * one line per step and per measurement, for plots.
 */
#pragma once

#include <stdio.h>

#include "app/corpus.h"
#include "engine/finetune/finetune.h"

/* Starts as {0}. */
struct training_files {
    char *adapter, *checkpoint, *log; /* paths */
    FILE *table;
};

/* Without `resume` nothing of an earlier run may be there (ERROR_FAILURE); with it the checkpoint
 * must (ERROR_NOT_FOUND), and is loaded into `f` and `run`. Opens the log. */
bool training_files_open(struct training_files *t, const char *adapter, bool resume,
                         struct finetune *f, struct finetune_run *run, struct error *error);
void training_files_close(struct training_files *t);

bool training_save_checkpoint(const struct training_files *t, const struct finetune *f,
                              const struct finetune_run *run, struct error *error);
/* The adapter as it is now, with run->best as its held-out error. */
bool training_save_adapter(const struct training_files *t, const struct finetune *f,
                           const struct finetune_run *run, const struct corpus *corpus,
                           struct error *error);
/* A line of the log. `kind`: "train", "held-out", or "window", the held-out text without a memory.
 * Fails when it cannot be written. */
bool training_log(const struct training_files *t, const char *kind, const struct finetune *f,
                  double seconds, const struct finetune_sequence *s,
                  const struct finetune_result *r, struct error *error);
