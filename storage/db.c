/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite connection: settings, errors in words, transactions, the journal.
 */
#include "storage/db.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "storage/statement.h"

/* Kept small after a large memory went through it; the log is folded in at every 1000 pages. */
#define LOG_SIZE_LIMIT "67108864"

static bool is_lack_of_space(int cause) {
    return cause == ENOSPC || cause == EDQUOT || cause == EFBIG;
}

static bool no_space(const struct store *store, struct error *error) {
    struct statvfs fs;
    if (statvfs(store->path, &fs) == 0) {
        return error_set(error, ERROR_NO_SPACE,
                         "'%s': no space left on the disk or over a limit on file size (%llu bytes "
                         "free); nothing of this step was kept, everything before it was",
                         store->path, (unsigned long long)fs.f_bavail * fs.f_frsize);
    }
    return error_set(error, ERROR_NO_SPACE, "'%s': no space left on the disk", store->path);
}

bool db_error(struct store *store, int code, int cause, struct error *error) {
    const char *path = store->path;
    const char *text = store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(code);
    /* SQLite notes errno for most failures, but not for a commit's, and keeps the last one noted.
     */
    int noted = store->db ? sqlite3_system_errno(store->db) : 0;
    cause = is_lack_of_space(cause) || noted == 0 ? cause : noted;
    switch (code & 0xff) {
    case SQLITE_FULL:
        return no_space(store, error);
    case SQLITE_NOMEM:
        return error_set(error, ERROR_NO_SPACE, "'%s': out of memory", path);
    case SQLITE_TOOBIG:
        return error_set(error, ERROR_NO_SPACE, "'%s': a value is larger than SQLite can hold",
                         path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(error, ERROR_INCOMPATIBLE,
                         "'%s' is damaged or no session (%s): restore an exported copy", path,
                         text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(error, ERROR_FAILURE,
                         "'%s' is in use by another process for more than %d s", path,
                         DB_BUSY_MS / 1000);
    case SQLITE_READONLY:
        return error_set(error, ERROR_FAILURE, "'%s' is read-only (%s)", path, text);
    case SQLITE_CANTOPEN:
        return error_set(error, ERROR_FAILURE, "cannot open '%s': %s", path,
                         cause ? strerror(cause) : text);
    case SQLITE_INTERRUPT:
        return error_set(error, ERROR_INTERRUPTED, "'%s': interrupted", path);
    case SQLITE_IOERR:
        if (is_lack_of_space(cause)) {
            return no_space(store, error);
        }
        return error_set(error, ERROR_FAILURE, "'%s': reading or writing failed: %s", path,
                         cause ? strerror(cause) : text);
    default:
        return error_set(error, ERROR_FAILURE, "'%s': %s", path, text);
    }
}

bool db_run(struct store *store, const char *sql, struct error *error) {
    struct statement s = statement_of(store, sql);
    return statement_run(&s, error);
}

bool db_integer(struct store *store, const char *sql, int64_t *value, struct error *error) {
    *value = 0;
    struct statement s = statement_of(store, sql);
    if (statement_next(&s)) {
        *value = statement_integer(&s, 0);
    }
    return statement_end(&s, error);
}

bool db_open(struct store *store, int flags, struct error *error) {
    int code = sqlite3_open_v2(store->path, &store->db, flags | SQLITE_OPEN_FULLMUTEX, NULL);
    if (code != SQLITE_OK) {
        return db_error(store, code, errno, error);
    }
    sqlite3_extended_result_codes(store->db, 1);
    sqlite3_busy_timeout(store->db, DB_BUSY_MS);
    static const struct {
        int option, value;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 1},    {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0}, {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},        {SQLITE_DBCONFIG_DQS_DDL, 0},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        code = sqlite3_db_config(store->db, options[i].option, options[i].value, (int *)NULL);
        if (code != SQLITE_OK) {
            return db_error(store, code, errno, error);
        }
    }
    /* Only the writer may fold the log into the file: see README.md on the WAL-reset fault. */
    if (flags & SQLITE_OPEN_READONLY) {
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
    }
    return db_run(store, "PRAGMA cell_size_check = ON", error) &&
           db_run(store, "PRAGMA synchronous = FULL", error) &&
           db_run(store, "PRAGMA mmap_size = 0", error) &&
           db_run(store, "PRAGMA temp_store = MEMORY", error) &&
           db_run(store, "PRAGMA cache_size = -16384", error);
}

void db_close(struct store *store) {
    int code = sqlite3_close(store->db);
    assert(code == SQLITE_OK); /* else a statement of ours was not finalized */
    (void)code;
    store->db = NULL;
}

bool db_stop_wanted(const struct store *store) {
    return store->stop && store->stop(store->stop_context);
}

bool db_stopped(struct error *error) {
    return error_set(error, ERROR_INTERRUPTED, "stopped before the documents were stored");
}

/* The log needs memory shared between processes, which file systems over a network do not give. */
static bool is_network_folder(const char *path) {
    static const unsigned long magic[] = {
        0x6969,     /* NFS */
        0x517b,     /* SMB */
        0xfe534d42, /* SMB 2 */
        0xff534d42, /* CIFS */
        0x01021997, /* 9P */
        0x5346414f, /* AFS */
        0x73757245, /* Coda */
        0x65735546, /* FUSE: sshfs among others */
    };
    struct statfs fs;
    if (statfs(path, &fs) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++) {
        if (((unsigned long)fs.f_type & 0xffffffff) == magic[i]) {
            return true;
        }
    }
    return false;
}

bool db_enter_wal(struct store *store, struct error *error) {
    if (is_network_folder(store->path)) {
        return true;
    }
    struct statement s = statement_of(store, "PRAGMA journal_mode = WAL");
    if (statement_next(&s)) {
        struct blob mode = statement_blob(&s, 0);
        store->wal = mode.size == 3 && memcmp(mode.data, "wal", 3) == 0;
    }
    /* A reader in the middle of a long read keeps the old journal in force: slower, as safe. */
    if (s.code != SQLITE_OK && (s.code & 0xff) == SQLITE_BUSY) {
        s.code = SQLITE_OK;
    }
    return statement_end(&s, error) &&
           db_run(store, "PRAGMA journal_size_limit = " LOG_SIZE_LIMIT, error);
}

void db_leave_wal(struct store *store) {
    if (!store->wal) {
        return;
    }
    sqlite3_busy_timeout(store->db, 0);
    if (!db_run(store, "PRAGMA journal_mode = DELETE", NULL)) {
        /* A reader is there: the log stays beside the file, empty. */
        sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    }
}

/* A rollback can itself fail, for lack of memory; then it is done before the next transaction. */
static bool roll_back(struct store *store, struct error *error) {
    return sqlite3_get_autocommit(store->db) || db_run(store, "ROLLBACK", error);
}

bool db_read_begin(struct store *store, struct error *error) {
    if (store->depth == 0 && (!roll_back(store, error) || !db_run(store, "BEGIN", error))) {
        return false;
    }
    store->depth++;
    return true;
}

void db_read_end(struct store *store) {
    assert(store->depth > 0);
    if (--store->depth == 0) {
        roll_back(store, NULL); /* ends the view; there is nothing to undo */
    }
}

/* In a writer's first transaction. What was read after the newest snapshot went with the process
 * that read it: those documents are unread again. */
static bool begin_writing(struct store *store, struct error *error) {
    return store->marked ||
           (db_run(store, "UPDATE session SET clean = 0", error) &&
            db_run(store,
                   "UPDATE document SET first_position = -1 WHERE first_position >= coalesce("
                   "(SELECT position FROM snapshot ORDER BY generation DESC LIMIT 1), 0)",
                   error));
}

bool store_begin(struct store *store, struct error *error) {
    if (!store->writing) {
        return error_set(error, ERROR_FAILURE, "'%s' is open for reading only", store->path);
    }
    if (store->depth > 0) {
        if (sqlite3_get_autocommit(store->db)) {
            return error_set(error, ERROR_FAILURE,
                             "'%s': the transaction was undone by an earlier error", store->path);
        }
        if (!db_run(store, "SAVEPOINT nested", error)) {
            return false;
        }
        store->depth++;
        return true;
    }
    if (!roll_back(store, error) || !db_run(store, "BEGIN IMMEDIATE", error)) {
        return false;
    }
    store->depth = 1;
    return begin_writing(store, error) || store_end(store, false, NULL);
}

bool store_end(struct store *store, bool ok, struct error *error) {
    assert(store->depth > 0);
    /* On a full disk and the like SQLite undoes the whole transaction by itself. */
    bool alive = !sqlite3_get_autocommit(store->db);
    if (ok && (!alive || store->spoiled)) {
        ok = error_set(error, ERROR_FAILURE, "'%s': the transaction was undone by an earlier error",
                       store->path);
    }
    if (--store->depth > 0) {
        if (alive && !ok && !db_run(store, "ROLLBACK TO nested", NULL)) {
            store->spoiled = true;
        }
        if (alive && !db_run(store, "RELEASE nested", ok ? error : NULL)) {
            store->spoiled = true;
            ok = false;
        }
        return ok;
    }
    store->spoiled = false;
    if (ok && db_run(store, "COMMIT", error)) {
        store->marked = true;
        return true;
    }
    roll_back(store, NULL);
    return false;
}

bool db_check(struct store *store, const char *pragma, struct error *error) {
    struct statement s = statement_of(store, pragma);
    bool ok = true;
    if (statement_next(&s)) {
        struct blob said = statement_blob(&s, 0);
        if (said.size != 2 || memcmp(said.data, "ok", 2) != 0) {
            ok = error_set(error, ERROR_INCOMPATIBLE,
                           "'%s' is damaged (%.*s): restore an exported copy", store->path,
                           (int)(said.size < 400 ? said.size : 400), said.data);
        }
    }
    return statement_end(&s, ok ? error : NULL) && ok;
}
