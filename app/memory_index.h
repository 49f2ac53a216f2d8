/* SPDX-License-Identifier: Apache-2.0
 *
 * The passage index in memory: an inverted file with BM25.
 */
#pragma once

#include "app/passage_index.h"

struct memory_index;

/* NULL when memory runs out. */
struct memory_index *memory_index_create(struct words *words, struct error *error);
void memory_index_destroy(struct memory_index *m); /* accepts NULL */

/* Adds a document and its passages, both of which it borrows until it is destroyed. Documents are
 * numbered from 0 in the order added. The words of a passage's heading and of the document's name
 * count a little for the passage. */
bool memory_index_add(struct memory_index *m, const struct document *document,
                      const struct passages *passages, struct error *error);

struct passage_index memory_index_view(struct memory_index *m);
