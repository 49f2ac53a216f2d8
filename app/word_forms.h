/* SPDX-License-Identifier: Apache-2.0
 *
 * Forms of English words that a stemmer does not bring together: a question has the base form
 * ("what did she write"), the text another ("she wrote").
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The base form of a lower-case word, "write" of "wrote"; NULL: it is regular. */
const char *word_base(const char *word);

/* Changes "organise" to "organize" and "colour" to "color" in place; returns the new size. `word`
 * is lower case and ends in NUL. */
size_t word_american(char *word, size_t size);
