/* SPDX-License-Identifier: Apache-2.0
 *
 * From bytes of a guessed or named character set to the program's text: UTF-8 with \n line ends.
 * Nothing is dropped: what cannot be decoded becomes U+FFFD, and so does NUL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/bytes.h"

/* The name of the character set, for iconv. NULL: a binary file, which is one with a NUL in its
 * first 8000 bytes or with more than a tenth of its bytes outside valid UTF-8. Below that, UTF-16
 * is known by its byte order mark; stray bytes among ASCII are taken for Windows-1252, stray bytes
 * among more valid UTF-8 for damage. */
const char *encoding_guess(const uint8_t *data, size_t size);

/* Appends the text to `out`; a byte order mark goes, CRLF and lone CR become LF. False: iconv does
 * not know the character set. Out of memory shows in out->failed. */
bool encoding_decode(const uint8_t *data, size_t size, const char *charset, struct bytes *out);
