/* SPDX-License-Identifier: Apache-2.0
 *
 * A subcommand is one file cmd_NAME.c that ends in a const struct command, and one row in the table
 * of main.c.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/error.h"

struct config;

/* Options that every command takes, already read from flags, environment and config.ini. */
struct options {
    const char *model; /* catalogue name or path; NULL: the default */
    bool model_named;  /* by -m; else `model` is a standing preference, which a session overrules */
    const char *session; /* -s, or NULL */
    const char *backend; /* "auto", "cpu", "vulkan" */
    bool json, quiet, offline, progress, colour;
    bool timed; /* the engine times its operations; no option: a command sets it */
    int verbose;
    unsigned device;  /* of --backend=vulkan, from 1; 0: the best */
    unsigned threads; /* 0: as many as there are cores */
    unsigned window;  /* 0: the default */
    int keep, merge;  /* -1: the default */
    float temperature;
    unsigned long long seed;
    /* Gets what the engine has to tell, a line at a time, on the thread that computes; NULL:
     * standard error does, unless quiet. */
    void (*notice)(void *context, const char *text);
    void *notice_context;
    const struct config *config; /* for what is no option: [keys]; may be NULL */
};

struct command {
    const char *name;
    const char *usage;   /* "ask [-s NAME] [PATH...] QUESTION", after "allmem " */
    const char *summary; /* one line for the list in --help */
    const char *help;    /* the command's own options, a line each, or "" */
    /* argv[0] is the first word after the command's name and the common options; argv[argc] is
     * NULL. Returns the exit code; on failure fills `error`, and main prints it. */
    int (*run)(const struct options *options, int argc, char **argv, struct error *error);
};
