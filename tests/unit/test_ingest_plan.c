/* SPDX-License-Identifier: Apache-2.0
 *
 * app/ingest_plan.h: what is still to be read, at whatever token the memory stands, and where it is
 * kept on the way.
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

#include "app/ingest_plan.h"
#include "storage_temp.h"
#include "tests/tools/tiny_engine.h"

enum { CHUNK = 64, LINES = 400, CHAPTERS = 4 };

static struct engine *engine;
static char text[CHAPTERS * LINES * 80];
static struct store_section sections[CHAPTERS];
static size_t text_size;

static int make(void **state) {
    static const char *const titles[CHAPTERS] = {"One", "Two", "Three", "Four"};
    struct tiny_model m = tiny_model_of("llama");
    engine = tiny_engine(&m, NULL, NULL);
    for (int c = 0; c < CHAPTERS; c++) {
        sections[c] = (struct store_section){text_size, 1, blob_of(titles[c])};
        for (int i = 0; i < LINES; i++) {
            text_size += (size_t)sprintf(text + text_size, "Chapter %d has a line %d.\n", c, i);
        }
    }
    return engine ? temp_make(state) : -1;
}

static int unmake(void **state) {
    engine_close(engine);
    return temp_remove(state);
}

static int64_t add(struct store *store, const char *name, size_t size, bool chapters) {
    struct error error;
    int64_t id;
    const struct store_source source = {.path = blob_of(name),
                                        .text = {text, size},
                                        .sections = sections,
                                        .sections_count = chapters ? CHAPTERS : 0};
    assert_ok(store_document_add(store, &source, &id, &error));
    return id;
}

static struct ingest_plan plan_of(struct store *store, int64_t position) {
    struct ingest_plan plan = {0};
    struct error error;
    assert_ok(ingest_plan_make(&plan, store, engine_tokenizer(engine), position, CHUNK, &error));
    return plan;
}

static void bytes_and_sections_follow_the_tokens(void **state) {
    (void)state;
    struct store *store = temp_open(temp_path("bytes.db"), STORE_CREATE);
    add(store, "book", text_size, true);
    struct ingest_plan plan = plan_of(store, 0);
    assert_int_equal(plan.count, 1);
    const struct planned *d = &plan.documents[0];
    const struct tokenizer *t = engine_tokenizer(engine);
    assert_int_equal(d->first_position, -1);
    assert_int_equal(plan.tokens, d->list.count);
    assert_int_equal(plan.text_tokens, d->list.count - d->text_at);
    for (size_t i = 0; i < d->text_at; i++) {
        assert_int_equal(planned_byte(d, i), 0);
    }
    uint64_t byte = 0;
    for (size_t i = d->text_at; i < d->list.count; i++) {
        struct gguf_text piece = tokenizer_bytes(t, d->list.ids[i]);
        assert_int_equal(planned_byte(d, i), byte);
        assert_memory_equal(piece.data, text + byte, piece.size);
        byte += piece.size;
    }
    assert_int_equal(byte, text_size);
    assert_int_equal(planned_byte(d, d->list.count), text_size);
    assert_int_equal(planned_byte(d, d->list.count + 100), text_size);
    assert_string_equal(planned_section(d, 0), "One");
    assert_string_equal(planned_section(d, d->list.count), "Four");
    ingest_plan_finish(&plan);
    store_close(store);
}

static void marks_stand_at_chunks_before_chapters(void **state) {
    (void)state;
    struct store *store = temp_open(temp_path("marks.db"), STORE_CREATE);
    add(store, "short", 300, false);
    add(store, "book", text_size, true);
    struct ingest_plan plan = plan_of(store, 0);
    assert_int_equal(plan.count, 2);
    assert_int_equal(plan.documents[0].mark_count, 0);
    assert_false(plan.documents[0].mark_end); /* too near to the beginning */
    const struct planned *d = &plan.documents[1];
    uint64_t begin = plan.documents[0].list.count;
    assert_true(d->mark_count > 0);
    size_t before = 0;
    for (size_t i = 0; i < d->mark_count; i++) {
        const struct planned_mark *m = &d->marks[i];
        assert_true(m->at > before && m->at < d->list.count);
        assert_int_equal((begin + m->at) % CHUNK, 0);
        const char *title = strstr(m->name, ": ");
        assert_non_null(title);
        assert_memory_equal(m->name, "book", 4);
        size_t c = 0;
        while (c < CHAPTERS && strcmp(sections[c].title.data, title + 2) != 0) {
            c++;
        }
        assert_true(c < CHAPTERS);
        /* Nothing of the chapter is in the memory, and little is missing before it. */
        assert_true(planned_byte(d, m->at) <= sections[c].begin);
        assert_true(sections[c].begin - planned_byte(d, m->at) < CHUNK * 40);
        before = m->at;
    }
    ingest_plan_finish(&plan);
    store_close(store);
}

static void what_was_read_is_not_planned(void **state) {
    (void)state;
    struct error error;
    struct store *store = temp_open(temp_path("rest.db"), STORE_CREATE);
    int64_t first = add(store, "first", text_size / 2, false);
    add(store, "second", text_size, true);
    add(store, "empty", 0, false);
    struct ingest_plan whole = plan_of(store, 0);
    assert_int_equal(whole.count, 3);
    int64_t length = (int64_t)whole.documents[0].list.count;
    assert_ok(store_document_begin_reading(store, first, 0, length, &error));
    static const struct {
        int64_t before_end; /* of the first */
        size_t left;        /* documents to read */
    } cases[] = {{1000, 3}, {1, 3}, {0, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ingest_plan plan = plan_of(store, length - cases[i].before_end);
        assert_int_equal(plan.count, cases[i].left);
        assert_int_equal(plan.tokens, whole.tokens - (uint64_t)(length - cases[i].before_end));
        assert_int_equal(plan.text_tokens,
                         whole.text_tokens -
                             (whole.documents[0].list.count - whole.documents[0].text_at) +
                             (size_t)cases[i].before_end);
        const struct planned *last = &plan.documents[plan.count - 1];
        assert_string_equal(last->name, "empty");
        assert_int_equal(last->list.count, last->text_at);
        ingest_plan_finish(&plan);
    }
    ingest_plan_finish(&whole);
    store_close(store);
}

static bool stop_at_last(void *left) {
    size_t *n = left;
    return --*n == 0;
}

static void planning_can_be_stopped(void **state) {
    (void)state;
    struct store *store = temp_open(temp_path("stop.db"), STORE_CREATE);
    struct error error;
    add(store, "book", text_size, true);
    add(store, "again", text_size, true);
    for (size_t n = 1; n <= 2; n++) {
        size_t left = n;
        struct ingest_plan plan = {.stop = stop_at_last, .stop_context = &left};
        assert_error(ingest_plan_make(&plan, store, engine_tokenizer(engine), 0, CHUNK, &error),
                     ERROR_INTERRUPTED, "stopped");
        assert_int_equal(left, 0);
        ingest_plan_finish(&plan);
    }
    store_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_and_sections_follow_the_tokens),
        cmocka_unit_test(marks_stand_at_chunks_before_chapters),
        cmocka_unit_test(what_was_read_is_not_planned),
        cmocka_unit_test(planning_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
