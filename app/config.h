/* SPDX-License-Identifier: Apache-2.0
 *
 * Lasting settings: config.ini, then the environment over it. A line of config.ini is "name =
 * value" with the name of an option ("threads = 4", "color = never"); there are no sections. In the
 * environment the same name is in capitals after ALLMEM_ (ALLMEM_THREADS=4), and NO_COLOR counts.
 */
#pragma once

#include "app/options.h"

/* Owns the strings that `settings` points to. Starts as {0}. */
struct config {
    char **strings;
    size_t count;
};

/* No file is no error. A key that is unknown or a value that does not fit is ERROR_USAGE and names
 * file and line. */
bool config_read_file(struct config *config, const char *path, struct settings *settings,
                      struct error *error);
bool config_read_environment(struct settings *settings, struct error *error);
void config_finish(struct config *config);
