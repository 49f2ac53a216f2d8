/* SPDX-License-Identifier: Apache-2.0
 *
 * Signals that ask the program to stop. The first sets a flag that every long loop polls; a second
 * SIGINT within two seconds ends the program at once, for a loop that hangs.
 */
#pragma once

#include <stdbool.h>

#include "engine/base/error.h"

/* Once, before a command runs. System calls that wait are not restarted: they fail with EINTR. */
void interrupt_install(void);
bool interrupt_requested(void);
/* Ctrl-C stopped what it was meant for and the program goes on; false for a signal that ends it. */
bool interrupt_forget(void);
/* The exit code for the signal that came: 130 (INT), 143 (TERM), 129 (HUP); 0 when none did. */
int interrupt_exit_code(void);
/* Fills `error` with ERROR_INTERRUPTED and returns false. */
bool interrupt_error(struct error *error);
