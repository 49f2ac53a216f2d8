/* SPDX-License-Identifier: Apache-2.0
 *
 * storage/store.h, session.h and files.h: opening and what is refused, the settings of a
 * connection, the lock, readers beside a writer, whole files, migrations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

#include <cmocka.h>

#include "storage/documents.h"
#include "storage/files.h"
#include "storage/schema.h"
#include "storage/search.h"
#include "storage/session.h"
#include "storage/snapshots.h"
#include "storage/statement.h"
#include "storage/transcript.h"
#include "storage/verify.h"
#include "storage_temp.h"

static int64_t add(struct store *store, const char *path, const char *text) {
    struct error error;
    int64_t id;
    const struct store_source source = {
        .path = blob_of(path), .kind = blob_of("text"), .text = blob_of(text)};
    assert_ok(store_document_add(store, &source, &id, &error));
    return id;
}

static void write_file(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static bool exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

static void facts_and_settings_come_back(void **state) {
    (void)state;
    struct error error;
    const char *path = temp_path("file:facts?mode=memory.db");
    mode_t mask = umask(0);
    struct store *store = temp_open(path, STORE_CREATE);
    umask(mask);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    const struct store_maker maker = {
        blob_of("smol"), blob_of("aa"), blob_of("ad"), {"b\0b", 3}, 3};
    assert_ok(store_set_title(store, blob_of("Moby-Dick; or,\nThe Whale"), &error));
    assert_ok(store_set_maker(store, &maker, 1700000000, &error));
    assert_ok(store_setting_set_integer(store, "window", 4096, &error));
    assert_ok(store_setting_set_integer(store, "window", -1, &error));
    assert_ok(store_setting_set(store, "text", blob_of("12x"), &error));
    store_close(store);
    store = temp_open(path, STORE_READ);
    struct store_session session;
    assert_ok(store_session_get(store, &session, &error));
    assert_blob(session.title, "Moby-Dick; or,\nThe Whale", 24);
    assert_blob(session.maker.adapter_print, "b\0b", 3);
    assert_int_equal(session.maker.spec, 3);
    assert_int_equal(session.created, 1700000000);
    assert_int_equal(session.position, 0);
    int64_t value;
    assert_ok(store_setting_get_integer(store, "window", 7, &value, &error));
    assert_int_equal(value, -1);
    assert_ok(store_setting_get_integer(store, "'; --", 7, &value, &error));
    assert_int_equal(value, 7);
    assert_error(store_setting_get_integer(store, "text", 7, &value, &error), ERROR_INCOMPATIBLE,
                 "'12x'");
    assert_error(store_set_title(store, blob_of("x"), &error), ERROR_FAILURE, "reading only");

    struct store_maker other = session.maker;
    assert_ok(store_maker_matches(&session.maker, &maker, &error));
    other.model_print = blob_of("zz");
    other.model = blob_of("large");
    assert_error(store_maker_matches(&session.maker, &other, &error), ERROR_INCOMPATIBLE,
                 "model 'smol' (aa), now there is 'large' (zz)");
    other = session.maker;
    other.adapter = other.adapter_print = (struct blob){0};
    assert_error(store_maker_matches(&session.maker, &other, &error), ERROR_INCOMPATIBLE,
                 "adapter 'ad'");
    other = session.maker;
    other.spec = 4;
    assert_error(store_maker_matches(&session.maker, &other, &error), ERROR_INCOMPATIBLE,
                 "version 3");
    store_session_finish(&session);
    store_close(store);
}

static void a_connection_has_its_settings(void **state) {
    (void)state;
    struct error error;
    for (int mode = STORE_READ; mode <= STORE_CREATE; mode++) {
        store_close(temp_open(temp_path("settings.db"), STORE_CREATE));
        struct store *store = temp_open(temp_path("settings.db"), (enum store_mode)mode);
        static const struct {
            const char *pragma;
            int64_t value;
        } pragmas[] = {
            {"PRAGMA busy_timeout", 5000},
            {"PRAGMA foreign_keys", 1},
            {"PRAGMA synchronous", 2},
            {"PRAGMA trusted_schema", 0},
            {"PRAGMA cell_size_check", 1},
            {"PRAGMA mmap_size", 0},
            {"PRAGMA application_id", 0x416c4d6d},
            {"PRAGMA user_version", 1},
            {"PRAGMA page_size", 8192},
            {"PRAGMA secure_delete", 1},
        };
        for (size_t i = 0; i < sizeof pragmas / sizeof *pragmas; i++) {
            int64_t value;
            assert_ok(db_integer(store, pragmas[i].pragma, &value, &error));
            if (value != pragmas[i].value) {
                fail_msg("%s is %lld", pragmas[i].pragma, (long long)value);
            }
        }
        static const struct {
            int option, value;
        } options[] = {
            {SQLITE_DBCONFIG_DEFENSIVE, 1},
            {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
            {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
            {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        };
        for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
            int value = -1;
            sqlite3_db_config(store->db, options[i].option, -1, &value);
            assert_int_equal(value, options[i].value);
        }
        assert_string_equal(store_journal(store), mode == STORE_READ ? "delete" : "wal");
        store_close(store);
        /* At rest a session is one file. */
        assert_false(exists(temp_path("settings.db-wal")));
        assert_false(exists(temp_path("settings.db-shm")));
        assert_false(exists(temp_path("settings.db.lock")));
    }
    char text[200];
    store_library(text, sizeof text);
    assert_non_null(strstr(text, sqlite3_libversion()));
}

