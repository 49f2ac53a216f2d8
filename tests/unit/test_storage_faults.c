/* SPDX-License-Identifier: Apache-2.0
 *
 * storage when what it stands on fails: every allocation, SQLite's and its own, and every operation
 * on a file fails once, and from then on; the power is cut at every moment, with any part of what
 * was not synced lost. What was acknowledged must be there afterwards, and sound.
 *
 * Linked with --wrap for malloc, calloc and realloc, so that storage's own calls pass through here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "fault_vfs.h"
#include "storage/documents.h"
#include "storage/search.h"
#include "storage/snapshots.h"
#include "storage/transcript.h"
#include "storage/verify.h"
#include "storage_temp.h"

/* Allocations, counted only while `on`. */
static struct {
    int count, fail_at;
    bool on, lasting;
} memory;

static bool memory_due(void) {
    if (!memory.on) {
        return false;
    }
    memory.count++;
    return memory.lasting ? memory.count >= memory.fail_at : memory.count == memory.fail_at;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size) {
    return memory_due() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return memory_due() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return memory_due() ? NULL : __real_realloc(old, size);
}

static sqlite3_mem_methods sqlite_memory;

static void *sqlite_malloc(int size) {
    return memory_due() ? NULL : sqlite_memory.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size) {
    return memory_due() ? NULL : sqlite_memory.xRealloc(old, size);
}

static int install(void **state) {
    sqlite3_mem_methods methods;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory) != SQLITE_OK) {
        return -1;
    }
    methods = sqlite_memory;
    methods.xMalloc = sqlite_malloc;
    methods.xRealloc = sqlite_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK) {
        return -1;
    }
    sqlite3_initialize();
    fault_install();
    return temp_make(state);
}

/* What the scenario has been told is kept. */
struct acknowledged {
    bool document, second, snapshot, turn, removed;
};

enum { TEXT = 9000, PART = 20000 };

static void make_text(char text[TEXT]) {
    for (int i = 0; i < TEXT; i++) {
        text[i] = i % 61 == 60 ? '\n' : i % 7 == 6 ? ' ' : "abcdefghijklmnopqrstuvw"[i * i % 23];
    }
    memcpy(text, "needle ", 7);
}

static void note(struct acknowledged *told, bool *what) {
    *what = true;
    fault_note(FAULT_NOTE, "", 0, told, sizeof *told);
}

/* A bit of everything. Returns whether all of it went well. */
static bool act(const char *path, struct acknowledged *told, struct error *error) {
    static char text[TEXT], data[PART];
    make_text(text);
    *told = (struct acknowledged){0};
    struct store *store = temp_try(path, STORE_CREATE, error);
    if (!store) {
        return false;
    }
    int64_t one, two, id;
    const struct store_section section = {0, 1, blob_of("One")};
    struct store_source source = {.path = blob_of("one"),
                                  .kind = blob_of("text"),
                                  .text = {text, TEXT},
                                  .pages = (const uint64_t[]){0},
                                  .pages_count = 1,
                                  .sections = &section,
                                  .sections_count = 1};
    bool ok = store_document_add(store, &source, &one, error);
    if (ok) {
        note(told, &told->document);
    }
    source.path = blob_of("two");
    source.text.size = 300;
    if (ok && (ok = store_document_add(store, &source, &two, error))) {
        note(told, &told->second);
    }
    ok = ok && store_document_begin_reading(store, one, 0, 900, error);
    memset(data, 'w', sizeof data);
    const struct store_part part = {blob_of("fast"), 0, data, PART};
    const struct store_snapshot snapshot = {.position = 500, .mark = blob_of("half")};
    if (ok && (ok = store_snapshot_save(store, &snapshot, &part, 1, NULL, &id, error))) {
        note(told, &told->snapshot);
    }
    struct store_citation citation = {one, {0, 6}, {1, 1, 1}};
    const struct store_turn turn = {.role = blob_of("user"),
                                    .body = blob_of("Where?"),
                                    .citations = &citation,
                                    .citations_count = 1};
    if (ok && (ok = store_turn_add(store, &turn, &id, error))) {
        note(told, &told->turn);
    }
    const struct blob term = blob_of("needle");
    const struct store_query query = {.terms = &term, .count = 1, .limit = 3};
    struct store_hits hits = {0};
    if (ok && (ok = store_search(store, &query, &hits, error))) {
        assert_int_equal(hits.count, 2);
        struct blob got;
        ok = store_document_read(store, hits.rows[0].document, 0, 6, &got, error);
        if (ok) {
            assert_blob(got, "needle", 6);
            blob_free(&got);
        }
    }
    store_hits_finish(&hits);
    if (ok && (ok = store_document_remove(store, two, error))) {
        note(told, &told->removed);
    }
    ok = ok && store_verify(store, NULL, NULL, error);
    store_close(store);
    return ok;
}

