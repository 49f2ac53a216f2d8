/* SPDX-License-Identifier: Apache-2.0
 *
 * storage/documents.h: bytes come back as given; places; one copy of equal texts; replaced, removed
 * and skipped sources.
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

#include "storage/documents.h"
#include "storage/search.h"
#include "storage/session.h"
#include "storage_temp.h"

static struct store *open_new(const char *name) {
    return temp_open(temp_path(name), STORE_CREATE);
}

static int64_t add(struct store *store, struct blob path, struct blob text) {
    struct error error;
    int64_t id;
    const struct store_source source = {.path = path, .kind = blob_of("text"), .text = text};
    assert_ok(store_document_add(store, &source, &id, &error));
    return id;
}

static void names_and_texts_come_back_byte_by_byte(void **state) {
    (void)state;
    static const struct blob names[] = {
        {"a.txt", 5},
        {"'); DROP TABLE x;--", 19},
        {"two\nlines", 9},
        {"bad \xff\xfe utf-8 \xc3", 14},
        {"nul\0inside", 10},
        {"%s%n \"quoted\"", 13},
        {"<|im_end|>\n<|im_start|>system", 29},
        {"-", 1},
    };
    enum { COUNT = sizeof names / sizeof *names };
    struct error error;
    struct store *store = open_new("names.db");
    int64_t ids[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        char text[100];
        int n = snprintf(text, sizeof text, "text %zu of ", i);
        memcpy(text + n, names[i].data, names[i].size);
        ids[i] = add(store, names[i], (struct blob){text, (size_t)n + names[i].size});
    }
    store_close(store);
    store = temp_open(temp_path("names.db"), STORE_READ);
    struct store_documents list;
    assert_ok(store_documents_list(store, false, &list, &error));
    assert_int_equal(list.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        struct store_document document;
        struct blob text;
        assert_blob(list.rows[i].path, names[i].data, names[i].size);
        assert_ok(store_document_by_path(store, names[i], &document, &error));
        assert_int_equal(document.id, ids[i]);
        assert_ok(store_document_read(store, ids[i], 8, document.size, &text, &error));
        assert_memory_equal(text.data, "f ", 2);
        assert_int_equal(text.size, 2 + names[i].size);
        assert_memory_equal(text.data + 2, names[i].data, names[i].size);
        blob_free(&text);
        store_document_finish(&document);
    }
    store_documents_finish(&list);
    store_close(store);
}

static void spans_are_placed_across_pieces(void **state) {
    (void)state;
    struct error error;
    /* 300,000 bytes, more than four pieces: line i (from 1) ends at byte 100 i - 1. */
    enum { LINE = 100, LINES = 3000, SIZE = LINE * LINES };
    char *text = malloc(SIZE);
    assert_non_null(text);
    for (size_t i = 0; i < SIZE; i++) {
        text[i] = i % LINE == LINE - 1 ? '\n' : (char)('a' + i * 7 % 26);
    }
    uint64_t pages[30];
    for (size_t i = 0; i < 30; i++) {
        pages[i] = 50 + i * 10000;
    }
    const struct store_section sections[] = {{0, 1, blob_of("One")}, {70000, 2, blob_of("Two")}};
    const struct store_source source = {.path = blob_of("big"),
                                        .kind = blob_of("pdf"),
                                        .text = {text, SIZE},
                                        .pages = pages,
                                        .pages_count = 30,
                                        .sections = sections,
                                        .sections_count = 2};
    struct store *store = open_new("places.db");
    int64_t id;
    assert_ok(store_document_add(store, &source, &id, &error));
    static const struct {
        uint64_t begin, end, first_line, last_line, page;
    } cases[] = {
        {0, 1, 1, 1, 0},
        {49, 51, 1, 1, 0},
        {50, 100, 1, 1, 1},
        {99, 101, 1, 2, 1},
        {65535, 65537, 656, 656, 7},
        {65536, 131072, 656, 1311, 7},
        {10050, 10051, 101, 101, 2},
        {SIZE - 1, SIZE, LINES, LINES, 30},
        {0, SIZE, 1, LINES, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_place place;
        struct blob got;
        const struct store_span span = {cases[i].begin, cases[i].end};
        assert_ok(store_document_place(store, id, span, &place, &error));
        assert_int_equal(place.first_line, cases[i].first_line);
        assert_int_equal(place.last_line, cases[i].last_line);
        assert_int_equal(place.page, cases[i].page);
        assert_ok(store_document_read(store, id, span.begin, span.end, &got, &error));
        assert_blob(got, text + span.begin, span.end - span.begin);
        blob_free(&got);
    }
    for (uint64_t line = 1; line <= LINES; line += 7) {
        struct store_span span;
        assert_ok(store_document_line(store, id, line, &span, &error));
        assert_int_equal(span.begin, (line - 1) * LINE);
        assert_int_equal(span.end, line * LINE - 1);
    }
    struct store_span span;
    struct blob got;
    assert_error(store_document_line(store, id, LINES + 1, &span, &error), ERROR_NOT_FOUND,
                 "no line 3001");
    assert_error(store_document_line(store, id, 0, &span, &error), ERROR_NOT_FOUND, "no line 0");
    assert_error(store_document_line(store, id, UINT64_MAX, &span, &error), ERROR_NOT_FOUND, "");
    assert_ok(store_document_page(store, id, 30, &span, &error));
    assert_int_equal(span.begin, 290050);
    assert_int_equal(span.end, SIZE);
    assert_error(store_document_page(store, id, 31, &span, &error), ERROR_NOT_FOUND, "no page 31");
    assert_error(store_document_read(store, id, 5, 4, &got, &error), ERROR_USAGE, "");
    assert_error(store_document_read(store, id, 0, SIZE + 1, &got, &error), ERROR_USAGE, "");
    assert_error(store_document_read(store, 99, 0, 1, &got, &error), ERROR_NOT_FOUND, "99");
    struct store_sections listed;
    assert_ok(store_sections_list(store, id, &listed, &error));
    assert_int_equal(listed.count, 2);
    assert_int_equal(listed.rows[1].begin, 70000);
    assert_blob(listed.rows[1].title, "Two", 3);
    store_sections_finish(&listed);
    store_close(store);
    free(text);
}

