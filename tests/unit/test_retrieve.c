/* SPDX-License-Identifier: Apache-2.0
 *
 * Words, the index in memory and retrieval, on texts small enough to know the right answer. How
 * well it does on real books is measured by tests/bench/retrieval.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/import/import.h"
#include "app/memory_index.h"
#include "app/retrieve.h"

/* The stems of a text, with a space between; stop words in brackets, parts after a dot. */
static bool append_word(void *context, const struct word *word) {
    struct bytes *out = context;
    if (out->size) {
        bytes_put(out, " ", 1);
    }
    bytes_put(out, word->stop ? "(" : word->part ? "." : "", word->stop || word->part);
    bytes_put(out, word->stem, word->size);
    bytes_put(out, ")", word->stop);
    return true;
}

static void words_table(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {" .,;!? \n", ""},
        {"The whales were swimming", "(the) whale (were) swim"},
        {"organisation Organised ORGANISING organize", "organ organ organ organ"},
        {"wrote written writing", "write write write"},
        {"labour labor colours four journal", "labor labor color four journal"},
        {"Ahab's don't", "ahab (s) (don) (t)"},
        {"get_line_end", "get_line_end (get) .line .end"},
        {"getLineEnd", "getlineend (get) .line .end"},
        {"HTTPServer_name", "httpserver_name .http .server (name)"},
        {"__init__", "init .init"},
        {"_", ""},
        {"1,234.5 and 3.40.1 at 12:30.", "1234.5 (and) 3.40.1 (at) 12:30"},
        {"utf8 x86_64", "utf8 x86_64 .x86 .64"},
        {"os.path.join(a)", "os path join (a)"},
        {"Caf\xC3\xA9 \xC3\x89migr\xC3\xA9s", "cafe emigr"},
        {"\xD0\x9C\xD0\xBE\xD1\x81\xD0\xBA\xD0\xB2\xD0\xB0",
         "\xD0\xBC\xD0\xBE\xD1\x81\xD0\xBA\xD0\xB2\xD0\xB0"},
        {"\xE4\xB8\xAD\xE5\x9B\xBD\xE4\xBA\xBA",
         "\xE4\xB8\xAD\xE5\x9B\xBD \xE5\x9B\xBD\xE4\xBA\xBA"},
        {"\xE4\xB8\xAD", "\xE4\xB8\xAD"},
        {"bad \xFF\xFE bytes", "bad byte"},
    };
    struct words *w = words_create();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bytes out = {0};
        words_of(w, rows[i][0], strlen(rows[i][0]), append_word, &out);
        bytes_put_u8(&out, 0);
        assert_string_equal((char *)out.data, rows[i][1]);
        bytes_finish(&out);
    }
    words_destroy(w);
}

static bool count_word(void *context, const struct word *word) {
    (void)word;
    ++*(size_t *)context;
    return true;
}

static void long_words_are_cut(void **state) {
    (void)state;
    struct words *w = words_create();
    size_t size = 1 << 20, count = 0;
    char *text = malloc(size);
    memset(text, 'a', size);
    words_of(w, text, size, count_word, &count);
    assert_int_equal(count, 1);
    for (size_t i = 0; i + 1 < size; i += 2) {
        text[i] = (char)0xC3;
        text[i + 1] = (char)0xA9;
    }
    count = 0;
    words_of(w, text, size, count_word, &count);
    assert_int_equal(count, 1);
    free(text);
    words_destroy(w);
}

