/* SPDX-License-Identifier: Apache-2.0
 *
 * The importers, each in the file of its name.
 */
#pragma once

#include "app/import/import.h"

extern const struct importer importer_docx;
extern const struct importer importer_epub;
extern const struct importer importer_gzip; /* one packed file of another kind */
extern const struct importer importer_html;
extern const struct importer importer_pdf;
extern const struct importer importer_text; /* plain text, Markdown, source code */

/* The first importer of the table in import.c that matches; there is always one. */
const struct importer *importer_for(const uint8_t *data, size_t size, const char *name);
