/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside storage/ only: the passages of a text whose importer gave none. A passage ends at the last
 * blank line that leaves it between SPLIT_MIN and SPLIT_MAX bytes, else at the last end of a line
 * there, else at a space, else before a UTF-8 character. White space around it is left out.
 */
#pragma once

#include "storage/documents.h"

enum { SPLIT_MIN = 400, SPLIT_MAX = 1000 };

/* The first passage at or after `*at`, which moves behind it. False when there is none left. */
bool split_next(struct blob text, size_t *at, struct store_span *span);
