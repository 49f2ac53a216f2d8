/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a session in this order: what kind of file it is, the writer's lock, the connection, the
 * schema, the check after a writer that was cut off. Closing in the reverse order.
 */
#include "storage/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/db.h"
#include "storage/schema.h"
#include "storage/statement.h"

struct blob blob_of(const char *text) {
    return text ? (struct blob){text, strlen(text)} : (struct blob){0};
}

void blob_free(struct blob *blob) {
    free((char *)blob->data);
    *blob = (struct blob){0};
}

const char *store_path(const struct store *store) {
    return store->path;
}

const char *store_journal(const struct store *store) {
    return store->wal ? "wal" : "delete";
}

void store_interrupt(struct store *store) {
    sqlite3_interrupt(store->db);
}

void store_use_stop(struct store *store, bool (*stop)(void *), void *stop_context) {
    store->stop = stop;
    store->stop_context = stop_context;
}

void store_library(char *text, size_t size) {
    enum { FIRST_SOUND = 3051003 };
    snprintf(text, size, "SQLite %s: %s", sqlite3_libversion(),
             sqlite3_libversion_number() >= FIRST_SOUND
                 ? "no known fault that matters here"
                 : "may hold the WAL-reset fault (3.7.0 to 3.51.2), which one writer per session, "
                   "as here, never meets");
}

static bool out_of_memory(struct error *error) {
    return error_set(error, ERROR_NO_SPACE, "out of memory");
}

/* SQLite would read "file:x" as an address and ":memory:" as no file at all. */
static char *plain_path(const char *path) {
    const char *here = path[0] == '/' ? "" : "./";
    size_t size = strlen(here) + strlen(path) + 1;
    char *plain = malloc(size);
    if (plain) {
        snprintf(plain, size, "%s%s", here, path);
    }
    return plain;
}

/* A session under two names would have two locks and two logs. */
static bool look_at_file(const char *path, bool *exists, struct error *error) {
    struct stat st;
    *exists = false;
    if (lstat(path, &st) != 0) {
        return errno == ENOENT ||
               error_set(error, ERROR_FAILURE, "cannot open '%s': %s", path, strerror(errno));
    }
    *exists = true;
    if (!S_ISREG(st.st_mode)) {
        return error_set(error, ERROR_FAILURE, "'%s' is %s, not a session file", path,
                         S_ISLNK(st.st_mode)   ? "a symbolic link"
                         : S_ISDIR(st.st_mode) ? "a folder"
                                               : "a device, FIFO or socket");
    }
    if (st.st_nlink > 1) {
        return error_set(error, ERROR_FAILURE,
                         "'%s' has %llu names (hard links); a session must have one", path,
                         (unsigned long long)st.st_nlink);
    }
    return true;
}

/* An empty file, which SQLite takes for an empty database; private whatever the umask. */
static bool make_file(const char *path, struct error *error) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        enum error_code code = errno == ENOSPC || errno == EDQUOT ? ERROR_NO_SPACE
                               : errno == ENOENT                  ? ERROR_NOT_FOUND
                                                                  : ERROR_FAILURE;
        return error_set(error, code, "cannot make '%s': %s", path, strerror(errno));
    }
    close(fd);
    return true;
}

static bool prepare_writer(struct store *store, bool create, struct error *error) {
    if (sqlite3_db_readonly(store->db, "main") == 1) {
        return error_set(error, ERROR_FAILURE, "'%s' is read-only: it can be asked, not changed",
                         store->path);
    }
    int version;
    int newest = schema_migrations[schema_migrations_count - 1].version;
    if (!schema_version(store, newest, &version, error)) {
        return false;
    }
    if (version == 0 && !create) {
        return error_set(error, ERROR_NOT_FOUND, "'%s' is empty: no session yet", store->path);
    }
    return (version > 0 || db_run(store, "PRAGMA page_size = 8192", error)) &&
           db_enter_wal(store, error) &&
           schema_upgrade(store, schema_migrations, schema_migrations_count, error);
}

