/* SPDX-License-Identifier: Apache-2.0
 *
 * A session under attack from outside: a writer killed at any moment, a full disk, flipped bits.
 * With ALLMEM_TEST_LONG set there are ten times as many rounds.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/documents.h"
#include "storage/files.h"
#include "storage/search.h"
#include "storage/snapshots.h"
#include "storage/transcript.h"
#include "storage/verify.h"
#include "storage_temp.h"

static int rounds(int usual) {
    return getenv("ALLMEM_TEST_LONG") ? 10 * usual : usual;
}

static uint32_t random_state = 42;

static uint32_t random_below(uint32_t limit) {
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)random_state * limit >> 32);
}

enum { TEXT = 20000, PARTS = 3, PART = 30000 };

/* The text of document `number`: one word of its own, then lines that follow from the number. */
static size_t make_text(char *text, int number) {
    size_t size = (size_t)snprintf(text, TEXT, "unique%d\n", number);
    for (int line = 0; size < TEXT - 50; line++) {
        size += (size_t)snprintf(text + size, TEXT - size, "%d: line %d of a text\n", number, line);
    }
    return size;
}

static bool add(struct store *store, int number, int64_t *id, struct error *error) {
    char name[50], text[TEXT];
    snprintf(name, sizeof name, "document %d", number);
    const struct store_source source = {
        .path = blob_of(name), .kind = blob_of("text"), .text = {text, make_text(text, number)}};
    return store_document_add(store, &source, id, error);
}

static uint8_t part_byte(int64_t position, int layer) {
    return (uint8_t)(position * 31 + layer);
}

static bool save(struct store *store, int64_t position, struct error *error) {
    static uint8_t data[PARTS][PART];
    struct store_part parts[PARTS];
    for (int layer = 0; layer < PARTS; layer++) {
        memset(data[layer], part_byte(position, layer), PART);
        parts[layer] = (struct store_part){blob_of("fast"), layer, data[layer], PART};
    }
    const struct store_snapshot snapshot = {.position = position};
    return store_snapshot_save(store, &snapshot, parts, PARTS, NULL, NULL, error);
}

static bool say(struct store *store, int number, struct error *error) {
    char body[100];
    snprintf(body, sizeof body, "turn %d", number);
    const struct store_turn turn = {.role = blob_of("user"), .body = blob_of(body)};
    return store_turn_add(store, &turn, NULL, error);
}

static bool take(void *context, const struct store_part *part, struct error *error) {
    int64_t position = *(int64_t *)context;
    (void)error;
    bool same = part->size == PART;
    for (size_t i = 0; same && i < PART; i++) {
        same = ((const uint8_t *)part->data)[i] == part_byte(position, (int)part->layer);
    }
    assert_true(same);
    return true;
}

/* What a session holds; whatever storage hands out as good must be what was put in. Returns false,
 * with `error`, when it says that something is damaged. */
struct contents {
    int documents, turns;
    int64_t position;
};

static bool read_contents(struct store *store, struct contents *contents, struct error *error) {
    *contents = (struct contents){0};
    struct store_documents list;
    if (!store_documents_list(store, false, &list, error)) {
        return false;
    }
    bool ok = true;
    for (size_t i = 0; ok && i < list.count; i++) {
        char text[TEXT];
        struct blob got;
        size_t size = make_text(text, (int)i);
        ok = store_document_read(store, list.rows[i].id, 0, list.rows[i].size, &got, error);
        if (ok) {
            /* Rows carry no hash: a flipped size can ask for less than all. */
            assert_true(got.size <= size);
            assert_memory_equal(got.data, text, got.size);
            blob_free(&got);
        }
    }
    contents->documents = (int)list.count;
    store_documents_finish(&list);
    struct store_turns turns;
    if (!ok || !store_turns_list(store, 0, &turns, error)) {
        return false;
    }
    for (size_t i = 0; i < turns.count; i++) {
        char body[100];
        snprintf(body, sizeof body, "turn %zu", i);
        assert_blob(turns.rows[i].body, body, strlen(body));
    }
    contents->turns = (int)turns.count;
    store_turns_finish(&turns);
    struct store_snapshot newest;
    struct error none;
    if (store_snapshot_newest(store, &newest, &none)) {
        contents->position = newest.position;
        ok = store_snapshot_read(store, newest.generation, take, &contents->position, NULL, error);
        store_snapshot_finish(&newest);
    } else if (none.code != ERROR_NOT_FOUND) {
        ok = false;
        *error = none;
    }
    return ok;
}

