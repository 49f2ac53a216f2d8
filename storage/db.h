/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside storage/ only: the SQLite connection under a store, its settings, its transactions and
 * the one place where SQLite's result codes become sentences for a person.
 */
#pragma once

#include <sqlite3.h>

#include "storage/lock.h"
#include "storage/search.h"
#include "storage/store.h"

enum { DB_BUSY_MS = 5000 };

struct store {
    sqlite3 *db;
    char *path;
    struct lock lock; /* held when `writing` */
    bool writing;
    bool wal;
    bool marked;          /* this connection has committed something, first of all that it writes */
    bool spoiled;         /* part of the transaction could not be undone alone: all of it must be */
    unsigned depth;       /* of nested transactions */
    bool (*stop)(void *); /* NULL: never */
    void *stop_context;
    struct store_words words; /* put NULL: storage's own */
    char words_name[64];
};

/* Opens the existing file store->path; `flags` as for sqlite3_open_v2. */
bool db_open(struct store *store, int flags, struct error *error);
void db_close(struct store *store);

/* Puts into words the error that the connection just returned, with the errno that it left behind;
 * returns false. */
bool db_error(struct store *store, int code, int cause, struct error *error);

/* Whether the caller wants what is running to end; it then fails with db_stopped's error. */
bool db_stop_wanted(const struct store *store);
bool db_stopped(struct error *error);

/* Constant SQL that binds nothing and returns nothing. */
bool db_run(struct store *store, const char *sql, struct error *error);
/* First column of the first row of constant SQL; 0 when there is none. */
bool db_integer(struct store *store, const char *sql, int64_t *value, struct error *error);

/* A consistent view over several reads; inside a transaction it does nothing. */
bool db_read_begin(struct store *store, struct error *error);
void db_read_end(struct store *store);

/* Write-ahead log while a writer is there, one plain file at rest. */
bool db_enter_wal(struct store *store, struct error *error);
void db_leave_wal(struct store *store);

/* Reads the whole file for damage in its structure: quick_check or integrity_check. */
bool db_check(struct store *store, const char *pragma, struct error *error);