/* All that was acknowledged is there, whole; what was not may be there whole or not at all. */
static void check(const char *path, const struct acknowledged *told) {
    struct error error = {0};
    struct store *store = temp_try(path, STORE_CREATE, &error);
    if (!store) {
        fail_msg("%s", error.text);
    }
    assert_ok(store_verify(store, NULL, NULL, &error));
    struct store_document document;
    static char text[TEXT];
    make_text(text);
    static const char *const names[] = {"one", "two"};
    for (int i = 0; i < 2; i++) {
        bool expected = i ? told->second && !told->removed : told->document;
        if (store_document_by_path(store, blob_of(names[i]), &document, &error)) {
            struct blob got;
            assert_false(i && told->removed);
            assert_ok(store_document_read(store, document.id, 0, document.size, &got, &error));
            assert_blob(got, text, (size_t)(i ? 300 : TEXT));
            blob_free(&got);
            store_document_finish(&document);
        } else if (expected) {
            /* The removal may have been done and not told. */
            assert_true(i && told->turn && error.code == ERROR_NOT_FOUND);
        }
    }
    struct store_turns turns;
    assert_ok(store_turns_list(store, 0, &turns, &error));
    assert_true(turns.count >= told->turn);
    store_turns_finish(&turns);
    struct store_snapshot newest;
    if (store_snapshot_newest(store, &newest, &error)) {
        assert_ok(store_snapshot_read(store, newest.generation, NULL, NULL, NULL, &error));
        store_snapshot_finish(&newest);
    } else {
        assert_false(told->snapshot);
    }
    store_close(store);
}

