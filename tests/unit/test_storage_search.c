/* SPDX-License-Identifier: Apache-2.0
 *
 * storage/search.h: what is found by which words, what a memory at a mark may see, and how fast a
 * large text is indexed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "storage/search.h"
#include "storage/verify.h"
#include "storage_temp.h"

static int64_t add(struct store *store, const char *path, struct blob text) {
    struct error error;
    int64_t id;
    const struct store_source source = {
        .path = blob_of(path), .kind = blob_of("text"), .text = text};
    assert_ok(store_document_add(store, &source, &id, &error));
    return id;
}

static void words_find_passages(void **state) {
    (void)state;
    static const struct {
        const char *path, *text;
    } sources[] = {
        {"moby.txt", "Call me Ishmael. The whales were hunted by Captain Ahab."}, /* 1 */
        {"src/http_client.c", "int readHTTPFile2(struct fileReader *r) { return r->sha256sum; }"},
        {"src/net.c", "void parse_request_line(char *s);"}, /* 3 */
        {"cafe.md", "Un caf\xc3\xa9 na\xc3\xafve, \xc3\x9c"
                    "bermut."}, /* 4 */
        {"zh.txt",
         "\xe6\x88\x91\xe4\xbb\xac\xe5\x9c\xa8\xe5\x8c\x97\xe4\xba\xac\xe5\xa4\xa7\xe5\xad"
         "\xa6\xe8\xaf\xbb\xe4\xb9\xa6\xe3\x80\x82"},       /* 5: we read at Beijing university */
        {"bad.bin", "a \xff\xfe\xc3 broken \xe2\x82 text"}, /* 6 */
    };
    enum { SOURCES = sizeof sources / sizeof *sources };
    static const struct {
        const char *term;
        int64_t document; /* 0: nothing is found */
    } cases[] = {
        {"ishmael", 1},
        {"whale", 1},         /* stem */
        {"hunting", 1},       /* stem */
        {"captain ahab", 1},  /* together */
        {"ahab captain", 0},  /* not in this order */
        {"readHTTPFile2", 2}, /* whole */
        {"READHTTPFILE2", 2},
        {"http", 2}, /* by its parts, and by the path */
        {"file reader", 2},
        {"file_reader", 2}, /* the other way to write it */
        {"FileReader", 2},
        {"sha", 2},
        {"http_client", 2},
        {"request", 3},
        {"parseRequestLine", 3},
        {"parse_request_line", 3},
        {"net.c", 3},
        {"cafe", 4}, /* accents do not count */
        {"CAF\xc3\x89", 4},
        {"ubermut", 4},
        {"\xe5\x8c\x97\xe4\xba\xac", 5},             /* two ideographs inside a run */
        {"\xe5\xa4\xa7\xe5\xad\xa6\xe8\xaf\xbb", 5}, /* three */
        {"\xe4\xba\xac\xe5\x8c\x97", 0},             /* the first two, the other way round */
        {"broken", 6},
        {"elephant", 0},
        {"", 0},
        {"...", 0},
        {"\"", 0},
        {"ahab\"", 1},
        {"\" OR \"whale", 0}, /* no syntax: the words or, whale */
        {"words:ishmael", 0},
        {"NOT", 0},
        {"ahab*", 1}, /* the star is punctuation */
        {"aha*", 0},
        {"NEAR(call ishmael)", 0},
        {"\xff\xfe", 0},
        {"'); DROP TABLE passage;--", 0},
    };
    struct error error;
    struct store *store = temp_open(temp_path("words.db"), STORE_CREATE);
    for (size_t i = 0; i < SOURCES; i++) {
        assert_int_equal(add(store, sources[i].path, blob_of(sources[i].text)), i + 1);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store_hits hits;
        const struct blob term = blob_of(cases[i].term);
        const struct store_query query = {.terms = &term, .count = 1, .limit = 10};
        assert_ok(store_search(store, &query, &hits, &error));
        int64_t found = hits.count ? hits.rows[0].document : 0;
        if (found != cases[i].document || hits.count > 1) {
            fail_msg("'%s': %zu hits, the first in %d, expected %d", cases[i].term, hits.count,
                     (int)found, (int)cases[i].document);
        }
        assert_int_equal(hits.passages, SOURCES);
        /* What only the path has counts as found, not as said in the text. */
        bool by_path =
            strcmp(cases[i].term, "net.c") == 0 || strcmp(cases[i].term, "http_client") == 0;
        assert_int_equal(hits.frequency[0], by_path ? 0 : hits.count);
        uint64_t frequency;
        assert_ok(store_frequency(store, term, &frequency, &error));
        assert_int_equal(frequency, hits.frequency[0]);
        if (hits.count) {
            assert_int_equal(hits.rows[0].matched, 1);
            assert_int_equal(hits.rows[0].place.first_line, 1);
        }
        store_hits_finish(&hits);
    }
    store_close(store);
}

