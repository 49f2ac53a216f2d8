/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs an importer in a child process, so that its parser can only lose this one file.
 */
#pragma once

#include "app/import/import.h"

/* Like importer->read; `document` has its name. What comes back from the child is checked. */
bool isolate_read(const struct importer *importer, const uint8_t *data, size_t size,
                  const struct import_limits *limits, struct document *document,
                  struct error *error);
