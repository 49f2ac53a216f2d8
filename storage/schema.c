/* SPDX-License-Identifier: Apache-2.0
 *
 * Migrations. To change the schema append {version, sql}: see README.md. A released entry is never
 * edited. BLOB columns hold bytes from outside, TEXT columns our own words.
 */
#include "storage/schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/files.h"
#include "storage/statement.h"

const struct migration schema_migrations[] = {
    {1,
     /* One row. clean: 0 from a writer's first commit until it closes the file in good order.
      * words: the rule that made the index, empty for storage's own. */
     "CREATE TABLE session(id INTEGER PRIMARY KEY CHECK(id = 1), clean INTEGER NOT NULL,"
     " created INTEGER NOT NULL, title BLOB NOT NULL, model BLOB NOT NULL,"
     " model_print BLOB NOT NULL, adapter BLOB NOT NULL, adapter_print BLOB NOT NULL,"
     " spec INTEGER NOT NULL, words BLOB NOT NULL) STRICT;"
     "INSERT INTO session VALUES(1, 1, 0, x'', x'', x'', x'', x'', 0, x'');"
     "CREATE TABLE setting(name BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;"

     /* A text is stored once, however many documents have it, in pieces of 64 KiB (the last is
      * shorter) so that a page of a large book is read without the rest. newlines: how many come
      * before the piece. label: the path that was indexed with its passages. */
     "CREATE TABLE text(id INTEGER PRIMARY KEY AUTOINCREMENT, hash BLOB NOT NULL UNIQUE,"
     " size INTEGER NOT NULL, label BLOB NOT NULL) STRICT;"
     "CREATE TABLE piece(id INTEGER PRIMARY KEY, text INTEGER NOT NULL REFERENCES text,"
     " number INTEGER NOT NULL, newlines INTEGER NOT NULL, hash BLOB NOT NULL,"
     " body BLOB NOT NULL, UNIQUE(text, number)) STRICT;"

     /* A row is one version of one source and stays for good, so that what cites it stays clear;
      * text is NULL once the source was replaced or removed. first_position: where in the
      * session's timeline, in tokens, reading it began; -1: not yet. */
     "CREATE TABLE document(id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB NOT NULL,"
     " kind BLOB NOT NULL, state INTEGER NOT NULL, text INTEGER REFERENCES text,"
     " hash BLOB NOT NULL, size INTEGER NOT NULL, tokens INTEGER NOT NULL,"
     " first_position INTEGER NOT NULL, mtime INTEGER NOT NULL, source_size INTEGER NOT NULL,"
     " source_hash BLOB NOT NULL) STRICT;"
     "CREATE INDEX document_path ON document(path);"
     "CREATE INDEX document_text ON document(text);"
     "CREATE TABLE page(document INTEGER NOT NULL REFERENCES document, number INTEGER NOT NULL,"
     " begin INTEGER NOT NULL, PRIMARY KEY(document, number)) STRICT, WITHOUT ROWID;"
     "CREATE TABLE section(document INTEGER NOT NULL REFERENCES document,"
     " number INTEGER NOT NULL, begin INTEGER NOT NULL, level INTEGER NOT NULL,"
     " title BLOB NOT NULL, PRIMARY KEY(document, number)) STRICT, WITHOUT ROWID;"
     "CREATE TABLE skip(id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE,"
     " reason BLOB NOT NULL) STRICT;"

     /* The index keeps no copy of the text; a row's id is its passage's. words: those of the text
      * by the session's rule; names: those of the text's label and of the heading. */
     "CREATE TABLE passage(id INTEGER PRIMARY KEY AUTOINCREMENT,"
     " text INTEGER NOT NULL REFERENCES text, begin INTEGER NOT NULL, end INTEGER NOT NULL,"
     " first_line INTEGER NOT NULL, last_line INTEGER NOT NULL, heading BLOB NOT NULL) STRICT;"
     "CREATE INDEX passage_text ON passage(text, begin);"
     "CREATE VIRTUAL TABLE passage_index USING fts5(words, names, content='',"
     " tokenize='porter unicode61 remove_diacritics 2');"

     "CREATE TABLE turn(id INTEGER PRIMARY KEY AUTOINCREMENT, role BLOB NOT NULL,"
     " body BLOB NOT NULL, hash BLOB NOT NULL, time INTEGER NOT NULL,"
     " prefill_tokens INTEGER NOT NULL, complete INTEGER NOT NULL) STRICT;"
     "CREATE TABLE citation(turn INTEGER NOT NULL REFERENCES turn, number INTEGER NOT NULL,"
     " document INTEGER NOT NULL REFERENCES document, begin INTEGER NOT NULL,"
     " end INTEGER NOT NULL, first_line INTEGER NOT NULL, last_line INTEGER NOT NULL,"
     " page INTEGER NOT NULL, PRIMARY KEY(turn, number)) STRICT, WITHOUT ROWID;"

     /* digest: over the row and the list of its parts (snapshots.c), so that a snapshot is whole
      * or refused. document, byte: where reading stood. Equal payloads are stored once. */
     "CREATE TABLE snapshot(generation INTEGER PRIMARY KEY AUTOINCREMENT,"
     " position INTEGER NOT NULL, document INTEGER NOT NULL, byte INTEGER NOT NULL,"
     " mark BLOB, time INTEGER NOT NULL, model BLOB NOT NULL, model_print BLOB NOT NULL,"
     " adapter BLOB NOT NULL, adapter_print BLOB NOT NULL, spec INTEGER NOT NULL,"
     " digest BLOB NOT NULL) STRICT;"
     "CREATE TABLE payload(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE,"
     " size INTEGER NOT NULL, body BLOB NOT NULL) STRICT;"
     "CREATE TABLE part(generation INTEGER NOT NULL REFERENCES snapshot,"
     " number INTEGER NOT NULL, name BLOB NOT NULL, layer INTEGER NOT NULL,"
     " payload INTEGER NOT NULL REFERENCES payload, PRIMARY KEY(generation, number))"
     " STRICT, WITHOUT ROWID;"
     "CREATE INDEX part_payload ON part(payload);"},
};
const size_t schema_migrations_count = sizeof schema_migrations / sizeof *schema_migrations;