/* Writes on and on, and tells through the pipe how far it has come. */
static void write_until_killed(const char *path, struct contents from, int pipe_end) {
    struct error error = {0};
    struct store *store = temp_try(path, STORE_CREATE, &error);
    int64_t id;
    while (store) {
        bool ok = add(store, from.documents, &id, &error);
        from.documents += ok;
        ok = ok && write(pipe_end, &from, sizeof from) > 0;
        ok = ok && save(store, from.position + 1, &error);
        from.position += ok;
        ok = ok && write(pipe_end, &from, sizeof from) > 0;
        ok = ok && say(store, from.turns, &error);
        from.turns += ok;
        ok = ok && write(pipe_end, &from, sizeof from) > 0;
        if (!ok || (from.documents % 7 == 0 && from.documents > 0)) {
            store_close(store); /* so that opening and closing are cut off too */
            store = ok ? temp_try(path, STORE_WRITE, &error) : NULL;
        }
    }
    fprintf(stderr, "%s\n", error.text);
    _exit(1);
}

/* Document by document, each of which must have some. */
static uint64_t count_passages(struct store *store) {
    struct error error;
    struct store_documents documents;
    uint64_t count = 0;
    assert_ok(store_documents_list(store, false, &documents, &error));
    for (size_t i = 0; i < documents.count; i++) {
        struct store_passages passages;
        assert_ok(store_passages_list(store, documents.rows[i].id, (struct store_span){0, TEXT},
                                      &passages, &error));
        assert_true(passages.count > 0);
        assert_int_equal(passages.rows[passages.count - 1].span.end, documents.rows[i].size - 1);
        count += passages.count;
        store_passages_finish(&passages);
    }
    store_documents_finish(&documents);
    return count;
}

static void nothing_acknowledged_is_lost_by_a_kill(void **state) {
    (void)state;
    struct error error;
    char path[PATH_MAX + 20];
    snprintf(path, sizeof path, "%s", temp_path("kill.db"));
    struct contents known = {0};
    for (int round = 0; round < rounds(20); round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(ends[0]);
            write_until_killed(path, known, ends[1]);
        }
        close(ends[1]);
        usleep(1000 + random_below(60000));
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        while (read(ends[0], &known, sizeof known) == sizeof known) {
        }
        close(ends[0]);
        struct stat st;
        if (stat(path, &st) != 0) {
            continue; /* killed before it made the file */
        }
        struct store *store = temp_open(path, STORE_CREATE);
        assert_ok(store_verify(store, NULL, NULL, &error));
        struct contents found;
        assert_ok(read_contents(store, &found, &error));
        /* At most the one step that was done, but not yet told, is more than what is known. */
        int more = (found.documents - known.documents) + (found.turns - known.turns) +
                   (int)(found.position - known.position);
        assert_true(found.documents >= known.documents && found.turns >= known.turns &&
                    found.position >= known.position && more <= 1);
        struct blob term = blob_of("line");
        const struct store_query query = {.terms = &term, .count = 1, .limit = 1};
        struct store_hits hits;
        assert_ok(store_search(store, &query, &hits, &error));
        assert_int_equal(hits.frequency[0], hits.passages);
        assert_int_equal(hits.passages, count_passages(store));
        store_hits_finish(&hits);
        store_close(store);
        known = found;
    }
    print_message("after the last kill: %d documents, %d turns, token %d\n", known.documents,
                  known.turns, (int)known.position);
}

static void make_small(const char *path) {
    struct error error;
    struct store *store = temp_open(path, STORE_CREATE);
    int64_t id;
    for (int i = 0; i < 3; i++) {
        assert_ok(add(store, i, &id, &error));
        assert_ok(save(store, i + 1, &error));
        assert_ok(say(store, i, &error));
    }
    store_close(store);
}

/* Fills the session until the disk is full, at each kind of write in turn; what was there stays. */
static void fill(const char *path, bool (*make_room)(void)) {
    struct error error = {0};
    struct store *store = temp_open(path, STORE_WRITE);
    struct contents before, after;
    assert_ok(read_contents(store, &before, &error));
    int64_t id;
    struct contents goal = before;
    bool ok = true;
    while (ok && goal.documents < 2000) {
        ok = add(store, goal.documents, &id, &error) && (goal.documents++, true) &&
             save(store, goal.position + 1, &error) && (goal.position++, true) &&
             say(store, goal.turns, &error) && (goal.turns++, true);
    }
    assert_false(ok);
    assert_int_equal(error.code, ERROR_NO_SPACE);
    assert_non_null(strstr(error.text, "no space left"));
    assert_ok(read_contents(store, &after, &error));
    assert_memory_equal(&after, &goal, sizeof goal);
    /* Also the way out and in again, still full. */
    store_close(store);
    store = temp_open(path, STORE_READ);
    assert_ok(read_contents(store, &after, &error));
    assert_memory_equal(&after, &goal, sizeof goal);
    store_close(store);
    assert_true(make_room());
    store = temp_open(path, STORE_WRITE);
    assert_ok(store_verify(store, NULL, NULL, &error));
    assert_ok(add(store, goal.documents, &id, &error));
    assert_ok(save(store, goal.position + 1, &error));
    store_close(store);
}

static bool lift_limit(void) {
    return setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}) == 0;
}

