/* SPDX-License-Identifier: Apache-2.0
 *
 * Cuts a document into passages, the units that are found, put before the model and cited.
 */
#pragma once

#include "app/import/document.h"
#include "engine/base/error.h"

/* A span of the document's text. The passages of a document follow each other without a gap, from
 * its first byte to its last; each starts at a character and, but for very long lines, at a line.
 */
struct passage {
    size_t begin, end;
    size_t first_line, last_line; /* from 1, of its first and last byte that are not white space */
    size_t page;                  /* from 1; 0: the document has no pages. Never spans two pages */
    size_t section;               /* index into the document's; section_count: before the first */
};

/* Starts as {0}. */
struct passages {
    struct passage *items;
    size_t count;
};

void passages_finish(struct passages *p);

/* Aims at 600 to 900 bytes, and at borders that a reader would choose: headings, then paragraphs or
 * the ends of functions, then lines, sentences, words. An empty document has no passage. False only
 * when memory runs out. */
bool passages_cut(const struct document *d, struct passages *out, struct error *error);
