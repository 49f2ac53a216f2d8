/* SPDX-License-Identifier: Apache-2.0
 *
 * Words so common in English of any subject that their absence says little about a text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whether it is one of about two thousand stems. */
bool is_common_word(const char *stem);