/* A small library: one book of chapters, one source file. */
static const char book[] =
    "CHAPTER I. The Harbour\n\n"
    "The schooner Halcyon lay in the harbour of Veyra for eleven days while her master, Tobias\n"
    "Renn, waited for a letter from his sister. Rain fell on most of them.\n\n"
    "On the twelfth day the letter came. It said that the mill had burned down and that their\n"
    "father had gone to live with the lighthouse keeper, who was an old friend of the family.\n\n"
    "CHAPTER II. The Crossing\n\n"
    "They sailed at dawn with a cargo of salted herring and nine barrels of lamp oil. The wind\n"
    "stood in the north-west, and the cook, a man named Osric, sang hymns over his pots. By noon\n"
    "the coast had sunk below the horizon and only gulls kept them company on the grey water.\n\n"
    "In the night a barrel came loose and broke the leg of the ship's boy. Osric set the bone "
    "with\n"
    "two staves and a length of tarred rope, and gave him brandy until he slept.\n\n"
    "CHAPTER III. The Island\n\n"
    "The island had no name on the chart. A stone tower stood at its northern end, and in the "
    "tower\n"
    "lived a woman who counted the birds for a learned society in the capital. She had counted\n"
    "them for thirty years and had never once been paid.\n";

static const char code[] = "#include <stdio.h>\n\n"
                           "/* Reads the configuration and gives the number of worker threads. */\n"
                           "int readWorkerCount(const char *path) {\n"
                           "    FILE *file = fopen(path, \"r\");\n"
                           "    int count = 1;\n"
                           "    if (file) {\n"
                           "        fscanf(file, \"%d\", &count);\n"
                           "        fclose(file);\n"
                           "    }\n"
                           "    return count;\n"
                           "}\n\n"
                           "int parse_retry_limit(const char *text) {\n"
                           "    return text[0] - '0';\n"
                           "}\n";

struct library {
    struct words *words;
    struct document documents[2];
    struct passages passages[2];
    struct memory_index *memory;
    struct passage_index index;
};

static int open_library(void **state) {
    struct library *lib = calloc(1, sizeof *lib);
    const char *const names[] = {"halcyon.txt", "src/worker.c"}, *const texts[] = {book, code};
    struct import_limits limits = import_limits_default();
    struct skips skips = {0};
    lib->words = words_create();
    lib->memory = memory_index_create(lib->words, NULL);
    for (size_t i = 0; i < 2; i++) {
        struct document *d = &lib->documents[i];
        if (import_bytes(texts[i], strlen(texts[i]), names[i], &limits, d, &skips, NULL) !=
                IMPORT_TAKEN ||
            !passages_cut(d, &lib->passages[i], NULL) ||
            !memory_index_add(lib->memory, d, &lib->passages[i], NULL)) {
            return -1;
        }
    }
    lib->index = memory_index_view(lib->memory);
    *state = lib;
    return 0;
}

static int close_library(void **state) {
    struct library *lib = *state;
    memory_index_destroy(lib->memory);
    for (size_t i = 0; i < 2; i++) {
        passages_finish(&lib->passages[i]);
        document_finish(&lib->documents[i]);
    }
    words_destroy(lib->words);
    free(lib);
    return 0;
}

static struct retrieval ask(struct library *lib, const char *question,
                            const struct retrieve_options *options) {
    struct retrieval r = {0};
    struct error error = {0};
    struct retrieve_options usual = retrieve_options_default();
    assert_true(
        retrieve(&lib->index, lib->words, question, options ? options : &usual, &r, &error));
    for (size_t i = 0; i < r.count; i++) {
        const struct retrieved *it = &r.items[i];
        const struct document *d = &lib->documents[it->document];
        assert_int_equal(strlen(it->text), it->end - it->begin);
        assert_memory_equal(it->text, d->text + it->begin, it->end - it->begin);
        assert_string_equal(it->name, d->name);
    }
    return r;
}

