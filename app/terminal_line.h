/* SPDX-License-Identifier: Apache-2.0
 *
 * A line of standard input, where Ctrl-C is a key of the person who types: it takes back what was
 * typed, and ends the talk where nothing was.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum terminal_line {
    LINE_READ,        /* `*line` holds it, without its end */
    LINE_TAKEN_BACK,  /* Ctrl-C after some characters; only on a terminal */
    LINE_INTERRUPTED, /* Ctrl-C on an empty line, or another signal that ends the program */
    LINE_END,         /* end of input (Ctrl-D), or it cannot be read */
};

/* `*line` and `*capacity` are those of getline(3). After LINE_TAKEN_BACK the interrupt is
 * forgotten. */
enum terminal_line terminal_line_read(char **line, size_t *capacity, bool terminal);