static void several_terms_rank_and_are_told_apart(void **state) {
    (void)state;
    struct error error;
    struct store *store = temp_open(temp_path("terms.db"), STORE_CREATE);
    add(store, "1", blob_of("red green"));
    add(store, "2", blob_of("red"));
    add(store, "3", blob_of("red green blue"));
    add(store, "4", blob_of("yellow"));
    const struct blob terms[] = {blob_of("blue"), blob_of("red"), blob_of("violet"),
                                 blob_of("green")};
    struct store_hits hits;
    struct store_query query = {.terms = terms, .count = 4, .limit = 10};
    assert_ok(store_search(store, &query, &hits, &error));
    assert_int_equal(hits.count, 3);
    assert_int_equal(hits.rows[0].document, 3);
    assert_int_equal(hits.rows[0].matched, 1 | 2 | 8);
    assert_true(hits.rows[0].score > hits.rows[1].score);
    assert_int_equal(hits.rows[1].document, 1);
    assert_int_equal(hits.rows[1].matched, 2 | 8);
    assert_int_equal(hits.passages, 4);
    static const uint64_t frequency[] = {1, 3, 0, 2};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(hits.frequency[i], frequency[i]);
    }
    store_hits_finish(&hits);
    query.limit = 1;
    assert_ok(store_search(store, &query, &hits, &error));
    assert_int_equal(hits.count, 1);
    store_hits_finish(&hits);
    query = (struct store_query){.terms = terms, .count = 2, .limit = 10, .all = true};
    assert_ok(store_search(store, &query, &hits, &error));
    assert_int_equal(hits.count, 1);
    assert_int_equal(hits.rows[0].document, 3);
    store_hits_finish(&hits);
    query.count = 0;
    assert_error(store_search(store, &query, &hits, &error), ERROR_USAGE, "1 to 64");
    query.count = STORE_TERMS_MAX + 1;
    assert_error(store_search(store, &query, &hits, &error), ERROR_USAGE, "not 65");
    struct blob many[STORE_TERMS_MAX];
    for (size_t i = 0; i < STORE_TERMS_MAX; i++) {
        many[i] = blob_of(i == 63 ? "yellow" : "absent");
    }
    query = (struct store_query){.terms = many, .count = STORE_TERMS_MAX, .limit = 10};
    assert_ok(store_search(store, &query, &hits, &error));
    assert_int_equal(hits.count, 1);
    assert_true(hits.rows[0].matched == (uint64_t)1 << 63);
    store_hits_finish(&hits);
    store_close(store);
}

/* A rule that no other could be taken for: every letter becomes the next one. */
static bool put_shifted(void *context, struct blob text, struct bytes *out) {
    ++*(int *)context;
    bytes_put_u8(out, ' ');
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bytes_put_u8(out, (uint8_t)(c >= 'a' && c < 'z' ? c + 1 : c));
    }
    return !out->failed;
}

static size_t find(struct store *store, const char *word, struct error *error) {
    const struct blob term = blob_of(word);
    const struct store_query query = {.terms = &term, .count = 1, .limit = 10};
    struct store_hits hits;
    *error = (struct error){0};
    size_t count = store_search(store, &query, &hits, error) ? hits.count : 99;
    store_hits_finish(&hits);
    return count;
}