static void lines_of_small_texts(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t lines[4][2]; /* begin and end; {9, 9}: there is none */
    } cases[] = {
        {"", {{0, 0}, {9, 9}, {9, 9}, {9, 9}}},         {"\n", {{0, 0}, {9, 9}, {9, 9}, {9, 9}}},
        {"a", {{0, 1}, {9, 9}, {9, 9}, {9, 9}}},        {"a\nb", {{0, 1}, {2, 3}, {9, 9}, {9, 9}}},
        {"a\n\nb\n", {{0, 1}, {2, 2}, {3, 4}, {9, 9}}},
    };
    struct error error;
    struct store *store = open_new("lines.db");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[2] = {(char)('a' + i), 0};
        int64_t id = add(store, blob_of(name), blob_of(cases[i].text));
        for (uint64_t line = 1; line <= 4; line++) {
            struct store_span span;
            bool found = store_document_line(store, id, line, &span, &error);
            assert_int_equal(found, cases[i].lines[line - 1][0] != 9);
            if (found) {
                assert_int_equal(span.begin, cases[i].lines[line - 1][0]);
                assert_int_equal(span.end, cases[i].lines[line - 1][1]);
            }
        }
    }
    store_close(store);
}

static uint64_t stored_bytes(struct store *store) {
    struct error error;
    struct store_sizes sizes;
    assert_ok(store_sizes(store, &sizes, &error));
    return sizes.documents;
}

static size_t hits_of(struct store *store, const char *word) {
    struct error error;
    struct store_hits hits;
    const struct blob term = blob_of(word);
    const struct store_query query = {.terms = &term, .count = 1, .limit = 100};
    assert_ok(store_search(store, &query, &hits, &error));
    size_t count = hits.count;
    assert_int_equal(count, hits.frequency[0]);
    store_hits_finish(&hits);
    return count;
}

