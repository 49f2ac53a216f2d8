/* SPDX-License-Identifier: Apache-2.0
 *
 * Citations: the quote answers the question, stands at the place named, and a text that is not what
 * was indexed is found out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/citations.h"
#include "app/import/import.h"
#include "app/memory_index.h"

static const char book[] =
    "The keeper rose early. He trimmed the lamp and wrote the weather into a book.\n"
    "\n"
    "On the third of May the brig Calliope struck the reef, e.g. at low tide. Mr. Ferrars\n"
    "saw her from the gallery and rowed out alone. He saved seven of the crew, and the sea\n"
    "took the rest.\n"
    "\n"
    "Nothing else happened that spring; it rained, and the goat died. \x1b[31m\n";

struct desk {
    struct words *words;
    struct document document;
    struct passages passages;
    struct memory_index *memory;
    struct passage_index index;
};

static struct desk open_desk(const char *name, const char *text) {
    struct desk desk = {.words = words_create()};
    struct import_limits limits = import_limits_default();
    struct skips skips = {0};
    assert_int_equal(import_bytes(text, strlen(text), name, &limits, &desk.document, &skips, NULL),
                     IMPORT_TAKEN);
    desk.memory = memory_index_create(desk.words, NULL);
    return desk;
}

static void index_desk(struct desk *desk) {
    assert_true(passages_cut(&desk->document, &desk->passages, NULL));
    assert_true(memory_index_add(desk->memory, &desk->document, &desk->passages, NULL));
    desk->index = memory_index_view(desk->memory);
}

static void close_desk(struct desk *desk) {
    memory_index_destroy(desk->memory);
    passages_finish(&desk->passages);
    document_finish(&desk->document);
    words_destroy(desk->words);
}

static struct retrieval ask(struct desk *desk, const char *question) {
    struct retrieval r = {0};
    struct retrieve_options o = retrieve_options_default();
    assert_true(retrieve(&desk->index, desk->words, question, &o, &r, NULL));
    return r;
}

static void quote_answers(void **state) {
    (void)state;
    static const struct {
        const char *question, *answer, *quote;
        size_t first_line, last_line;
    } rows[] = {
        {"Who saw the Calliope?", NULL,
         "On the third of May the brig Calliope struck the reef, e.g. at low tide. Mr. Ferrars\n"
         "saw her from the gallery and rowed out alone.",
         3, 4},
        {"How many of the crew were saved?", NULL,
         "He saved seven of the crew, and the sea\ntook the rest.", 4, 5},
        {"What did the keeper write?", NULL,
         "He trimmed the lamp and wrote the weather into a book.", 1, 1},
        {"What about the spring?", "The goat died.",
         "Nothing else happened that spring; it rained, and the goat died.", 7, 7},
    };
    struct desk desk = open_desk("light.txt", book);
    index_desk(&desk);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct retrieval r = ask(&desk, rows[i].question);
        struct citations c = {0};
        struct error error = {0};
        assert_true(r.supported);
        assert_true(citations_make(&c, &r, &desk.index, desk.words, rows[i].answer, &error));
        assert_int_equal(c.count, 1);
        assert_int_equal(c.items[0].id, 1);
        if (!strstr(c.items[0].quote, rows[i].quote) && strcmp(c.items[0].quote, rows[i].quote)) {
            fail_msg("%s: quoted \"%s\"", rows[i].question, c.items[0].quote);
        }
        assert_int_equal(c.items[0].first_line, rows[i].first_line);
        assert_int_equal(c.items[0].last_line, rows[i].last_line);
        assert_memory_equal(desk.document.text + c.items[0].begin, c.items[0].quote,
                            c.items[0].end - c.items[0].begin);
        citations_finish(&c);
        retrieval_finish(&r);
    }
    close_desk(&desk);
}

static void no_support_no_citation(void **state) {
    (void)state;
    struct desk desk = open_desk("light.txt", book);
    index_desk(&desk);
    struct retrieval r = ask(&desk, "Which volcano destroyed Pompeii?");
    struct citations c = {0};
    assert_false(r.supported);
    assert_true(citations_make(&c, &r, &desk.index, desk.words, NULL, NULL));
    assert_int_equal(c.count, 0);
    retrieval_finish(&r);
    close_desk(&desk);
}

static void changed_text_is_found_out(void **state) {
    (void)state;
    struct desk desk = open_desk("light.txt", book);
    index_desk(&desk);
    struct retrieval r = ask(&desk, "How many of the crew were saved?");
    desk.document.text[strstr(desk.document.text, "seven") - desk.document.text] = 'S';
    struct citations c = {0};
    struct error error = {0};
    assert_false(citations_make(&c, &r, &desk.index, desk.words, NULL, &error));
    assert_int_equal(error.code, ERROR_FAILURE);
    assert_int_equal(c.count, 0);
    retrieval_finish(&r);
    close_desk(&desk);
}

static void text_form(void **state) {
    (void)state;
    struct desk desk = open_desk("a\nb\x1b]0;x\x07.txt", "The goat \x1b[31mwas called Bess.\n");
    index_desk(&desk);
    struct retrieval r = ask(&desk, "What was the goat called?");
    struct citations c = {0};
    struct bytes out = {0};
    assert_true(citations_make(&c, &r, &desk.index, desk.words, NULL, NULL));
    assert_true(citations_text(&c, &out, NULL));
    bytes_put_u8(&out, 0);
    assert_string_equal((char *)out.data,
                        "[1] a^Jb^[]0;x^G.txt, line 1: \"The goat ^[[31mwas called "
                        "Bess.\"\n");
    bytes_finish(&out);
    citations_finish(&c);
    retrieval_finish(&r);
    close_desk(&desk);
}

static void page_is_named(void **state) {
    (void)state;
    struct desk desk = open_desk("paper.pdf", book);
    assert_true(document_add_page(&desk.document, 0));
    assert_true(document_add_page(
        &desk.document, (size_t)(strstr(desk.document.text, "On the third") - desk.document.text)));
    index_desk(&desk);
    struct retrieval r = ask(&desk, "How many of the crew were saved?");
    struct citations c = {0};
    struct bytes out = {0};
    assert_true(citations_make(&c, &r, &desk.index, desk.words, NULL, NULL));
    assert_true(citations_text(&c, &out, NULL));
    static const char expected[] = "[1] paper.pdf, page 2, lines 4-5: \"He saved seven of the crew";
    assert_memory_equal(out.data, expected, sizeof expected - 1);
    json_t *json = citations_json(&c);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json, 0), "page")), 2);
    json_decref(json);
    bytes_finish(&out);
    citations_finish(&c);
    retrieval_finish(&r);
    close_desk(&desk);
}

static void json_form(void **state) {
    (void)state;
    struct desk desk = open_desk("bad\xFF.txt", "The goat was called \"Bess\".\n");
    index_desk(&desk);
    struct retrieval r = ask(&desk, "What was the goat called?");
    struct citations c = {0};
    assert_true(citations_make(&c, &r, &desk.index, desk.words, NULL, NULL));
    json_t *json = citations_json(&c);
    char *text = json_dumps(json, JSON_COMPACT);
    assert_string_equal(text, "[{\"id\":1,\"source\":\"bad\xEF\xBF\xBD.txt\",\"page\":null,"
                              "\"first_line\":1,\"last_line\":1,"
                              "\"quote\":\"The goat was called \\\"Bess\\\".\"}]");
    free(text);
    json_decref(json);
    citations_finish(&c);
    retrieval_finish(&r);
    close_desk(&desk);
}

/* A line of 100 kB without a stop still gives a short quote that divides no character. */
static void long_lines_are_cut(void **state) {
    (void)state;
    struct bytes text = {0};
    for (int i = 0; i < 20000; i++) {
        bytes_put(&text, i == 10000 ? "walrus" : "\xE2\x82\xAC\xE2\x82\xAC", 6);
        if (i == 9999 || i == 10000) {
            bytes_put(&text, " ", 1);
        }
    }
    bytes_put_u8(&text, 0);
    struct desk desk = open_desk("long.txt", (char *)text.data);
    index_desk(&desk);
    struct retrieval r = ask(&desk, "walrus");
    struct citations c = {0};
    assert_true(citations_make(&c, &r, &desk.index, desk.words, NULL, NULL));
    assert_int_equal(c.count, 1);
    assert_true(strlen(c.items[0].quote) <= 400);
    assert_non_null(strstr(c.items[0].quote, "walrus"));
    json_t *json = citations_json(&c);
    assert_non_null(json); /* jansson refuses anything but whole characters */
    json_decref(json);
    citations_finish(&c);
    retrieval_finish(&r);
    close_desk(&desk);
    bytes_finish(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quote_answers),
        cmocka_unit_test(no_support_no_citation),
        cmocka_unit_test(changed_text_is_found_out),
        cmocka_unit_test(text_form),
        cmocka_unit_test(page_is_named),
        cmocka_unit_test(json_form),
        cmocka_unit_test(long_lines_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
