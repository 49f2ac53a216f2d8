/* SPDX-License-Identifier: Apache-2.0
 *
 * A stored document and the file that it was read from.
 */
#pragma once

#include "storage/documents.h"

enum source_file {
    SOURCE_FILE_NONE, /* it was no file: an address, standard input, a folder's list */
    SOURCE_FILE_SAME, /* by time and size */
    SOURCE_FILE_CHANGED,
    SOURCE_FILE_GONE,
};
enum source_file source_file_of(const struct store_document *d);

/* Whether the lines of the stored text are those of the file: not so where it was converted. */
bool source_file_has_lines(const struct store_document *d);
