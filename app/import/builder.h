/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the text of a document piece by piece as a markup parser meets it: white space collapsed
 * the way a browser does, lines and blank lines where blocks meet, headings marked as sections.
 */
#pragma once

#include "app/import/document.h"
#include "engine/base/error.h"

/* Starts as {.document = ...}. */
struct builder {
    struct document *document;
    struct bytes text;
    unsigned breaks; /* line ends due before the next word: 0, 1, or 2 for a blank line */
    bool space;      /* a space is due before the next word */
    bool failed;     /* out of memory */

    bool in_heading;
    size_t heading; /* where its text starts */
};

/* `text` need not be valid UTF-8. `keep_space`: lines and spaces as they are, as in <pre>. */
void builder_text(struct builder *b, const char *text, size_t size, bool keep_space);
/* The next text starts a new line; after a blank one if `blank`. */
void builder_break(struct builder *b, bool blank);
/* Adds a tab if the line has text: the next cell of a table. */
void builder_cell(struct builder *b);
/* What is written between the two is a heading, on a line of its own. */
void builder_heading_begin(struct builder *b);
void builder_heading_end(struct builder *b);
/* Where the next text will start, for a section that has no heading in the text. */
size_t builder_next(struct builder *b);

/* Gives the document its text; finishes the builder either way. */
bool builder_end(struct builder *b, struct error *error);