static void clear(const char *path) {
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".lock"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        char name[PATH_MAX + 40];
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

/* With ALLMEM_TEST_LONG set every single one, else every thirteenth. */
static void every_allocation_fails(void **state) {
    (void)state;
    int stride = getenv("ALLMEM_TEST_LONG") ? 1 : 13;
    const char *path = temp_path("memory.db");
    int failed = 0, n = 1;
    for (int lasting = 0; lasting < 2; lasting++) {
        for (n = 1 + lasting;; n += stride) {
            struct acknowledged told;
            struct error error = {0};
            memory.count = 0;
            memory.fail_at = n;
            memory.lasting = lasting;
            memory.on = true;
            bool ok = act(path, &told, &error);
            memory.on = false;
            if (!ok) {
                failed++;
                if (error.code != ERROR_NO_SPACE) {
                    fail_msg("allocation %d: code %d, '%s'", n, error.code, error.text);
                }
            }
            check(path, &told);
            clear(path);
            if (memory.count < n) {
                assert_true(ok);
                break;
            }
        }
    }
    print_message("%d allocations, %d failures told\n", n, failed);
    assert_true(failed > 500);
}

static void every_file_operation_fails(void **state) {
    (void)state;
    const char *path = temp_path("file.db");
    int failed = 0, n = 1;
    for (int lasting = 0; lasting < 2; lasting++) {
        for (n = 1;; n++) {
            struct acknowledged told;
            struct error error = {0};
            fault.count = 0;
            fault.fail_at = n;
            fault.lasting = lasting;
            bool ok = act(path, &told, &error);
            int count = fault.count;
            fault.fail_at = 0;
            if (!ok) {
                failed++;
                assert_true(error.code != ERROR_NONE && error.text[0]);
            }
            check(path, &told);
            clear(path);
            if (count < n) {
                assert_true(ok);
                break;
            }
        }
    }
    print_message("%d file operations, %d failures told\n", n, failed);
    assert_true(failed > 50);
}

/* A file as it would be found after the cut. */
struct image {
    char path[PATH_MAX];
    bool is_there;
    size_t size;
    char *data;
    size_t synced; /* records before this one are on the disk */
};

enum { IMAGES = 4, IMAGE_MAX = 4 << 20, SECTOR = 512 };

static struct image *image_of(struct image *images, const char *path) {
    for (int i = 0; i < IMAGES; i++) {
        if (images[i].path[0] == '\0') {
            strcpy(images[i].path, path);
        }
        if (strcmp(images[i].path, path) == 0) {
            return &images[i];
        }
    }
    fail_msg("more files than expected: %s", path);
    return NULL;
}

static uint32_t random_state = 7;

static bool coin(void) {
    random_state = random_state * 1664525 + 1013904223;
    return random_state >> 31;
}

/* keep: 0 nothing that was not synced reached the disk, 1 all, 2 any sectors of it. */
static void apply(struct image *image, const struct fault_record *r, bool synced, int keep) {
    image->is_there = true;
    if (r->kind == FAULT_TRUNCATE) {
        if (synced || keep == 1 || (keep == 2 && coin())) {
            size_t size = (size_t)r->offset;
            if (size > image->size) {
                memset(image->data + image->size, 0, size - image->size);
            }
            image->size = size;
        }
        return;
    }
    for (size_t at = 0; at < (size_t)r->size;) {
        size_t to = (size_t)r->offset + at, size = SECTOR - to % SECTOR;
        size = size < (size_t)r->size - at ? size : (size_t)r->size - at;
        if (synced || keep == 1 || (keep == 2 && coin())) {
            assert_true(to + size <= IMAGE_MAX);
            if (to > image->size) {
                memset(image->data + image->size, 0, to - image->size);
            }
            memcpy(image->data + to, r->data + at, size);
            image->size = to + size > image->size ? to + size : image->size;
        }
        at += size;
    }
}

/* Writes the files as a cut after `cut` records leaves them, and tells what was acknowledged. */
static void cut_power(struct image *images, size_t cut, int keep, struct acknowledged *told) {
    *told = (struct acknowledged){0};
    for (int i = 0; i < IMAGES; i++) {
        images[i].is_there = false;
        images[i].size = images[i].synced = 0;
        images[i].path[0] = '\0';
    }
    for (size_t i = 0; i < cut; i++) {
        const struct fault_record *r = &fault.records[i];
        if (r->kind == FAULT_NOTE) {
            memcpy(told, r->data, sizeof *told);
        } else if (r->kind == FAULT_SYNC) {
            image_of(images, r->path)->synced = i;
        }
    }
    for (size_t i = 0; i < cut; i++) {
        const struct fault_record *r = &fault.records[i];
        if (r->kind == FAULT_DELETE) {
            struct image *image = image_of(images, r->path);
            image->is_there = false;
            image->size = 0;
        } else if (r->kind == FAULT_WRITE || r->kind == FAULT_TRUNCATE) {
            struct image *image = image_of(images, r->path);
            apply(image, r, i < image->synced, keep);
        }
    }
    for (int i = 0; i < IMAGES; i++) {
        if (images[i].is_there) {
            FILE *file = fopen(images[i].path, "wb");
            assert_non_null(file);
            assert_int_equal(fwrite(images[i].data, 1, images[i].size, file), images[i].size);
            assert_int_equal(fclose(file), 0);
        }
    }
}

static void power_is_cut_at_every_moment(void **state) {
    (void)state;
    char path[PATH_MAX + 20];
    snprintf(path, sizeof path, "%s", temp_path("power.db"));
    struct acknowledged told;
    struct error error = {0};
    fault.recording = true;
    assert_ok(act(path, &told, &error));
    fault.recording = false;
    clear(path);
    struct image images[IMAGES] = {0};
    for (int i = 0; i < IMAGES; i++) {
        images[i].data = malloc(IMAGE_MAX);
        assert_non_null(images[i].data);
    }
    int cuts = 0;
    for (size_t cut = 0; cut <= fault.records_count; cut++) {
        for (int variant = 0; variant < 6; variant++, cuts++) {
            cut_power(images, cut, variant < 2 ? variant : 2, &told);
            check(path, &told);
            clear(path);
        }
    }
    print_message("%d power cuts over %zu operations\n", cuts, fault.records_count);
    assert_true(cuts >= 500);
    for (int i = 0; i < IMAGES; i++) {
        free(images[i].data);
    }
    fault_forget();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_fails),
        cmocka_unit_test(every_file_operation_fails),
        cmocka_unit_test(power_is_cut_at_every_moment),
    };
    return cmocka_run_group_tests_name("storage_faults", tests, install, temp_remove);
}
