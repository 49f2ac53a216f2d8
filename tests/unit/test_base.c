/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/base: bytes and their reader, errors, hashes, file mapping, the thread pool.
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

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/base/map.h"
#include "engine/base/pool.h"

static void bytes_come_back_as_written(void **state) {
    (void)state;
    struct bytes b = {0};
    bytes_put_u8(&b, 7);
    bytes_put_u32(&b, 0x89abcdefu);
    bytes_put_u64(&b, UINT64_MAX - 1);
    bytes_put_f32(&b, -1.5f);
    bytes_put(&b, "abc", 3);
    assert_false(b.failed);

    struct reader r = reader_of(b.data, b.size);
    assert_int_equal(reader_u8(&r), 7);
    assert_int_equal(reader_u32(&r), 0x89abcdefu);
    assert_true(reader_u64(&r) == UINT64_MAX - 1);
    assert_true(reader_f32(&r) == -1.5f);
    assert_memory_equal(reader_take(&r, 3), "abc", 3);
    assert_int_equal(reader_left(&r), 0);
    assert_false(r.failed);
    bytes_finish(&b);
}

static void reader_failure_is_sticky(void **state) {
    (void)state;
    struct reader r = reader_of("\1\2\3\4\5", 5);
    assert_null(reader_take(&r, UINT64_MAX));
    assert_true(r.failed);
    assert_int_equal(reader_u32(&r), 0); /* enough bytes, but the reader has failed */
    assert_int_equal(reader_left(&r), 0);
}

static void error_prefix_keeps_text(void **state) {
    (void)state;
    struct error error;
    assert_false(error_set(&error, ERROR_NOT_FOUND, "found %d", 3));
    assert_false(error_prefix(&error, "file %s", "x"));
    assert_string_equal(error.text, "file x: found 3");
    assert_int_equal(error.code, ERROR_NOT_FOUND);
}

static void sha256_of_known_texts(void **state) {
    (void)state;
    static const struct {
        const char *text, *hex;
    } cases[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t hash[HASH_BYTES], back[HASH_BYTES];
        char hex[HASH_HEX];
        assert_true(hash_of(cases[i].text, strlen(cases[i].text), hash));
        hash_hex(hash, hex);
        assert_string_equal(hex, cases[i].hex);
        assert_true(hash_from_hex(hex, back));
        assert_memory_equal(hash, back, HASH_BYTES);
    }
    uint8_t hash[HASH_BYTES];
    assert_false(hash_from_hex("abc", hash));
    assert_false(
        hash_from_hex("../c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85500", hash));
}

static void map_refuses_what_is_no_file(void **state) {
    (void)state;
    char dir[] = "/tmp/allmem-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char fifo[64];
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    const struct {
        const char *path, *says;
        enum error_code code;
    } cases[] = {
        {dir, "is a folder", ERROR_FAILURE},
        {fifo, "is a FIFO", ERROR_FAILURE},
        {"/dev/null", "is a device", ERROR_FAILURE},
        {"/nonexistent/x", "No such file", ERROR_NOT_FOUND},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct map map;
        struct error error;
        assert_false(map_open(&map, cases[i].path, &error));
        assert_non_null(strstr(error.text, cases[i].path));
        assert_non_null(strstr(error.text, cases[i].says));
        assert_int_equal(error.code, cases[i].code);
        map_close(&map);
    }
    unlink(fifo);
    rmdir(dir);
}

struct squares {
    uint64_t of[1000];
    size_t threads;
};

static void square(void *context, size_t index, size_t thread) {
    struct squares *s = context;
    assert_true(thread < s->threads);
    s->of[index] += index * index;
}

static void pool_runs_every_index_once(void **state) {
    (void)state;
    for (size_t threads = 1; threads <= 4; threads++) {
        struct error error;
        struct pool *pool = pool_create(threads, &error);
        assert_non_null(pool);
        struct squares s = {.threads = threads};
        enum { LOOPS = 300 };
        for (int loop = 0; loop < LOOPS; loop++) {
            pool_run(pool, 1000, square, &s);
            if (loop % 100 == 0) {
                usleep(1000); /* long enough for the workers to fall asleep */
            }
        }
        for (size_t i = 0; i < 1000; i++) {
            assert_int_equal(s.of[i], LOOPS * i * i);
        }
        pool_destroy(pool);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_back_as_written),  cmocka_unit_test(reader_failure_is_sticky),
        cmocka_unit_test(error_prefix_keeps_text),     cmocka_unit_test(sha256_of_known_texts),
        cmocka_unit_test(map_refuses_what_is_no_file), cmocka_unit_test(pool_runs_every_index_once),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
