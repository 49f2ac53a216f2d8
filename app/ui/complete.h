/* SPDX-License-Identifier: Apache-2.0
 *
 * Tab in the input line.
 */
#pragma once

#include "app/ui/editor.h"

/* Completes the path that stands in bytes [begin, cursor): as far as it is certain, with a slash
 * behind a folder; "~/" is the home folder. What could follow, when there are several, goes into
 * `choices` as one line. */
void complete_path(struct editor *e, size_t begin, struct styled *choices);
/* The same among `words`, which ends with NULL. */
void complete_word(struct editor *e, size_t begin, const char *const *words,
                   struct styled *choices);
/* The path that was typed, with "~/" resolved and spaces around it gone; to be freed. */
char *complete_expand(const char *typed);
