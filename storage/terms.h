/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside storage/ only: the words that the index's own tokenizer does not see. Identifiers are cut
 * where case or kind changes (readHTTPFile2: read HTTP File 2; unicode61 itself cuts at '_'), and
 * runs of ideographs, kana or hangul, which are written without spaces, become pairs.
 */
#pragma once

#include "engine/base/bytes.h"
#include "storage/store.h"

/* Appends the words, each with a space before it. Nothing for ordinary prose. */
void terms_split(struct blob text, struct bytes *out);
