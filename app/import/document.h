/* SPDX-License-Identifier: Apache-2.0
 *
 * What an importer gives: one source as plain text, with the marks by which a person finds a place
 * in it again. The text is what the program stores, shows and quotes; all offsets are bytes of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/bytes.h"

enum document_kind {
    DOCUMENT_TEXT,
    DOCUMENT_MARKDOWN,
    DOCUMENT_CODE,
    DOCUMENT_HTML,
    DOCUMENT_PDF,
    DOCUMENT_EPUB,
    DOCUMENT_DOCX,
    DOCUMENT_TREE, /* the list of a folder's files */
    DOCUMENT_KINDS,
};

struct section {
    size_t begin; /* where its heading starts, at the start of a line */
    char *title;  /* valid UTF-8, no newline */
};

/* Starts as {0}. */
struct document {
    char *name; /* path or address as given: any bytes but NUL, so filter it on show */
    char *text; /* valid UTF-8 without NUL or CR, lines end in \n; text[size] is NUL */
    size_t size;
    enum document_kind kind;

    size_t *pages; /* where each page starts, rising; pages[0] is 0. Of a PDF only */
    size_t page_count;
    struct section *sections; /* chapters and headings, rising */
    size_t section_count;

    size_t *lines; /* where each line starts; made by document_lines */
    size_t line_count;
};

void document_finish(struct document *d);

/* All false only when memory runs out. The name and the title are copied. */
bool document_set_name(struct document *d, const char *name);
/* Takes over the buffer, which becomes empty. */
bool document_take_text(struct document *d, struct bytes *text);
bool document_add_page(struct document *d, size_t begin);
/* White space at the ends of the title goes, inside it becomes one space; long ones are cut. */
bool document_add_section(struct document *d, size_t begin, const char *title, size_t size);

/* Makes the table of lines unless it is there. A document has at least one line, an empty one. */
bool document_lines(struct document *d);
/* The line, from 1, that holds byte `offset`. Needs document_lines. */
size_t document_line_at(const struct document *d, size_t offset);
/* The page, from 1, that holds byte `offset`; 0: the document has no pages. */
size_t document_page_at(const struct document *d, size_t offset);
/* The index of the section that holds byte `offset`; section_count: it stands before all. */
size_t document_section_at(const struct document *d, size_t offset);

const char *document_kind_name(enum document_kind kind); /* "text", "markdown", ... */
