/* SPDX-License-Identifier: Apache-2.0
 *
 * Options as tables: a struct option says how an option is spelt, what values it takes and where
 * the value goes. The common options are gathered in a struct settings, which the flags, the
 * environment and config.ini all fill through the same table, so that a range is written once. A
 * command has a table of its own options.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/command.h"

enum option_kind {
    OPTION_FLAG,   /* bool; --name sets it and --no-name clears it; yes or no in config.ini */
    OPTION_TALLY,  /* int; each time adds one */
    OPTION_COUNT,  /* uint64_t within [least, most] */
    OPTION_BYTES,  /* uint64_t; "300", "20k", "1.5G", "200 MB": powers of ten */
    OPTION_REAL,   /* double within [least, most] */
    OPTION_TEXT,   /* const char *, as it stands */
    OPTION_TEXTS,  /* struct option_texts; may be given more than once */
    OPTION_CHOICE, /* const char *, one of `choices` ("auto|cpu|vulkan") */
};

#define OPTION_TEXTS_MAX 64
struct option_texts {
    const char *text[OPTION_TEXTS_MAX];
    size_t count;
};

struct option {
    const char *name; /* without the dashes; NULL: a letter only */
    char letter;      /* 0: none */
    enum option_kind kind;
    void *value; /* of the kind's type; holds the default before */
    double least, most;
    const char *choices;
};

/* Takes the options of `table` out of argv[0..*argc) and drops the "--" that ends options; what is
 * left are operands. Values stand as "--name value", "--name=value", "-n value" or "-nvalue"; they
 * point into argv. An unknown option, a missing value and a value out of range are ERROR_USAGE. */
bool options_read(const struct option *table, size_t count, int *argc, char **argv,
                  struct error *error);

/* The common options before they become a struct options. Strings belong to whoever set them. */
struct settings {
    bool help, version; /* -h, -V */
    bool json, quiet, offline, progress;
    int verbose;
    const char *model, *session, *backend;
    bool model_named;  /* on the command line */
    const char *color; /* "auto", "always", "never" */
    uint64_t device, threads, window, keep, merge, seed;
    double temperature;
};

void settings_init(struct settings *s);
/* Takes the common options out of argv wherever they stand before a "--"; everything else stays, in
 * order, the "--" too. */
bool settings_read(struct settings *s, int *argc, char **argv, struct error *error);
/* Sets the option `name` as config.ini and the environment may. *known is false when there is no
 * such name, which is no error here. `value` must outlive `s`. */
bool settings_set(struct settings *s, const char *name, const char *value, bool *known,
                  struct error *error);
/* The names that settings_set knows, in the order of --help; NULL after the last. */
const char *settings_name(size_t i);
/* Looks at the terminal for what was left open. */
struct options settings_options(const struct settings *s);
/* The common options, a line each, for --help. */
extern const char settings_help[];
