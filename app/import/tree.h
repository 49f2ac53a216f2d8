/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of a folder's files as a document, so that questions about structure ("where is the
 * parser", "what language is it written in") have something to stand on.
 */
#pragma once

#include "app/import/walk.h"

/* Whether root `root` of the walk is a folder with files enough to be worth a list. */
bool tree_is_useful(const struct walk *walk, size_t root);
/* How many files of which kind there are below one root, then every path. Its name is "TREE" and
 * the root's path; of the current folder just "TREE". */
bool tree_document(const struct walk *walk, size_t root, const char *root_path,
                   struct document *document, struct error *error);
