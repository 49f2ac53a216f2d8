/* SPDX-License-Identifier: Apache-2.0
 *
 * A reading as a command shows it: a line of progress while it runs, and what came of it.
 */
#pragma once

#include "app/json.h"
#include "app/progress.h"
#include "app/workspace.h"

struct ingest_show {
    struct progress progress;
    double begin; /* of reading; 0: not begun */
};

/* Makes `o` show its progress here and stop when the user interrupts. */
void ingest_show_init(struct ingest_show *s, const struct options *options,
                      struct ingest_options *o);

/* Prints the report, as text or --json; returns the exit code: 3 when something could not be read.
 * What is left out by rule is no failure. `extra` (owned, may be NULL) is put into the JSON. */
int ingest_show_report(const struct ingest_report *r, const struct options *options, json_t *extra,
                       struct error *error);
