/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the headings of plain text and Markdown.
 */
#pragma once

#include "app/import/document.h"

/* Adds a section for each heading: "# Title" (Markdown only, not inside code fences), a line
 * underlined with = - ~ ^ or *, and, in plain text, a line such as "CHAPTER IX. The Sermon" that
 * stands alone. False only when memory runs out. */
bool sections_find(struct document *d);
