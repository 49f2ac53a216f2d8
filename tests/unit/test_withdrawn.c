/* SPDX-License-Identifier: Apache-2.0
 *
 * app/withdrawn.h: sources that were taken out stay out of what is read later, until one is named.
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

#include "app/import/import.h"
#include "app/withdrawn.h"
#include "storage/documents.h"
#include "storage_temp.h"

static const char TEXT[] = "A heron fishes at dawn.\n";

static int64_t add(struct store *store, const char *name) {
    struct error error;
    int64_t id;
    const struct store_source source = {.path = blob_of(name), .text = {TEXT, sizeof TEXT - 1}};
    assert_ok(store_document_add(store, &source, &id, &error));
    return id;
}

/* What is left of a reading of a/one, a/two and b/one when `path` was given. */
static void read_again(struct store *store, const char *path, const char *left) {
    static const char *const names[] = {"a/one", "a/two", "b/one"};
    struct library library = {.documents = calloc(3, sizeof *library.documents), .count = 3};
    struct error error;
    char found[100] = "";
    assert_non_null(library.documents);
    for (size_t i = 0; i < 3; i++) {
        assert_true(document_set_name(&library.documents[i], names[i]));
    }
    assert_ok(withdrawn_filter(store, &library, &path, 1, &error));
    assert_int_equal(library.count + library.skips.count, 3);
    for (size_t i = 0; i < library.count; i++) {
        strcat(strcat(found, library.documents[i].name), " ");
    }
    assert_string_equal(found, left);
    library_finish(&library);
}

static void what_was_taken_out_stays_out(void **state) {
    (void)state;
    struct store *store = temp_open(temp_path("out.db"), STORE_CREATE);
    struct store_document d = {0};
    struct error error;
    add(store, "a/one");
    add(store, "a/two");
    add(store, "b/one");
    read_again(store, "a", "a/one a/two b/one ");
    assert_ok(withdrawn_add(store, "a/two", &error));
    assert_ok(withdrawn_add(store, "a/one", &error));
    assert_error(store_document_by_path(store, blob_of("a/two"), &d, &error), ERROR_NOT_FOUND, "");
    assert_error(withdrawn_add(store, "a/two", &error), ERROR_NOT_FOUND, "a/two");
    read_again(store, "a", "b/one ");
    read_again(store, "a/two", "a/two b/one ");
    read_again(store, "a", "a/two b/one ");
    store_close(store);
}

static void only_what_was_read_is_in_the_memory(void **state) {
    (void)state;
    struct store *store = temp_open(temp_path("memory.db"), STORE_CREATE);
    struct skips names = {0};
    struct error error;
    int64_t read = add(store, "read");
    add(store, "unread");
    assert_ok(store_document_begin_reading(store, read, 0, 10, &error));
    assert_ok(withdrawn_add(store, "read", &error));
    assert_ok(withdrawn_add(store, "unread", &error));
    assert_ok(withdrawn_in_memory(store, &names, &error));
    assert_int_equal(names.count, 1);
    assert_string_equal(names.items[0].name, "read");
    skips_finish(&names);
    store_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_taken_out_stays_out),
        cmocka_unit_test(only_what_was_read_is_in_the_memory),
    };
    return cmocka_run_group_tests(tests, temp_make, temp_remove);
}