static void what_is_no_session_is_refused(void **state) {
    (void)state;
    struct error error;
    char noise[20000];
    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = (char)(i * i + 7);
    }
    write_file(temp_path("noise"), noise, sizeof noise);
    write_file(temp_path("short"), "SQLite format 3", 15);
    write_file(temp_path("empty"), "", 0);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(temp_path("foreign"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "CREATE TABLE x(y)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    store_close(temp_open(temp_path("newer"), STORE_CREATE));
    assert_int_equal(sqlite3_open(temp_path("newer"), &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    store_close(temp_open(temp_path("plain"), STORE_CREATE));
    assert_int_equal(symlink(temp_path("plain"), temp_path("symbolic")), 0);
    store_close(temp_open(temp_path("hard1"), STORE_CREATE));
    assert_int_equal(link(temp_path("hard1"), temp_path("hard2")), 0);
    assert_int_equal(mkdir(temp_path("folder"), 0700), 0);
    assert_int_equal(mkfifo(temp_path("fifo"), 0600), 0);
    static const struct {
        const char *name, *says;
        enum error_code code;
    } cases[] = {
        {"missing", "no session file", ERROR_NOT_FOUND},
        {"noise", "damaged or no session", ERROR_INCOMPATIBLE},
        {"short", "damaged or no session", ERROR_INCOMPATIBLE},
        {"empty", "is empty", ERROR_NOT_FOUND},
        {"foreign", "no AllMem session", ERROR_INCOMPATIBLE},
        {"newer", "version 99, written by a newer AllMem; this one knows versions up to 1",
         ERROR_INCOMPATIBLE},
        {"symbolic", "a symbolic link", ERROR_FAILURE},
        {"hard2", "has 2 names", ERROR_FAILURE},
        {"folder", "a folder", ERROR_FAILURE},
        {"fifo", "FIFO", ERROR_FAILURE},
        {"no/such/folder", "no session file", ERROR_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int mode = STORE_READ; mode <= STORE_WRITE; mode++) {
            assert_error(temp_try(temp_path(cases[i].name), (enum store_mode)mode, &error),
                         cases[i].code, cases[i].says);
        }
    }
    assert_error(temp_try("", STORE_CREATE, &error), ERROR_FAILURE, "folder");
    store_close(temp_open(temp_path("empty"), STORE_CREATE));
    store_close(temp_open(temp_path("empty"), STORE_READ));
}

/* Runs `body` in a child as a user who is not the owner of everything; 0 when it returned true. */
static int in_child(bool (*body)(void *), void *context, bool unprivileged) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (unprivileged && geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
            _exit(9);
        }
        _exit(body(context) ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static bool open_read_only(void *context) {
    struct error error = {0};
    const char *path = context;
    struct store *store = temp_try(path, STORE_WRITE, &error);
    if (store || error.code != ERROR_FAILURE) {
        return false;
    }
    store = temp_try(path, STORE_READ, &error);
    struct store_session session;
    bool ok = store && store_session_get(store, &session, &error) && session.documents == 1;
    store_close(store);
    return ok;
}

static void a_read_only_session_can_be_read(void **state) {
    (void)state;
    char path[PATH_MAX + 20], folder[PATH_MAX + 20];
    snprintf(folder, sizeof folder, "%s", temp_path("fixed"));
    assert_int_equal(mkdir(folder, 0755), 0);
    assert_int_equal(chmod(temp_folder, 0755), 0);
    snprintf(path, sizeof path, "%s", temp_path("fixed/x.db"));
    struct store *store = temp_open(path, STORE_CREATE);
    add(store, "a", "b");
    store_close(store);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(in_child(open_read_only, path, true), 0);
    assert_int_equal(chmod(folder, 0777), 0); /* the lock can be taken, the file not written */
    assert_int_equal(in_child(open_read_only, path, true), 0);
}

static bool second_writer_is_told(void *context) {
    struct error error = {0};
    char expected[100];
    snprintf(expected, sizeof expected, "in use by process %ld", (long)getppid());
    return !temp_try(context, STORE_WRITE, &error) && error.code == ERROR_FAILURE &&
           strstr(error.text, expected);
}

static bool reader_sees_two(void *context) {
    struct error error = {0};
    struct store *store = temp_try(context, STORE_READ, &error);
    struct store_session session;
    bool ok = store && store_session_get(store, &session, &error) && session.documents == 2;
    store_close(store);
    return ok;
}

static bool writer_dies(void *context) {
    struct store *store = temp_open(context, STORE_WRITE);
    add(store, "third", "committed");
    struct error error;
    assert_ok(store_begin(store, &error));
    add(store, "fourth", "not committed");
    _exit(0); /* nothing is closed */
}

static void one_writer_many_readers(void **state) {
    (void)state;
    struct error error;
    char path[PATH_MAX + 20];
    snprintf(path, sizeof path, "%s", temp_path("lock.db"));
    struct store *store = temp_open(path, STORE_CREATE);
    add(store, "one", "1");
    add(store, "two", "2");
    assert_int_equal(in_child(second_writer_is_told, path, false), 0);
    assert_error(temp_try(path, STORE_WRITE, &error), ERROR_FAILURE, "in use by process");
    /* In the middle of a write a reader sees the state before it and does not wait. */
    assert_ok(store_begin(store, &error));
    add(store, "three", "3");
    assert_int_equal(in_child(reader_sees_two, path, false), 0);
    assert_false(store_end(store, false, NULL));
    /* A reader that stays keeps the log, which does no harm. */
    struct store *reader = temp_open(path, STORE_READ);
    assert_string_equal(store_journal(reader), "wal");
    struct store_documents list;
    assert_ok(store_documents_list(reader, false, &list, &error));
    store_documents_finish(&list);
    store_close(store);
    store = temp_open(path, STORE_WRITE);
    store_close(store);
    assert_error(store_rename_file(path, temp_path("renamed.db"), &error), ERROR_FAILURE,
                 "being read");
    store_close(reader);
    assert_int_equal(in_child(writer_dies, path, false), 0);
    assert_true(exists(temp_path("lock.db.lock"))); /* left behind, and no hindrance */
    store = temp_open(path, STORE_WRITE);
    assert_ok(store_documents_list(store, false, &list, &error));
    assert_int_equal(list.count, 3);
    store_documents_finish(&list);
    store_close(store);
}

enum { WRITERS = 8, INSERTS = 200, ROUND = 25 };

static bool write_in_turns(void *context) {
    const char *path = context;
    const struct store_options options = {.mode = STORE_WRITE, .wait_ms = 60000};
    for (int done = 0; done < INSERTS; done += ROUND) {
        struct error error = {0};
        struct store *store = store_open(path, &options, &error);
        for (int i = 0; store && i < ROUND; i++) {
            char body[64];
            snprintf(body, sizeof body, "%ld:%d", (long)getpid(), done + i);
            if (!store_skip_add(store, blob_of(body), blob_of("x"), &error)) {
                break;
            }
        }
        store_close(store);
        if (error.code) {
            fprintf(stderr, "%s\n", error.text);
            return false;
        }
    }
    return true;
}

static void eight_writers_lose_nothing(void **state) {
    (void)state;
    struct error error;
    char path[PATH_MAX + 20];
    snprintf(path, sizeof path, "%s", temp_path("writers.db"));
    store_close(temp_open(path, STORE_CREATE));
    pid_t children[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            _exit(write_in_turns(path) ? 0 : 1);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    struct store *store = temp_open(path, STORE_READ);
    struct store_skips skips;
    assert_ok(store_skips_list(store, &skips, &error));
    assert_int_equal(skips.count, WRITERS * INSERTS);
    store_skips_finish(&skips);
    store_close(store);
}

static void make_session(const char *path) {
    struct error error;
    struct store *store = temp_open(path, STORE_CREATE);
    int64_t id = add(store, "book", "The quick brown fox.\nIt jumps.\n"), generation;
    assert_ok(store_document_begin_reading(store, id, 0, 9, &error));
    assert_ok(store_setting_set_integer(store, "window", 2048, &error));
    const struct store_part part = {blob_of("fast"), 0, "weights", 7};
    const struct store_snapshot snapshot = {.position = 9, .mark = blob_of("end")};
    assert_ok(store_snapshot_save(store, &snapshot, &part, 1, NULL, &generation, &error));
    store_close(store);
}

static void check_session(const char *path, const char *title) {
    struct error error;
    struct store *store = temp_open(path, STORE_WRITE);
    assert_ok(store_verify(store, NULL, NULL, &error));
    struct store_session session;
    assert_ok(store_session_get(store, &session, &error));
    assert_blob(session.title, title, strlen(title));
    assert_int_equal(session.position, 9);
    store_session_finish(&session);
    const struct blob term = blob_of("jump");
    const struct store_query query = {.terms = &term, .count = 1, .limit = 5};
    struct store_hits hits;
    assert_ok(store_search(store, &query, &hits, &error));
    assert_int_equal(hits.count, 1);
    struct blob text;
    assert_ok(store_document_read(store, hits.rows[0].document, hits.rows[0].span.begin,
                                  hits.rows[0].span.end, &text, &error));
    assert_blob(text, "The quick brown fox.\nIt jumps.", 30);
    blob_free(&text);
    store_hits_finish(&hits);
    store_close(store);
}

static void files_are_copied_renamed_and_removed(void **state) {
    (void)state;
    struct error error;
    char one[PATH_MAX + 20], two[PATH_MAX + 20], three[PATH_MAX + 20];
    snprintf(one, sizeof one, "%s", temp_path("one.db"));
    snprintf(two, sizeof two, "%s", temp_path("file:two; '--.db"));
    snprintf(three, sizeof three, "%s", temp_path("three.db"));
    make_session(one);
    struct store *store = temp_open(one, STORE_READ);
    assert_ok(store_copy(store, two, false, &error));
    assert_error(store_copy(store, two, false, &error), ERROR_FAILURE, "already exists");
    store_close(store);
    check_session(two, "");
    assert_ok(store_import(two, three, &error));
    assert_error(store_import(two, three, &error), ERROR_FAILURE, "already exists");
    check_session(three, "");
    assert_ok(store_remove_file(three, &error));
    assert_error(store_remove_file(three, &error), ERROR_NOT_FOUND, "three.db");
    store = temp_open(one, STORE_WRITE);
    assert_ok(store_fork(store, three, blob_of("A fork"), &error));
    assert_error(store_rename_file(one, temp_path("z"), &error), ERROR_FAILURE, "in use by");
    assert_error(store_remove_file(one, &error), ERROR_FAILURE, "in use by");
    store_close(store);
    check_session(one, "");
    check_session(three, "A fork");
    assert_error(store_rename_file(one, three, &error), ERROR_FAILURE, "exists");
    assert_ok(store_remove_file(two, &error));
    /* A log left over under the new name belongs to nobody. */
    char orphan[PATH_MAX + 40];
    snprintf(orphan, sizeof orphan, "%s-wal", two);
    write_file(orphan, "rubbish", 7);
    assert_ok(store_rename_file(one, two, &error));
    assert_false(exists(one));
    check_session(two, "");
    assert_ok(store_remove_file(two, &error));
    assert_ok(store_remove_file(three, &error));
    assert_error(store_remove_file(temp_folder, &error), ERROR_FAILURE, "not a session");
}

static void old_parts_are_removed(void **state) {
    (void)state;
    static const struct {
        const char *name;
        time_t age;
        bool stays;
    } cases[] = {
        {"a.db.part", 7200, false}, {"b.db.part", 60, true},  {"c.db", 7200, true},
        {"d.part", 7200, true},     {".db.part", 7200, true}, {".e.db.update", 7200, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct utimbuf times = {.modtime = time(NULL) - cases[i].age};
        write_file(temp_path(cases[i].name), "x", 1);
        assert_int_equal(utime(temp_path(cases[i].name), &times), 0);
    }
    store_tidy(temp_folder);
    store_tidy(temp_path("no folder"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(exists(temp_path(cases[i].name)), cases[i].stays);
        unlink(temp_path(cases[i].name));
    }
}

static void a_session_takes_the_place_of_another(void **state) {
    (void)state;
    struct error error;
    char one[PATH_MAX + 20], next[PATH_MAX + 20];
    snprintf(one, sizeof one, "%s", temp_path("place.db"));
    snprintf(next, sizeof next, "%s", temp_path(".place.update"));
    make_session(one);
    struct store *store = temp_open(one, STORE_WRITE);
    assert_ok(store_fork(store, next, blob_of("The next"), &error));
    /* A reader of the old one has its log in use. */
    assert_ok(store_set_title(store, blob_of("touched"), &error));
    struct store *reader = temp_open(one, STORE_READ);
    struct store_session session;
    assert_ok(store_session_get(reader, &session, &error));
    store_session_finish(&session);
    assert_error(store_replace(store, next, &error), ERROR_FAILURE, "being read");
    assert_true(exists(next));
    store_close(reader);
    check_session(one, "touched");
    /* A writer of the next one. */
    store = temp_open(next, STORE_WRITE);
    assert_error(store_replace(temp_open(one, STORE_WRITE), next, &error), ERROR_FAILURE, "in use");
    store_close(store);
    assert_ok(store_replace(temp_open(one, STORE_WRITE), next, &error));
    assert_false(exists(next));
    check_session(one, "The next");
    assert_error(store_replace(temp_open(one, STORE_WRITE), next, &error), ERROR_NOT_FOUND, "no");
    check_session(one, "The next");
    assert_ok(store_remove_file(one, &error));
}

static void a_foreign_table_is_not_imported(void **state) {
    (void)state;
    struct error error;
    static const struct {
        const char *sql, *says;
    } cases[] = {
        {"CREATE TRIGGER t AFTER INSERT ON turn BEGIN DELETE FROM document; END", "tables"},
        {"CREATE TABLE extra(x)", "tables"},
        {"CREATE VIEW v AS SELECT 1", "tables"},
        {"DROP INDEX document_path", "tables"},
        {"UPDATE piece SET body = CAST('The quick brown cat.' AS BLOB)", "text 1"},
        {"UPDATE piece SET newlines = 5", "text 1"},
        {"UPDATE text SET hash = zeroblob(32)", "text 1"},
        {"DELETE FROM piece", "text 1"},
        {"UPDATE snapshot SET position = 10", "generation 1"},
        {"DELETE FROM snapshot", "damaged"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char from[PATH_MAX + 20];
        snprintf(from, sizeof from, "%s", temp_path("from.db"));
        make_session(from);
        sqlite3 *db;
        assert_int_equal(sqlite3_open(from, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, cases[i].sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
        assert_error(store_import(from, temp_path("to.db"), &error), ERROR_INCOMPATIBLE,
                     cases[i].says);
        assert_false(exists(temp_path("to.db")));
        assert_false(exists(temp_path("to.db.part")));
        assert_ok(store_remove_file(from, &error));
    }
}

static void migrations_run_in_order_or_not_at_all(void **state) {
    (void)state;
    struct error error;
    static const struct migration steps[] = {
        {1, "CREATE TABLE a(x) STRICT;"},
        {1, "CREATE TABLE session(clean INTEGER) STRICT; INSERT INTO session VALUES(1);"
            "CREATE TABLE a(x INTEGER) STRICT; INSERT INTO a VALUES(41), (42);"},
        {2, "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1"},
        {3, "CREATE TABLE b(z INTEGER) STRICT; INSERT INTO b SELECT y FROM a; DROP TABLE nothing"},
        {3, "CREATE TABLE b(z INTEGER) STRICT; INSERT INTO b SELECT y FROM a;"},
    };
    char path[PATH_MAX + 20];
    snprintf(path, sizeof path, "%s", temp_path("steps.db"));
    write_file(path, "", 0);
    struct store store = {.path = path, .lock = LOCK_FREE};
    assert_ok(db_open(&store, SQLITE_OPEN_READWRITE, &error));
    int version;
    int64_t value;
    assert_error(schema_upgrade(&store, &steps[0], 1, &error), ERROR_FAILURE, "version 0 to 1");
    assert_ok(schema_version(&store, 3, &version, &error));
    assert_int_equal(version, 0);
    assert_ok(schema_upgrade(&store, &steps[1], 1, &error));
    assert_ok(schema_version(&store, 3, &version, &error));
    assert_int_equal(version, 1);
    assert_false(exists(temp_path("steps.db.backup-v1")));
    /* Step 2 stands, step 3 fails in its last statement and leaves nothing of itself. */
    const struct migration broken[] = {steps[1], steps[2], steps[3]};
    assert_error(schema_upgrade(&store, broken, 3, &error), ERROR_FAILURE, "version 2 to 3");
    assert_ok(schema_version(&store, 3, &version, &error));
    assert_int_equal(version, 2);
    assert_ok(
        db_integer(&store, "SELECT count(*) FROM sqlite_schema WHERE name = 'b'", &value, &error));
    assert_int_equal(value, 0);
    const struct migration sound[] = {steps[1], steps[2], steps[4]};
    assert_ok(schema_upgrade(&store, sound, 3, &error));
    assert_ok(db_integer(&store, "SELECT sum(z) FROM b", &value, &error));
    assert_int_equal(value, 42 + 43);
    assert_error(schema_upgrade(&store, sound, 2, &error), ERROR_INCOMPATIBLE, "version 3");
    db_close(&store);
    /* The backups are what there was before. */
    static const char *const backups[] = {"steps.db.backup-v1", "steps.db.backup-v2"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s", temp_path(backups[i]));
        assert_ok(db_open(&store, SQLITE_OPEN_READONLY, &error));
        assert_ok(schema_version(&store, 3, &version, &error));
        assert_int_equal(version, i + 1);
        assert_ok(db_integer(&store, "SELECT sum(x) FROM a", &value, &error));
        assert_int_equal(value, 83);
        db_close(&store);
    }
}

/* Builds the session of data/NAME. */
static void build_fixture(const char *name, const char *path) {
    char file[PATH_MAX];
    const char *folder = getenv("ALLMEM_TEST_DATA");
    assert_non_null(folder); /* set by meson */
    snprintf(file, sizeof file, "%s/%s", folder, name);
    static char sql[1 << 20];
    FILE *in = fopen(file, "rb");
    assert_non_null(in);
    sql[fread(sql, 1, sizeof sql - 1, in)] = '\0';
    fclose(in);
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", file, message);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static bool is_fast(void *context, const struct store_part *part, struct error *error) {
    (void)error;
    if (part->layer == 0) {
        assert_blob(part->name, "fast", 4);
        assert_memory_equal(part->data, "weights", part->size);
    }
    ++*(int *)context;
    return true;
}

/* Every schema that was ever released is opened, brought to the present one, and says the same. */
static void released_schemas_are_read(void **state) {
    (void)state;
    static const char *const names[] = {"session-v1.sql"};
    struct error error;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[PATH_MAX + 20];
        snprintf(path, sizeof path, "%s", temp_path(names[i]));
        build_fixture(names[i], path);
        struct store *store = temp_open(path, STORE_WRITE);
        assert_ok(schema_is_ours(store, &error));
        assert_ok(store_verify(store, NULL, NULL, &error));
        struct store_session session;
        assert_ok(store_session_get(store, &session, &error));
        assert_blob(session.title, "Fixture", 7);
        assert_int_equal(session.position, 12);
        assert_int_equal(session.skips, 1);
        store_session_finish(&session);
        const struct blob terms[] = {blob_of("jumping"), blob_of("read_file"), blob_of("book")};
        const struct store_query query = {.terms = terms, .count = 3, .all = true, .limit = 5};
        struct store_hits hits;
        assert_ok(store_search(store, &query, &hits, &error));
        assert_int_equal(hits.count, 1);
        store_hits_finish(&hits);
        struct store_turns turns;
        assert_ok(store_turns_list(store, 0, &turns, &error));
        struct blob quote;
        const struct store_citation *citation = turns.rows[0].citations;
        assert_int_equal(citation->place.page, 1);
        assert_ok(store_document_read(store, citation->document, citation->span.begin,
                                      citation->span.end, &quote, &error));
        assert_blob(quote, "The quick brown fox.", 20);
        blob_free(&quote);
        store_turns_finish(&turns);
        int parts = 0;
        assert_ok(store_snapshot_read(store, 1, is_fast, &parts, NULL, &error));
        assert_int_equal(parts, 2);
        /* The index takes back what it was given by then. */
        assert_ok(store_document_remove(store, 1, &error));
        assert_ok(store_verify(store, NULL, NULL, &error));
        assert_ok(store_search(store, &query, &hits, &error));
        assert_int_equal(hits.count + hits.frequency[0], 0);
        store_hits_finish(&hits);
        store_close(store);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_and_settings_come_back),
        cmocka_unit_test(a_connection_has_its_settings),
        cmocka_unit_test(what_is_no_session_is_refused),
        cmocka_unit_test(a_read_only_session_can_be_read),
        cmocka_unit_test(one_writer_many_readers),
        cmocka_unit_test(eight_writers_lose_nothing),
        cmocka_unit_test(files_are_copied_renamed_and_removed),
        cmocka_unit_test(old_parts_are_removed),
        cmocka_unit_test(a_session_takes_the_place_of_another),
        cmocka_unit_test(a_foreign_table_is_not_imported),
        cmocka_unit_test(released_schemas_are_read),
        cmocka_unit_test(migrations_run_in_order_or_not_at_all),
    };
    return cmocka_run_group_tests_name("storage_session", tests, temp_make, temp_remove);
}