static void another_rule_for_words_takes_over(void **state) {
    (void)state;
    struct error error;
    int calls = 0;
    const struct store_words shifted = {"shifted 1", put_shifted, &calls};
    const struct store_words later = {"shifted 2", put_shifted, &calls};
    const char *path = temp_path("rule.db");
    struct store *store = temp_open(path, STORE_CREATE);
    const struct store_section sections[] = {{0, 1, blob_of("overture")},
                                             {6, 1, blob_of("finale")}};
    static const struct store_span passages[] = {{0, 5}, {6, 11}};
    const struct store_source source = {.path = blob_of("opera"),
                                        .text = blob_of("whale shark"),
                                        .sections = sections,
                                        .sections_count = 2,
                                        .passages = passages,
                                        .passages_count = 2};
    int64_t opera;
    assert_ok(store_document_add(store, &source, &opera, &error));
    assert_int_equal(find(store, "whale", &error), 1);
    assert_int_equal(find(store, "overture", &error), 1); /* the passage under that heading */
    assert_int_equal(find(store, "finale", &error), 1);
    assert_int_equal(find(store, "opera", &error), 2);
    uint64_t frequency;
    assert_ok(store_frequency(store, blob_of("overture"), &frequency, &error));
    assert_int_equal(frequency, 0);
    assert_ok(store_use_words(store, &shifted, &error)); /* makes the index again */
    assert_int_equal(find(store, "whale", &error), 0);
    assert_int_equal(find(store, "xibmf", &error), 1);
    assert_int_equal(find(store, "gjobmf", &error), 1);
    assert_int_equal(find(store, "pqfsb", &error), 2);
    int64_t fish = add(store, "fish", blob_of("cod"));
    assert_int_equal(find(store, "dpe", &error), 1);
    store_close(store);

    store = temp_open(path, STORE_READ);
    assert_int_equal(find(store, "whale", &error), 99); /* storage's own rule is not this one's */
    assert_int_equal(error.code, ERROR_INCOMPATIBLE);
    assert_non_null(strstr(error.text, "'shifted 1'"));
    assert_error(store_use_words(store, &later, &error), ERROR_INCOMPATIBLE,
                 "made by the rule 'shifted 1' for words, not by 'shifted 2'");
    assert_ok(store_use_words(store, &shifted, &error));
    assert_int_equal(find(store, "dpe", &error), 1);
    store_close(store);

    store = temp_open(path, STORE_WRITE);
    int64_t id;
    assert_error(store_document_remove(store, fish, &error), ERROR_INCOMPATIBLE, "shifted 1");
    assert_error(
        store_document_add(store, &(struct store_source){.text = blob_of("eel")}, &id, &error),
        ERROR_INCOMPATIBLE, "shifted 1");
    calls = 0;
    assert_ok(store_use_words(store, &shifted, &error));
    assert_int_equal(calls, 0); /* nothing to do */
    assert_ok(store_document_remove(store, fish, &error));
    assert_ok(store_document_remove(store, opera, &error));
    assert_ok(store_verify(store, NULL, NULL, &error));
    assert_int_equal(find(store, "xibmf", &error), 0);
    const struct store_words long_name = {
        "0123456789012345678901234567890123456789012345678901234567890123", put_shifted, &calls};
    assert_error(store_use_words(store, &long_name, &error), ERROR_USAGE, "too long");
    store_close(store);
}

static void a_horizon_hides_what_was_read_later(void **state) {
    (void)state;
    struct error error;
    struct store *store = temp_open(temp_path("horizon.db"), STORE_CREATE);
    char text[3000];
    memset(text, '.', sizeof text);
    memcpy(text, "spoiler one", 11);
    memcpy(text + 2000, " spoiler two", 12);
    static const struct store_span passages[] = {{0, 1000}, {1000, 2000}, {2000, 3000}};
    const struct store_source source = {.path = blob_of("novel"),
                                        .kind = blob_of("text"),
                                        .text = {text, sizeof text},
                                        .passages = passages,
                                        .passages_count = 3};
    int64_t novel;
    assert_ok(store_document_add(store, &source, &novel, &error));
    int64_t later = add(store, "later", blob_of("spoiler three"));
    add(store, "unread", blob_of("spoiler four"));
    assert_ok(store_document_begin_reading(store, novel, 0, 900, &error));
    assert_ok(store_document_begin_reading(store, later, 900, 10, &error));
    const struct store_horizon horizons[] = {
        {0, 0, 0}, {300, novel, 1000}, {700, novel, 2001}, {900, 0, 0}, {905, later, 1},
    };
    static const size_t seen[] = {0, 1, 2, 2, 3};
    const struct blob term = blob_of("spoiler");
    for (size_t i = 0; i <= 5; i++) {
        struct store_hits hits;
        const struct store_query query = {
            .terms = &term, .count = 1, .limit = 10, .horizon = i < 5 ? &horizons[i] : NULL};
        assert_ok(store_search(store, &query, &hits, &error));
        assert_int_equal(hits.count, i < 5 ? seen[i] : 4);
        store_hits_finish(&hits);
    }
    struct store_passages list;
    assert_ok(store_passages_list(store, novel, (struct store_span){999, 1001}, &list, &error));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.rows[1].span.begin, 1000);
    store_passages_finish(&list);
    store_close(store);
}

