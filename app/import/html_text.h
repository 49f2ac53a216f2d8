/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of an HTML page.
 */
#pragma once

#include "app/import/builder.h"

/* Adds the page's text to the builder: no scripts, styles or hidden parts; h1 to h3 are headings.
 * `html` is UTF-8. A page is never so broken that nothing can be read; false when memory runs out
 * or the parser gives up, with `error` set. `title` gets the page's <title>, appended. */
bool html_text(const char *html, size_t size, struct builder *b, struct bytes *title,
               struct error *error);