bool schema_version(struct store *store, int newest, int *version, struct error *error) {
    int64_t application, found, tables;
    *version = 0;
    if (!db_integer(store, "PRAGMA application_id", &application, error) ||
        !db_integer(store, "PRAGMA user_version", &found, error) ||
        !db_integer(store, "SELECT count(*) FROM sqlite_schema", &tables, error)) {
        return false;
    }
    if (application == 0 && found == 0 && tables == 0) {
        return true;
    }
    if (application != SCHEMA_APPLICATION) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "'%s' is a SQLite file but no AllMem session (application id %lld, "
                         "expected %d)",
                         store->path, (long long)application, SCHEMA_APPLICATION);
    }
    if (found > newest) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "'%s' has schema version %lld, written by a newer AllMem; this one knows "
                         "versions up to %d",
                         store->path, (long long)found, newest);
    }
    if (found < 1 || tables == 0) {
        return error_set(error, ERROR_INCOMPATIBLE, "'%s' is damaged (schema version %lld)",
                         store->path, (long long)found);
    }
    *version = (int)found;
    return true;
}

static bool run_step(struct store *store, const struct migration *step, struct error *error) {
    const char *sql = step->sql;
    while (*sql) {
        sqlite3_stmt *handle = NULL;
        int code = sqlite3_prepare_v2(store->db, sql, -1, &handle, &sql);
        while (code == SQLITE_OK && handle && (code = sqlite3_step(handle)) == SQLITE_ROW) {
            code = SQLITE_OK;
        }
        if (code != SQLITE_OK && code != SQLITE_DONE) {
            db_error(store, code, errno, error);
            sqlite3_finalize(handle);
            return false;
        }
        sqlite3_finalize(handle);
    }
    /* A pragma takes no bound values; these two are numbers of our own. */
    char numbers[100];
    snprintf(numbers, sizeof numbers, "PRAGMA user_version = %d", step->version);
    if (!db_run(store, numbers, error)) {
        return false;
    }
    snprintf(numbers, sizeof numbers, "PRAGMA application_id = %d", SCHEMA_APPLICATION);
    return db_run(store, numbers, error);
}

static bool save_backup(struct store *store, int version, struct error *error) {
    size_t size = strlen(store->path) + 32;
    char *path = malloc(size);
    if (!path) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    snprintf(path, size, "%s.backup-v%d", store->path, version);
    bool ok = store_copy(store, path, true, error) || error_prefix(error, "saving a backup");
    free(path);
    return ok;
}

bool schema_upgrade(struct store *store, const struct migration *list, size_t count,
                    struct error *error) {
    int version, newest = list[count - 1].version;
    if (!schema_version(store, newest, &version, error)) {
        return false;
    }
    if (version > 0 && version < newest && !save_backup(store, version, error)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (list[i].version <= version) {
            continue;
        }
        if (!db_run(store, "BEGIN IMMEDIATE", error)) {
            return false;
        }
        if (!run_step(store, &list[i], error) || !db_run(store, "COMMIT", error)) {
            if (!sqlite3_get_autocommit(store->db)) {
                db_run(store, "ROLLBACK", NULL);
            }
            return error_prefix(error, "changing the schema from version %d to %d",
                                list[i].version - 1, list[i].version);
        }
    }
    return true;
}

/* SHA-256 or the like is not needed: both lists are at hand, so they are compared row by row. */
bool schema_is_ours(struct store *store, struct error *error) {
    static const char sql[] = "SELECT type, name, tbl_name, sql FROM sqlite_schema"
                              " WHERE name <> 'sqlite_sequence' ORDER BY type, name";
    char memory[] = ":memory:";
    struct store fresh = {.path = memory, .lock = LOCK_FREE};
    bool ok = db_open(&fresh, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, error) &&
              schema_upgrade(&fresh, schema_migrations, schema_migrations_count, error);
    if (ok) {
        struct statement ours = statement_of(&fresh, sql), theirs = statement_of(store, sql);
        bool same = true;
        for (bool more = true; same && more;) {
            more = statement_next(&ours);
            same = statement_next(&theirs) == more;
            for (int column = 0; same && more && column < 4; column++) {
                struct blob a = statement_blob(&ours, column), b = statement_blob(&theirs, column);
                same = a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
            }
        }
        ok = statement_end(&ours, error);
        ok = statement_end(&theirs, ok ? error : NULL) && ok;
        if (ok && !same) {
            ok = error_set(error, ERROR_INCOMPATIBLE,
                           "'%s' does not have the tables of an AllMem session", store->path);
        }
    }
    db_close(&fresh);
    return ok;
}