/* Passages cut by storage cover every byte that is not white space, in order, within the limits. */
static void passages_cover_the_text(void **state) {
    (void)state;
    struct error error;
    struct store *store = temp_open(temp_path("cover.db"), STORE_CREATE);
    enum { SIZE = 200000 };
    char *text = malloc(SIZE);
    assert_non_null(text);
    for (int kind = 0; kind < 4; kind++) {
        uint32_t random = 12345;
        for (size_t i = 0; i < SIZE; i++) {
            random = random * 1664525 + 1013904223;
            unsigned r = random >> 24;
            text[i] = kind == 0   ? (char)('a' + r % 26)           /* no white space */
                      : kind == 1 ? "ab \n"[r % 4]                 /* short words */
                      : kind == 2 ? (i % 3 == 0 ? '\xe4' : '\xb8') /* 3-byte characters */
                                  : (r < 2   ? 'x'
                                     : r < 9 ? '\n'
                                             : ' '); /* nearly empty */
        }
        char name[2] = {(char)('0' + kind), 0};
        int64_t id = add(store, name, (struct blob){text, SIZE});
        struct store_passages list;
        assert_ok(store_passages_list(store, id, (struct store_span){0, SIZE}, &list, &error));
        uint64_t at = 0, line = 1;
        for (size_t i = 0; i < list.count; i++) {
            struct store_span span = list.rows[i].span;
            assert_true(span.begin >= at && span.end > span.begin);
            assert_true(span.end - span.begin <= 1000);
            for (; at < span.begin; at++) {
                assert_true(text[at] == ' ' || text[at] == '\n');
                line += text[at] == '\n';
            }
            assert_int_equal(list.rows[i].first_line, line);
            if (kind == 2) {
                assert_int_equal((unsigned char)text[at], 0xe4);
            }
            for (; at < span.end; at++) {
                line += text[at] == '\n';
            }
            assert_int_equal(list.rows[i].last_line, line);
        }
        for (; at < SIZE; at++) {
            assert_true(text[at] == ' ' || text[at] == '\n');
        }
        store_passages_finish(&list);
    }
    store_close(store);
    free(text);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void ten_megabytes_are_indexed_in_seconds(void **state) {
    (void)state;
    struct error error;
    enum { SIZE = 10 << 20, WORDS = 50000 };
    char *text = malloc(SIZE + 32);
    assert_non_null(text);
    size_t size = 0;
    uint32_t random = 1;
    while (size < SIZE) {
        random = random * 1664525 + 1013904223;
        /* Squared, so that some words are far more frequent than others, as in a language. */
        uint64_t r = random >> 8;
        size += (size_t)snprintf(text + size, 32, "w%llx%s",
                                 (unsigned long long)(r * r % ((uint64_t)WORDS * r / 97 + 1)),
                                 r % 13 == 0 ? ".\n" : " ");
    }
    memcpy(text + 5000000, " needle ", 8);
    struct store *store = temp_open(temp_path("large.db"), STORE_CREATE);
    double start = seconds();
    int64_t id = add(store, "large", (struct blob){text, size});
    double indexed = seconds();
    const struct blob term = blob_of("needle");
    const struct store_query query = {.terms = &term, .count = 1, .limit = 10};
    struct store_hits hits;
    assert_ok(store_search(store, &query, &hits, &error));
    double found = seconds();
    print_message("indexed 10 MiB in %.2f s, %llu passages; found in %.1f ms\n", indexed - start,
                  (unsigned long long)hits.passages, (found - indexed) * 1e3);
    assert_int_equal(hits.count, 1);
    assert_true(hits.rows[0].span.begin <= 5000001 && hits.rows[0].span.end >= 5000007);
    struct blob got;
    assert_ok(store_document_read(store, id, 5000001, 5000007, &got, &error));
    assert_blob(got, "needle", 6);
    blob_free(&got);
    store_hits_finish(&hits);
    assert_true(indexed - start < 60); /* also under a sanitizer on a busy machine */
    assert_ok(store_document_remove(store, id, &error));
    assert_ok(store_search(store, &query, &hits, &error));
    assert_int_equal(hits.passages + hits.count + hits.frequency[0], 0);
    store_hits_finish(&hits);
    store_close(store);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_find_passages),
        cmocka_unit_test(several_terms_rank_and_are_told_apart),
        cmocka_unit_test(another_rule_for_words_takes_over),
        cmocka_unit_test(a_horizon_hides_what_was_read_later),
        cmocka_unit_test(passages_cover_the_text),
        cmocka_unit_test(ten_megabytes_are_indexed_in_seconds),
    };
    return cmocka_run_group_tests_name("storage_search", tests, temp_make, temp_remove);
}