static void a_limit_on_file_size_loses_nothing(void **state) {
    (void)state;
    char path[PATH_MAX + 20];
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 400000; limit < 1000000; limit += 47000) {
        assert_true(lift_limit());
        snprintf(path, sizeof path, "%s", temp_path("limit.db"));
        make_small(path);
        const struct rlimit small = {limit, RLIM_INFINITY};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        fill(path, lift_limit);
        assert_int_equal(unlink(path), 0);
    }
    signal(SIGXFSZ, SIG_DFL);
}

static bool enlarge(void) {
    return mount("none", temp_path("disk"), "tmpfs", MS_REMOUNT, "size=64m") == 0;
}

static void a_full_disk_loses_nothing(void **state) {
    (void)state;
    assert_int_equal(mkdir(temp_path("disk"), 0700), 0);
    /* In a view of the file system of its own, so that the disk goes with this process. */
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", temp_path("disk"), "tmpfs", 0, "size=1500k") != 0) {
        skip(); /* only root can */
    }
    char path[PATH_MAX + 20];
    snprintf(path, sizeof path, "%s", temp_path("disk/full.db"));
    make_small(path);
    fill(path, enlarge);
    struct error error;
    /* Removing a session works on a full disk. */
    assert_int_equal(mount("none", temp_path("disk"), "tmpfs", MS_REMOUNT, "size=1k"), -1);
    assert_ok(store_remove_file(path, &error));
    assert_int_equal(umount(temp_path("disk")), 0);
}

static void write_file(const char *path, const char *data, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Everything that reads, then everything that writes; all may fail, none may crash or lie. */
static bool use_all(const char *path) {
    struct error error = {0};
    struct contents contents;
    bool sound = true;
    struct store *store = temp_try(path, STORE_READ, &error);
    if (!store) {
        return false;
    }
    sound = read_contents(store, &contents, &error) && sound;
    const struct blob terms[] = {blob_of("unique1"), blob_of("line")};
    const struct store_query query = {.terms = terms, .count = 2, .limit = 20};
    struct store_hits hits;
    sound = store_search(store, &query, &hits, &error) && sound;
    for (size_t i = 0; i < hits.count; i++) {
        struct blob got;
        if (store_document_read(store, hits.rows[i].document, hits.rows[i].span.begin,
                                hits.rows[i].span.end, &got, &error)) {
            blob_free(&got);
        }
    }
    store_hits_finish(&hits);
    sound = store_verify(store, NULL, NULL, &error) && sound;
    store_close(store);
    store = temp_try(path, STORE_WRITE, &error);
    if (store) {
        int64_t id;
        sound = add(store, 77, &id, &error) && sound;
        sound = store_document_remove(store, 1, &error) && sound;
        sound = save(store, 100, &error) && sound;
        sound = store_verify(store, NULL, NULL, &error) && sound;
    }
    sound = sound && store;
    store_close(store);
    return sound;
}

static void flipped_bits_are_found_or_harmless(void **state) {
    (void)state;
    char path[PATH_MAX + 20], flipped[PATH_MAX + 20];
    snprintf(path, sizeof path, "%s", temp_path("flip.db"));
    snprintf(flipped, sizeof flipped, "%s", temp_path("flipped.db"));
    make_small(path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    static char data[2 << 20];
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    assert_true(size > 100000 && size < sizeof data);
    int found = 0, count = rounds(300);
    for (int i = 0; i < count; i++) {
        /* A third of them where it hurts most: in the file's and the pages' headers. */
        size_t at = i % 3 ? random_below((uint32_t)size)
                          : random_below((uint32_t)(size / 8192)) * 8192 + random_below(120);
        char mask = (char)(1 << random_below(8));
        data[at] ^= mask;
        write_file(flipped, data, size);
        data[at] ^= mask;
        found += !use_all(flipped);
        static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
        for (size_t k = 0; k < 4; k++) {
            char name[PATH_MAX + 40];
            snprintf(name, sizeof name, "%s%s", flipped, suffixes[k]);
            unlink(name);
        }
    }
    print_message("%d of %d flips found, the others changed nothing that was handed out\n", found,
                  count);
    assert_true(found > count / 4); /* much of the file is free or slack */
    assert_true(use_all(path));
}

static void truncated_files_are_found(void **state) {
    (void)state;
    char path[PATH_MAX + 20], cut[PATH_MAX + 20];
    snprintf(path, sizeof path, "%s", temp_path("whole.db"));
    snprintf(cut, sizeof cut, "%s", temp_path("cut.db"));
    make_small(path);
    static char data[2 << 20];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    for (size_t at = 0; at < size; at += 4096) {
        write_file(cut, data, at);
        assert_false(use_all(cut));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_by_a_kill),
        cmocka_unit_test(a_limit_on_file_size_loses_nothing),
        cmocka_unit_test(a_full_disk_loses_nothing),
        cmocka_unit_test(flipped_bits_are_found_or_harmless),
        cmocka_unit_test(truncated_files_are_found),
    };
    return cmocka_run_group_tests_name("storage_damage", tests, temp_make, temp_remove);
}
