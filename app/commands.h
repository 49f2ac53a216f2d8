/* SPDX-License-Identifier: Apache-2.0
 *
 * The subcommands, one file cmd_NAME.c each; main.c lists them in the order of --help.
 */
#pragma once

#include "app/command.h"

extern const struct command command_model;
