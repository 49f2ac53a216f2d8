/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside storage/ only: one prepared statement. Every value is bound, none is ever put into the
 * text of the SQL. A failure sticks and is told by statement_end, so that a caller prepares, binds
 * and steps without looking in between:
 *
 *     struct statement s = statement_of(store, "SELECT id FROM document WHERE path = ?1");
 *     statement_blob(&s, 1, path);
 *     while (statement_next(&s)) { id = statement_integer(&s, 0); }
 *     return statement_end(&s, error);
 */
#pragma once

#include "storage/db.h"

struct statement {
    struct store *store;
    sqlite3_stmt *handle;
    int code;  /* of the first failure, else SQLITE_OK */
    int cause; /* errno after it */
};

struct statement statement_of(struct store *store, const char *sql);

/* Parameters count from 1. Blobs and texts are not copied: they live until the next step. */
void statement_bind_integer(struct statement *s, int index, int64_t value);
void statement_bind_blob(struct statement *s, int index, struct blob value);
void statement_bind_text(struct statement *s, int index, struct blob value);
void statement_bind_hash(struct statement *s, int index, const uint8_t *hash);

/* True when there is a row. After the last one, or a failure, false; the statement may then be
 * bound and stepped again, which is how many rows are written with one statement. */
bool statement_next(struct statement *s);

/* Columns of the present row, counted from 0. Borrowed until the next step. */
int64_t statement_integer(struct statement *s, int column);
double statement_real(struct statement *s, int column);
struct blob statement_blob(struct statement *s, int column);
/* An owned copy with a NUL behind it, also when it is empty; NULL data for NULL. On failure the
 * statement fails and `copy` is empty. */
void statement_copy(struct statement *s, int column, struct blob *copy);
/* False, and the statement fails as damaged, unless the column holds exactly `size` bytes. */
bool statement_fixed(struct statement *s, int column, void *out, size_t size);

/* Frees the statement. Returns false and tells the first failure if there was one. */
bool statement_end(struct statement *s, struct error *error);
/* next and end, for a statement without rows. */
bool statement_run(struct statement *s, struct error *error);
