/* SPDX-License-Identifier: Apache-2.0
 *
 * Lasting settings: config.ini, then the environment over it. A line of config.ini is "name =
 * value" with the name of an option ("threads = 4", "color = never"); the one section, [keys],
 * binds keys of the terminal program (app/ui/keys.h). In the environment the same name is in
 * capitals after ALLMEM_ (ALLMEM_THREADS=4), and NO_COLOR counts.
 */
#pragma once

#include "app/options.h"

/* "name = value" of [keys], not yet looked at. */
struct config_key {
    const char *name, *value;
};

/* Owns the strings that `settings` and `keys` point to. Starts as {0}. */
struct config {
    char **strings;
    size_t count;
    struct config_key *keys;
    size_t key_count;
};

/* No file is no error. A key that is unknown or a value that does not fit is ERROR_USAGE and names
 * file and line. */
bool config_read_file(struct config *config, const char *path, struct settings *settings,
                      struct error *error);
bool config_read_environment(struct settings *settings, struct error *error);
void config_finish(struct config *config);
