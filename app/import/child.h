/* SPDX-License-Identifier: Apache-2.0
 *
 * Work done in a child process under limits: another program (git, pdftotext), or a function of
 * ours that must not take the program down with it. Output comes through a pipe; a child that
 * exceeds a limit is killed.
 */
#pragma once

#include <stdint.h>

#include "engine/base/bytes.h"
#include "engine/base/error.h"

struct child_limits {
    unsigned cpu_seconds;  /* wall-clock time may be twice as much */
    uint64_t memory_bytes; /* address space, beyond what the parent has for a function */
    uint64_t output_bytes;
    bool no_sockets;      /* as a function never has them; where the kernel can */
    bool (*stop)(void *); /* NULL: never */
    void *stop_context;
};

/* Runs argv[0], found by PATH, with `input` as its standard input (a file it can seek in), and
 * appends its standard output. `status` gets the exit status. False: could not be started, killed,
 * too much output, stopped (ERROR_INTERRUPTED). When it exits with another status than 0, `error`
 * holds the first line that it wrote to stderr. */
bool child_run(const char *const *argv, const void *input, size_t input_size,
               const struct child_limits *limits, struct bytes *output, int *status,
               struct error *error);

/* Calls `f` in a fork that can open no file and no socket. True when f returned true; `output` is
 * what it appended. What the child says is not to be trusted: it may have been taken over. */
typedef bool child_function(void *context, struct bytes *output, struct error *error);
bool child_call(child_function *f, void *context, const struct child_limits *limits,
                struct bytes *output, struct error *error);
