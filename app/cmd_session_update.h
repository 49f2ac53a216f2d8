/* SPDX-License-Identifier: Apache-2.0
 *
 * An action of allmem session that has a file of its own.
 */
#pragma once

#include "app/command.h"

/* argv: NAME */
int session_update_run(const struct options *options, char **argv, struct error *error);
