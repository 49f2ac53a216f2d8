/* SPDX-License-Identifier: Apache-2.0
 *
 * Prepared statements with a sticky failure.
 */
#include "storage/statement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/hash.h"

static void note(struct statement *s, int code) {
    if (s->code == SQLITE_OK) {
        s->code = code;
        s->cause = code == SQLITE_OK ? 0 : errno;
    }
}

struct statement statement_of(struct store *store, const char *sql) {
    struct statement s = {.store = store};
    note(&s, sqlite3_prepare_v2(store->db, sql, -1, &s.handle, NULL));
    return s;
}

void statement_bind_integer(struct statement *s, int index, int64_t value) {
    if (s->code == SQLITE_OK) {
        note(s, sqlite3_bind_int64(s->handle, index, value));
    }
}

void statement_bind_blob(struct statement *s, int index, struct blob value) {
    if (s->code == SQLITE_OK) {
        const void *data = value.data ? value.data : ""; /* a NULL pointer would bind NULL */
        note(s, sqlite3_bind_blob64(s->handle, index, data, value.size, SQLITE_STATIC));
    }
}

void statement_bind_text(struct statement *s, int index, struct blob value) {
    if (s->code == SQLITE_OK) {
        const char *data = value.data ? value.data : "";
        note(s,
             sqlite3_bind_text64(s->handle, index, data, value.size, SQLITE_STATIC, SQLITE_UTF8));
    }
}

void statement_bind_hash(struct statement *s, int index, const uint8_t *hash) {
    statement_bind_blob(s, index, (struct blob){(const char *)hash, HASH_BYTES});
}

bool statement_next(struct statement *s) {
    if (s->code != SQLITE_OK) {
        return false;
    }
    errno = 0;
    int code = sqlite3_step(s->handle);
    if (code == SQLITE_ROW) {
        return true;
    }
    if (code != SQLITE_DONE) {
        note(s, code);
        return false;
    }
    note(s, sqlite3_reset(s->handle));
    return false;
}

int64_t statement_integer(struct statement *s, int column) {
    return sqlite3_column_int64(s->handle, column);
}

double statement_real(struct statement *s, int column) {
    return sqlite3_column_double(s->handle, column);
}

struct blob statement_blob(struct statement *s, int column) {
    if (sqlite3_column_type(s->handle, column) == SQLITE_NULL) {
        return (struct blob){0};
    }
    const char *data = sqlite3_column_blob(s->handle, column);
    int size = sqlite3_column_bytes(s->handle, column);
    if (!data) {
        if (sqlite3_errcode(s->store->db) == SQLITE_NOMEM) {
            note(s, SQLITE_NOMEM);
        }
        return (struct blob){"", 0};
    }
    return (struct blob){data, (size_t)size};
}

void statement_copy(struct statement *s, int column, struct blob *copy) {
    struct blob value = statement_blob(s, column);
    *copy = (struct blob){0};
    if (!value.data || s->code != SQLITE_OK) {
        return;
    }
    char *data = malloc(value.size + 1);
    if (!data) {
        note(s, SQLITE_NOMEM);
        return;
    }
    memcpy(data, value.data, value.size);
    data[value.size] = '\0';
    *copy = (struct blob){data, value.size};
}

bool statement_fixed(struct statement *s, int column, void *out, size_t size) {
    struct blob value = statement_blob(s, column);
    if (s->code == SQLITE_OK && value.size != size) {
        note(s, SQLITE_CORRUPT);
    }
    if (s->code != SQLITE_OK) {
        memset(out, 0, size);
        return false;
    }
    memcpy(out, value.data, size);
    return true;
}

bool statement_end(struct statement *s, struct error *error) {
    bool ok = s->code == SQLITE_OK;
    if (!ok) {
        db_error(s->store, s->code, s->cause, error);
    }
    sqlite3_finalize(s->handle);
    s->handle = NULL;
    return ok;
}

bool statement_run(struct statement *s, struct error *error) {
    while (statement_next(s)) {
    }
    return statement_end(s, error);
}