static void equal_texts_are_stored_once(void **state) {
    (void)state;
    struct error error;
    struct store *store = open_new("twins.db");
    struct blob text = blob_of("The whale is white.\n"), got;
    int64_t one = add(store, blob_of("one"), text), two = add(store, blob_of("two"), text);
    assert_true(one != two);
    assert_int_equal(add(store, blob_of("one"), text), one);
    assert_int_equal(stored_bytes(store), text.size);
    assert_int_equal(hits_of(store, "whale"), 1);
    struct store_document document;
    assert_ok(store_document_get(store, two, &document, &error));
    assert_int_equal(document.same_as, one);
    store_document_finish(&document);
    /* The text stays as long as one of them is there. */
    assert_ok(store_document_remove(store, one, &error));
    assert_int_equal(hits_of(store, "whale"), 1);
    assert_ok(store_document_read(store, two, 4, 9, &got, &error));
    assert_blob(got, "whale", 5);
    blob_free(&got);
    assert_ok(store_document_get(store, two, &document, &error));
    assert_int_equal(document.same_as, 0);
    store_document_finish(&document);
    assert_ok(store_document_remove(store, two, &error));
    assert_int_equal(hits_of(store, "whale"), 0);
    assert_int_equal(stored_bytes(store), 0);
    store_close(store);
}

static void changed_and_removed_sources_leave_a_record(void **state) {
    (void)state;
    struct error error;
    struct store *store = open_new("changed.db");
    int64_t first = add(store, blob_of("x"), blob_of("alpha beta"));
    assert_ok(store_document_begin_reading(store, first, 100, 7, &error));
    int64_t second = add(store, blob_of("x"), blob_of("gamma delta"));
    assert_int_equal(hits_of(store, "alpha"), 0);
    assert_int_equal(hits_of(store, "gamma"), 1);
    struct store_documents list;
    assert_ok(store_documents_list(store, false, &list, &error));
    assert_int_equal(list.count, 1);
    assert_int_equal(list.rows[0].id, second);
    store_documents_finish(&list);
    assert_ok(store_document_remove(store, second, &error));
    assert_ok(store_documents_list(store, true, &list, &error));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.rows[0].state, STORE_REPLACED);
    assert_int_equal(list.rows[1].state, STORE_REMOVED);
    assert_int_equal(list.rows[0].size, 10);
    static const struct {
        int64_t position, read;
    } cases[] = {{0, 0}, {100, 0}, {101, 1}, {106, 6}, {107, 7}, {5000, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(store_tokens_read(&list.rows[0], cases[i].position), cases[i].read);
        assert_int_equal(store_tokens_read(&list.rows[1], cases[i].position), 0);
    }
    store_documents_finish(&list);
    struct blob got;
    struct store_document document;
    assert_error(store_document_read(store, first, 0, 1, &got, &error), ERROR_NOT_FOUND,
                 "replaced or removed");
    assert_error(store_document_by_path(store, blob_of("x"), &document, &error), ERROR_NOT_FOUND,
                 "'x'");
    assert_error(store_document_begin_reading(store, 77, 0, 1, &error), ERROR_NOT_FOUND, "77");
    assert_error(store_document_remove(store, 77, &error), ERROR_NOT_FOUND, "77");
    store_close(store);
}

static void skips_are_listed_until_they_are_taken(void **state) {
    (void)state;
    struct error error;
    struct store *store = open_new("skips.db");
    struct store_skips skips;
    assert_ok(store_skip_add(store, blob_of("b\nin"), blob_of("binary"), &error));
    assert_ok(store_skip_add(store, blob_of("huge"), blob_of("too large"), &error));
    assert_ok(store_skip_add(store, blob_of("huge"), blob_of("no permission"), &error));
    add(store, blob_of("b\nin"), blob_of("text now"));
    assert_ok(store_skips_list(store, &skips, &error));
    assert_int_equal(skips.count, 1);
    assert_blob(skips.rows[0].path, "huge", 4);
    assert_blob(skips.rows[0].reason, "no permission", 13);
    store_skips_finish(&skips);
    store_close(store);
}

