/* SPDX-License-Identifier: Apache-2.0
 *
 * A text from the command line or from standard input.
 */
#include "app/stdin_text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "app/interrupt.h"

enum { PIECE = 1 << 16 };

static bool read_stdin(struct bytes *out, struct error *error) {
    for (;;) {
        uint8_t *at = bytes_extend(out, PIECE);
        ssize_t n = at ? read(STDIN_FILENO, at, PIECE) : 0;
        if (at) {
            out->size -= (size_t)(PIECE - (n > 0 ? n : 0));
        }
        if (!at || n == 0) {
            return true;
        }
        if (interrupt_requested()) {
            return interrupt_error(error);
        }
        if (n < 0 && errno != EINTR) {
            return error_set(error, ERROR_FAILURE, "standard input: %s", strerror(errno));
        }
    }
}

bool text_or_stdin(const char *argument, struct bytes *out, struct error *error) {
    if (strcmp(argument, "-") != 0) {
        bytes_put(out, argument, strlen(argument));
    } else if (!read_stdin(out, error)) {
        return false;
    }
    bytes_put_u8(out, 0);
    if (out->failed) {
        return error_set(error, ERROR_NO_SPACE, "no memory for the text");
    }
    out->size--;
    return true;
}