static bool prepare_reader(struct store *store, struct error *error) {
    int version;
    int newest = schema_migrations[schema_migrations_count - 1].version;
    if (!schema_version(store, newest, &version, error)) {
        return false;
    }
    if (version == 0) {
        return error_set(error, ERROR_NOT_FOUND, "'%s' is empty: no session yet", store->path);
    }
    if (version < newest) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "'%s' has schema version %d, this AllMem reads version %d: any command "
                         "that writes to the session brings it there",
                         store->path, version, newest);
    }
    struct statement s = statement_of(store, "PRAGMA journal_mode");
    if (statement_next(&s)) {
        struct blob mode = statement_blob(&s, 0);
        store->wal = mode.size == 3 && memcmp(mode.data, "wal", 3) == 0;
    }
    return statement_end(&s, error);
}

/* A writer that was killed while it entered or left the log has left a rollback journal behind,
 * which a connection that only reads may not apply. Where it cannot be applied, a living writer has
 * it or nothing may be written here; the reader then finds out by itself. */
static void apply_journal(char *path) {
    struct store writer = {.lock = LOCK_FREE, .path = path};
    char *journal;
    struct stat st;
    int64_t version;
    if (asprintf(&journal, "%s-journal", path) < 0) {
        return;
    }
    if (lstat(journal, &st) == 0 && st.st_size > 0 && lock_take(&writer.lock, path, 0, NULL)) {
        if (db_open(&writer, SQLITE_OPEN_READWRITE, NULL)) {
            db_integer(&writer, "PRAGMA user_version", &version, NULL);
        }
        db_close(&writer);
        lock_release(&writer.lock);
    }
    free(journal);
}

struct store *store_open(const char *path, const struct store_options *options,
                         struct error *error) {
    struct store *store = calloc(1, sizeof *store);
    if (!store) {
        out_of_memory(error);
        return NULL;
    }
    store->lock = LOCK_FREE;
    store->path = plain_path(path);
    bool writes = options->mode != STORE_READ, creates = options->mode == STORE_CREATE;
    bool exists;
    int64_t clean;
    if (!store->path) {
        out_of_memory(error);
        goto failed;
    }
    if (!look_at_file(store->path, &exists, error)) {
        goto failed;
    }
    if (!exists && !creates) {
        error_set(error, ERROR_NOT_FOUND, "no session file '%s'", store->path);
        goto failed;
    }
    if (writes) {
        if (!lock_take(&store->lock, store->path, options->wait_ms, error)) {
            goto failed;
        }
        /* Another process may have made it while this one waited. */
        if (!look_at_file(store->path, &exists, error) ||
            (!exists && !make_file(store->path, error))) {
            goto failed;
        }
    }
    if (!writes) {
        apply_journal(store->path);
    }
    if (!db_open(store, writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, error)) {
        goto failed;
    }
    if (!(writes ? prepare_writer(store, creates, error) : prepare_reader(store, error)) ||
        !db_integer(store, "SELECT clean FROM session", &clean, error)) {
        goto failed;
    }
    store->writing = writes;
    if (writes && clean != 1) {
        if (!options->skip_check && !db_check(store, "PRAGMA quick_check(1)", error)) {
            store->writing = false; /* so that closing does not call it clean */
            goto failed;
        }
    }
    return store;

failed:
    store_close(store);
    return NULL;
}

void store_close(struct store *store) {
    if (!store) {
        return;
    }
    if (store->db) {
        while (store->depth > 0) {
            store_end(store, false, NULL);
        }
        if (store->writing) {
            db_run(store, "UPDATE session SET clean = 1 WHERE clean <> 1", NULL);
        }
        db_leave_wal(store);
        db_close(store);
    }
    lock_release(&store->lock);
    free(store->path);
    free(store);
}