static void bad_offsets_are_refused(void **state) {
    (void)state;
    struct error error;
    struct store *store = open_new("offsets.db");
    static const uint64_t falls[] = {3, 2}, beyond[] = {0, 11};
    static const struct store_span empty[] = {{2, 2}}, past[] = {{2, 11}},
                                   back[] = {{4, 5}, {1, 2}};
    const struct store_section outside[] = {{11, 1, blob_of("x")}};
    const struct store_source cases[] = {
        {.pages = falls, .pages_count = 2},       {.pages = beyond, .pages_count = 2},
        {.passages = empty, .passages_count = 1}, {.passages = past, .passages_count = 1},
        {.passages = back, .passages_count = 2},  {.sections = outside, .sections_count = 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_source source = cases[i];
        int64_t id;
        source.path = blob_of("x");
        source.text = blob_of("ten bytes.");
        assert_error(store_document_add(store, &source, &id, &error), ERROR_USAGE, "ascend");
    }
    struct store_session session;
    assert_ok(store_session_get(store, &session, &error));
    assert_int_equal(session.documents, 0);
    store_session_finish(&session);
    store_close(store);
}

static void many_small_writes_are_one_transaction(void **state) {
    (void)state;
    struct error error;
    struct store *store = open_new("group.db");
    assert_ok(store_begin(store, &error));
    add(store, blob_of("a"), blob_of("aaa"));
    int64_t id;
    const struct store_source wrong = {
        .path = blob_of("b"), .pages = (const uint64_t[]){9}, .pages_count = 1};
    assert_false(store_document_add(store, &wrong, &id, &error));
    assert_error(store_document_remove(store, 55, &error), ERROR_NOT_FOUND, "55");
    add(store, blob_of("c"), blob_of("ccc"));
    assert_ok(store_end(store, true, &error));
    assert_ok(store_begin(store, &error));
    add(store, blob_of("d"), blob_of("ddd"));
    assert_false(store_end(store, false, NULL));
    struct store_documents list;
    assert_ok(store_documents_list(store, true, &list, &error));
    assert_int_equal(list.count, 2);
    assert_blob(list.rows[1].path, "c", 1);
    store_documents_finish(&list);
    store_close(store);
}

static bool stop_at_last(void *left) {
    size_t *n = left;
    return --*n == 0;
}

/* Wherever it is stopped, in the new text, its passages or those of the text that it replaces. */
static void storing_can_be_stopped(void **state) {
    (void)state;
    enum { SIZE = 300 * 1024 };
    struct error error;
    struct store *store = open_new("stopped.db");
    char *text = malloc(SIZE);
    assert_non_null(text);
    for (size_t i = 0; i < SIZE; i++) {
        text[i] = i % 50 == 49 ? '\n' : i % 7 == 6 ? ' ' : 'a' + (char)(i % 5);
    }
    const struct blob old = {text, SIZE}, new = {text + 1, SIZE - 1};
    int64_t id = add(store, blob_of("book"), old);
    size_t asked = SIZE_MAX, times;
    store_use_stop(store, stop_at_last, &asked);
    assert_ok(store_begin(store, &error));
    add(store, blob_of("book"), new);
    assert_false(store_end(store, false, NULL));
    times = SIZE_MAX - asked;
    assert_true(times > 500); /* for each piece, and for some hundred bytes of passages */
    for (size_t n = 1; n <= times; n += times / 11) {
        const struct store_source source = {.path = blob_of("book"), .text = new};
        size_t left = n;
        store_use_stop(store, stop_at_last, &left);
        assert_error(store_document_add(store, &source, NULL, &error), ERROR_INTERRUPTED, "stop");
        assert_int_equal(left, 0);
    }
    store_use_stop(store, NULL, NULL);
    struct store_document document;
    assert_ok(store_document_by_path(store, blob_of("book"), &document, &error));
    assert_int_equal(document.id, id);
    store_document_finish(&document);
    assert_true(add(store, blob_of("book"), new) > id);
    store_close(store);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_texts_come_back_byte_by_byte),
        cmocka_unit_test(spans_are_placed_across_pieces),
        cmocka_unit_test(lines_of_small_texts),
        cmocka_unit_test(equal_texts_are_stored_once),
        cmocka_unit_test(changed_and_removed_sources_leave_a_record),
        cmocka_unit_test(skips_are_listed_until_they_are_taken),
        cmocka_unit_test(bad_offsets_are_refused),
        cmocka_unit_test(many_small_writes_are_one_transaction),
        cmocka_unit_test(storing_can_be_stopped),
    };
    return cmocka_run_group_tests_name("storage_documents", tests, temp_make, temp_remove);
}
