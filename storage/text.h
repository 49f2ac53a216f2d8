/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside storage/ only: texts, cut into pieces of TEXT_PIECE bytes that each carry a hash and the
 * number of lines before them, so that any span is read, checked and placed at the cost of a piece.
 */
#pragma once

#include "engine/base/hash.h"
#include "storage/db.h"

enum { TEXT_PIECE = 64 * 1024 };

/* The id of the text with this hash, or 0. */
bool text_find(struct store *store, const uint8_t *hash, int64_t *id, struct error *error);
/* Inside a transaction: stores a text that is not there yet; label: see table text. */
bool text_put(struct store *store, struct blob text, const uint8_t *hash, struct blob label,
              int64_t *id, struct error *error);
bool text_drop(struct store *store, int64_t id, struct error *error);

/* Owned bytes [begin, end), verified. ERROR_USAGE when they are outside. */
bool text_read(struct store *store, int64_t id, uint64_t begin, uint64_t end, struct blob *out,
               struct error *error);
/* Reads the whole text and compares every hash; ERROR_INCOMPATIBLE says which piece. */
bool text_verify(struct store *store, int64_t id, struct error *error);

/* 1 + the number of '\n' before `offset`, which is inside the text or 0. */
bool text_line_at(struct store *store, int64_t id, uint64_t offset, uint64_t *line,
                  struct error *error);
/* Where the line begins, and ends without its '\n'. ERROR_NOT_FOUND past the last line. */
bool text_line(struct store *store, int64_t id, uint64_t line, uint64_t *begin, uint64_t *end,
               struct error *error);
