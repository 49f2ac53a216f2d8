/* SPDX-License-Identifier: Apache-2.0
 *
 * The subcommands, one file cmd_NAME.c each; main.c lists them in the order of --help.
 */
#pragma once

#include "app/command.h"

extern const struct command command_ask;
extern const struct command command_bench;
extern const struct command command_chat;
extern const struct command command_doctor;
extern const struct command command_eval;
extern const struct command command_find;
extern const struct command command_finetune;
extern const struct command command_generate;
extern const struct command command_ingest;
extern const struct command command_model;
extern const struct command command_session;
extern const struct command command_source;
extern const struct command command_tokenize;
extern const struct command command_tui; /* runs without a command's name */