static void right_passage_first(void **state) {
    static const struct {
        const char *question, *holds;
    } rows[] = {
        {"Who was the master of the Halcyon?", "Tobias\nRenn"},
        {"How long did the schooner stay at Veyra?", "eleven days"},
        {"What cargo did they sail with?", "salted herring"},
        {"Who set the bone of the boy's leg?", "Osric set the bone"},
        {"What did the woman in the tower count?", "counted the birds"},
        {"which function reads the worker count", "readWorkerCount"},
        {"what does readWorkerCount return?", "return count"},
        {"where is the retry limit parsed", "parse_retry_limit"},
        {"what is in worker.c", "readWorkerCount"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct retrieval r = ask(*state, rows[i].question, NULL);
        if (r.count == 0 || !strstr(r.items[0].text, rows[i].holds) || !r.supported) {
            fail_msg("%s: supported %d, coverage %.2f, found \"%s\"", rows[i].question, r.supported,
                     r.coverage, r.count ? r.items[0].text : "");
        }
        retrieval_finish(&r);
    }
}

static void nothing_on_the_subject(void **state) {
    static const char *const questions[] = {
        "What is the capital of Portugal?",
        "How do I bake sourdough bread?",
        "Which enzyme splits lactose?",
        "Who painted the ceiling of the Sistine Chapel?",
        "What does the function compressBlock do?",
        "When was Tobias Renn elected president of the chess federation?",
    };
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        struct retrieval r = ask(*state, questions[i], NULL);
        if (r.supported) {
            fail_msg("%s: supported, coverage %.2f", questions[i], r.coverage);
        }
        retrieval_finish(&r);
    }
}

static void questions_about_the_whole(void **state) {
    struct retrieval r = ask(*state, "What is this about?", NULL);
    assert_true(r.general && r.supported);
    assert_int_equal(r.count, 2); /* the opening of each document */
    assert_int_equal(r.items[0].begin, 0);
    retrieval_finish(&r);
}

static void neighbours_are_joined(void **state) {
    struct retrieve_options all = {.passages = 20, .budget = 100000};
    struct retrieval r =
        ask(*state, "schooner harbour letter mill cargo herring barrel island tower birds", &all);
    for (size_t i = 0; i < r.count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (r.items[i].document == r.items[j].document) {
                /* No two spans touch, or they would be one. */
                assert_true(r.items[i].end + 3 < r.items[j].begin ||
                            r.items[j].end + 3 < r.items[i].begin);
            }
        }
    }
    retrieval_finish(&r);
}

static size_t count_words(void *context, const char *text, size_t size) {
    struct library *lib = context;
    size_t count = 0;
    words_of(lib->words, text, size, count_word, &count);
    return count;
}

static void budget_is_kept(void **state) {
    struct library *lib = *state;
    for (size_t budget = 0; budget < 400; budget += 25) {
        struct retrieve_options o = {
            .passages = 10, .budget = budget, .cost = count_words, .cost_context = lib};
        struct retrieval r = ask(lib, "Osric and the tower and the Halcyon", &o);
        size_t cost = 0;
        for (size_t i = 0; i < r.count; i++) {
            cost += count_words(lib, r.items[i].text, strlen(r.items[i].text));
        }
        assert_true(cost <= budget);
        assert_true(r.count > 0 || budget < 200);
        retrieval_finish(&r);
    }
}

static void empty_library(void **state) {
    (void)state;
    struct words *words = words_create();
    struct memory_index *m = memory_index_create(words, NULL);
    struct passage_index index = memory_index_view(m);
    struct retrieve_options o = retrieve_options_default();
    static const char *const questions[] = {"", "Who is Ahab?", "What is this about?"};
    for (size_t i = 0; i < 3; i++) {
        struct retrieval r = {0};
        assert_true(retrieve(&index, words, questions[i], &o, &r, NULL));
        assert_false(r.supported);
        assert_int_equal(r.count, 0);
        retrieval_finish(&r);
    }
    memory_index_destroy(m);
    words_destroy(words);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_table),
        cmocka_unit_test(long_words_are_cut),
        cmocka_unit_test_setup_teardown(right_passage_first, open_library, close_library),
        cmocka_unit_test_setup_teardown(nothing_on_the_subject, open_library, close_library),
        cmocka_unit_test_setup_teardown(questions_about_the_whole, open_library, close_library),
        cmocka_unit_test_setup_teardown(neighbours_are_joined, open_library, close_library),
        cmocka_unit_test_setup_teardown(budget_is_kept, open_library, close_library),
        cmocka_unit_test(empty_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
