/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of storage share: a folder of their own that goes with them, and opening a session
 * in it. Include after cmocka.h.
 */
#pragma once

#include <ftw.h>
#include <limits.h>

#include "storage/store.h"

static char temp_folder[PATH_MAX];

static inline int temp_make(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    if (!base) { /* in memory where that is possible: these tests commit often */
        base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    }
    snprintf(temp_folder, sizeof temp_folder, "%s/allmem-test-XXXXXX", base);
    return mkdtemp(temp_folder) ? 0 : -1;
}

static inline int temp_unlink(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline int temp_remove(void **state) {
    (void)state;
    return nftw(temp_folder, temp_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of NAME in the folder; one of four buffers in turn. */
static inline const char *temp_path(const char *name) {
    static char paths[4][PATH_MAX + 300];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", temp_folder, name);
    return path;
}

static inline struct store *temp_try(const char *path, enum store_mode mode, struct error *error) {
    const struct store_options options = {.mode = mode};
    return store_open(path, &options, error);
}

static inline struct store *temp_open(const char *path, enum store_mode mode) {
    struct error error = {0};
    struct store *store = temp_try(path, mode, &error);
    if (!store) {
        fail_msg("%s", error.text);
    }
    return store;
}

/* Fails the test with the error's own words. */
#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if (!(call)) {                                                                             \
            fail_msg("%s: %s", #call, error.text);                                                 \
        }                                                                                          \
    } while (0)

#define assert_error(call, wanted, words)                                                          \
    do {                                                                                           \
        error = (struct error){0};                                                                 \
        assert_false(call);                                                                        \
        if (error.code != (wanted) || !strstr(error.text, words)) {                                \
            fail_msg("%s: code %d, '%s'", #call, error.code, error.text);                          \
        }                                                                                          \
    } while (0)

#define assert_blob(blob, text, length)                                                            \
    do {                                                                                           \
        assert_int_equal((blob).size, length);                                                     \
        assert_memory_equal((blob).data, text, length);                                            \
    } while (0)
