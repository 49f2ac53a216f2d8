/* SPDX-License-Identifier: Apache-2.0
 *
 * A session's file: opening it, closing it, and grouping writes. What it holds is reached through
 * session.h, documents.h, passages.h, transcript.h and snapshots.h; whole files are handled by
 * files.h. README.md has the schema and the promises.
 *
 * Any number of processes may read a session while at most one writes it. A `struct store` is used
 * by one thread at a time and never across fork; a second thread opens its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"

struct store;

/* Counted bytes from outside: may hold NUL, newlines and invalid UTF-8. In a row that storage hands
 * out they are owned by the row and followed by one uncounted NUL; in an argument they are only
 * looked at. */
struct blob {
    const char *data;
    size_t size;
};

struct blob blob_of(const char *text); /* the bytes of a C string, or none for NULL; not a copy */
void blob_free(struct blob *blob);     /* frees an owned one and leaves it empty */

enum store_mode {
    STORE_READ,   /* the file must exist; writing functions fail */
    STORE_WRITE,  /* the file must exist; takes the writer's lock */
    STORE_CREATE, /* like STORE_WRITE, and makes the file when it is missing or empty */
};

struct store_options {
    enum store_mode mode;
    unsigned wait_ms; /* how long to wait for another writer to finish; 0: fail at once */
    bool skip_check;  /* no quick check of the whole file after a writer that did not close it */
};

/* NULL on failure. Errors: ERROR_NOT_FOUND (no such file), ERROR_INCOMPATIBLE (damaged, not a
 * session, or written by a newer AllMem), ERROR_NO_SPACE, ERROR_FAILURE (in use by process N,
 * read-only, a link or a folder). */
struct store *store_open(const char *path, const struct store_options *options,
                         struct error *error);
/* What was committed is already safe; this undoes an open transaction, folds the log into the file
 * so that it is again one plain file, and lets go of the lock. Accepts NULL. */
void store_close(struct store *store);

const char *store_path(const struct store *store);
/* "wal" or "delete": README.md says when which is used. */
const char *store_journal(const struct store *store);

/* Every writing function is a transaction of its own. Between begin and end several of them become
 * one: far faster for many small documents, and all or nothing. Calls nest. Keep no transaction
 * open across a model call. After a failure inside, end it with `ok` false. */
bool store_begin(struct store *store, struct error *error);
/* Commits if `ok`, else undoes; returns whether the work is now kept. */
bool store_end(struct store *store, bool ok, struct error *error);

/* What takes long in storing and replacing documents asks `stop` every few milliseconds (NULL: no
 * longer); when it says true the call fails with ERROR_INTERRUPTED and nothing of it is kept. */
void store_use_stop(struct store *store, bool (*stop)(void *), void *stop_context);
/* Makes the call that is running on another thread fail with ERROR_INTERRUPTED. */
void store_interrupt(struct store *store);

/* The library's version, and what its known faults mean here, for `allmem doctor`. */
void store_library(char *text, size_t size);
