/* SPDX-License-Identifier: Apache-2.0
 *
 * The importers, each in the file of its name.
 */
#pragma once

#include "app/import/import.h"

extern const struct importer importer_text; /* text.c: plain text, Markdown, source code */
