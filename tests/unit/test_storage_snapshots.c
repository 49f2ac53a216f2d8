/* SPDX-License-Identifier: Apache-2.0
 *
 * storage/snapshots.h and transcript.h: what is kept and thinned out, sharing, damage, rewinding;
 * turns in order with their citations.
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

#include "storage/snapshots.h"
#include "storage/transcript.h"
#include "storage_temp.h"

enum { LAYERS = 3, PART = 5000 };

/* A memory of three layers; layer 0 is the same in every state. */
static int64_t save(struct store *store, int64_t position, const char *mark,
                    const struct store_budget *budget) {
    struct error error;
    static uint8_t data[LAYERS][PART];
    struct store_part parts[LAYERS];
    for (int layer = 0; layer < LAYERS; layer++) {
        memset(data[layer], layer ? (int)(position % 251) + layer : 7, PART);
        parts[layer] = (struct store_part){blob_of("fast"), layer, data[layer], PART};
    }
    const struct store_snapshot snapshot = {
        .position = position,
        .mark = blob_of(mark),
        .time = 1700000000,
        .maker = {blob_of("smol"), blob_of("abc"), blob_of("ad"), blob_of("def"), 1}};
    int64_t generation;
    assert_ok(store_snapshot_save(store, &snapshot, parts, LAYERS, budget, &generation, &error));
    return generation;
}

struct taken {
    int parts;
    int64_t position;
};

static bool take(void *context, const struct store_part *part, struct error *error) {
    struct taken *taken = context;
    (void)error;
    assert_blob(part->name, "fast", 4);
    assert_int_equal(part->layer, taken->parts++);
    assert_int_equal(part->size, PART);
    int value = part->layer ? (int)(taken->position % 251 + part->layer) : 7;
    for (size_t i = 0; i < PART; i++) {
        assert_int_equal(((const uint8_t *)part->data)[i], value);
    }
    return true;
}

static bool take_none(void *context, const struct store_part *part, struct error *error) {
    (void)context, (void)part;
    return error_set(error, ERROR_USAGE, "no room");
}

static void states_come_back(void **state) {
    (void)state;
    struct error error;
    struct store *store = temp_open(temp_path("back.db"), STORE_CREATE);
    struct store_snapshot snapshot;
    assert_error(store_snapshot_newest(store, &snapshot, &error), ERROR_NOT_FOUND, "no memory");
    save(store, 100, NULL, NULL);
    int64_t generation = save(store, 250, "chapter '1'", NULL);
    store_close(store);
    store = temp_open(temp_path("back.db"), STORE_READ);
    assert_ok(store_snapshot_newest(store, &snapshot, &error));
    assert_int_equal(snapshot.generation, generation);
    assert_int_equal(snapshot.position, 250);
    assert_int_equal(snapshot.size, LAYERS * PART);
    assert_blob(snapshot.mark, "chapter '1'", 11);
    assert_blob(snapshot.maker.adapter_print, "def", 3);
    store_snapshot_finish(&snapshot);
    struct taken taken = {.position = 250};
    assert_ok(store_snapshot_read(store, generation, take, &taken, NULL, &error));
    assert_int_equal(taken.parts, LAYERS);
    assert_error(store_snapshot_read(store, generation, take_none, NULL, NULL, &error), ERROR_USAGE,
                 "no room");
    assert_error(store_snapshot_read(store, 99, NULL, NULL, NULL, &error), ERROR_NOT_FOUND, "99");
    assert_ok(store_snapshot_by_mark(store, blob_of("chapter '1'"), &snapshot, &error));
    store_snapshot_finish(&snapshot);
    assert_error(store_snapshot_by_mark(store, blob_of("x"), &snapshot, &error), ERROR_NOT_FOUND,
                 "there are: chapter '1'");
    assert_error(store_snapshot_rewind(store, 1, &error), ERROR_FAILURE, "for reading only");
    store_close(store);
}

static uint64_t memory_bytes(struct store *store) {
    struct error error;
    struct store_sizes sizes;
    assert_ok(store_sizes(store, &sizes, &error));
    return sizes.memory;
}

static void two_generations_are_kept_and_equal_parts_shared(void **state) {
    (void)state;
    struct error error;
    struct store *store = temp_open(temp_path("two.db"), STORE_CREATE);
    uint64_t file = 0;
    for (int i = 1; i <= 60; i++) {
        save(store, i * 10, NULL, NULL);
        struct store_snapshots list;
        assert_ok(store_snapshots_list(store, &list, &error));
        assert_int_equal(list.count, i < 2 ? i : 2);
        assert_int_equal(list.rows[list.count - 1].position, i * 10);
        store_snapshots_finish(&list);
        /* Of each state two layers are its own; layer 0 is there once. */
        assert_int_equal(memory_bytes(store), i < 2 ? 3 * PART : 5 * PART);
        struct store_sizes sizes;
        assert_ok(store_sizes(store, &sizes, &error));
        if (i == 10) {
            file = sizes.file;
        }
        assert_true(i < 10 || sizes.file <= file);
    }
    store_close(store);
}

/* The positions of the marked ones as a text. */
static const char *marked(struct store *store) {
    static char text[300];
    struct error error;
    struct store_snapshots list;
    assert_ok(store_snapshots_list(store, &list, &error));
    size_t size = 0;
    text[0] = '\0';
    for (size_t i = 0; i < list.count; i++) {
        if (list.rows[i].mark.data) {
            size += (size_t)snprintf(text + size, sizeof text - size, "%s%d", size ? " " : "",
                                     (int)list.rows[i].position);
        }
    }
    store_snapshots_finish(&list);
    return text;
}

static void marks_are_thinned_evenly(void **state) {
    (void)state;
    struct error error;
    static const struct {
        const char *name;
        struct store_budget budget;
        int positions[12]; /* up to the first 0 */
        const char *left;
    } cases[] = {
        {"a.db", {3, UINT64_MAX}, {100, 200, 300}, "100 200 300"},
        {"b.db", {3, UINT64_MAX}, {100, 200, 300, 400}, "200 300 400"},
        {"c.db", {3, UINT64_MAX}, {100, 110, 300, 400}, "110 300 400"},
        {"d.db", {3, UINT64_MAX}, {10, 200, 210, 400, 500}, "200 400 500"},
        {"e.db", {4, UINT64_MAX}, {100, 200, 300, 400, 500, 600, 700, 800}, "200 400 700 800"},
        {"f.db", {8, 2 * LAYERS * PART}, {100, 200, 300, 400}, "300 400"},
        /* The newest two keep their marks whatever the budget. */
        {"g.db", {0, 0}, {100, 200, 300}, "200 300"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct store *store = temp_open(temp_path(cases[i].name), STORE_CREATE);
        for (int k = 0; k < 12 && cases[i].positions[k]; k++) {
            char mark[20];
            snprintf(mark, sizeof mark, "at %d", cases[i].positions[k]);
            save(store, cases[i].positions[k], mark, &cases[i].budget);
        }
        assert_string_equal(marked(store), cases[i].left);
        store_close(store);
    }
    /* A mark is in one place; unmarked ones go when they are old. */
    struct store *store = temp_open(temp_path("h.db"), STORE_CREATE);
    save(store, 10, "end", NULL);
    save(store, 20, "half", NULL);
    save(store, 30, NULL, NULL);
    save(store, 40, "end", NULL);
    save(store, 50, NULL, NULL);
    assert_string_equal(marked(store), "20 40");
    struct store_snapshots list;
    assert_ok(store_snapshots_list(store, &list, &error));
    assert_int_equal(list.count, 3);
    assert_ok(store_snapshot_rewind(store, list.rows[0].generation, &error));
    store_snapshots_finish(&list);
    assert_int_equal(memory_bytes(store), 3 * PART);
    struct store_session session;
    assert_ok(store_session_get(store, &session, &error));
    assert_int_equal(session.position, 20);
    store_session_finish(&session);
    assert_error(store_snapshot_rewind(store, 99, &error), ERROR_NOT_FOUND, "99");
    assert_true(save(store, 60, NULL, NULL) > 5); /* a generation's number is not used again */
    store_close(store);
}

static void equal_memories_have_equal_hashes(void **state) {
    (void)state;
    struct error error;
    uint8_t hashes[4][HASH_BYTES];
    struct store *a = temp_open(temp_path("hash1.db"), STORE_CREATE);
    struct store *b = temp_open(temp_path("hash2.db"), STORE_CREATE);
    assert_ok(store_snapshot_hash(a, save(a, 30, NULL, NULL), hashes[0], &error));
    save(b, 10, "x", NULL);
    assert_ok(store_snapshot_hash(b, save(b, 30, "y", NULL), hashes[1], &error));
    assert_ok(store_snapshot_hash(b, save(b, 31, NULL, NULL), hashes[2], &error));
    assert_memory_equal(hashes[0], hashes[1], HASH_BYTES);
    assert_memory_not_equal(hashes[0], hashes[2], HASH_BYTES);
    assert_error(store_snapshot_hash(a, 99, hashes[3], &error), ERROR_NOT_FOUND, "99");
    /* Generation 0 is the beginning. */
    const struct store_source source = {.path = blob_of("p"), .text = blob_of("p")};
    int64_t id;
    struct store_document document;
    struct store_snapshot snapshot;
    assert_ok(store_document_add(a, &source, &id, &error));
    assert_ok(store_document_begin_reading(a, id, 0, 5, &error));
    assert_ok(store_snapshot_rewind(a, 0, &error));
    assert_error(store_snapshot_newest(a, &snapshot, &error), ERROR_NOT_FOUND, "no memory");
    assert_ok(store_document_get(a, id, &document, &error));
    assert_int_equal(document.first_position, -1);
    store_document_finish(&document);
    assert_int_equal(memory_bytes(a), 0);
    store_close(a);
    store_close(b);
}

static void reading_counts_as_far_as_snapshots_go(void **state) {
    (void)state;
    struct error error;
    struct store *store = temp_open(temp_path("read.db"), STORE_CREATE);
    int64_t ids[3];
    for (int i = 0; i < 3; i++) {
        char name[2] = {(char)('a' + i), 0};
        const struct store_source source = {.path = blob_of(name), .text = blob_of(name)};
        assert_ok(store_document_add(store, &source, &ids[i], &error));
    }
    assert_ok(store_document_begin_reading(store, ids[0], 0, 100, &error));
    save(store, 60, NULL, NULL);
    assert_ok(store_document_begin_reading(store, ids[1], 100, 50, &error));
    save(store, 130, NULL, NULL);
    assert_ok(store_document_begin_reading(store, ids[2], 150, 10, &error));
    store_close(store); /* with nothing saved of the third */

    static const struct {
        int64_t rewind; /* to the generation, unless 0 */
        int64_t position, read[3];
        bool whole[3];
    } cases[] = {
        {0, 130, {100, 30, 0}, {true, false, false}},
        {1, 60, {60, 0, 0}, {false, false, false}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        store = temp_open(temp_path("read.db"), STORE_WRITE);
        if (cases[i].rewind) {
            assert_ok(store_snapshot_rewind(store, cases[i].rewind, &error));
        }
        assert_ok(store_set_title(store, blob_of("touch"), &error));
        struct store_documents list;
        assert_ok(store_documents_list(store, false, &list, &error));
        for (int k = 0; k < 3; k++) {
            const struct store_document *document = &list.rows[k];
            assert_int_equal(store_tokens_read(document, cases[i].position), cases[i].read[k]);
            assert_int_equal(store_is_read(document, cases[i].position), cases[i].whole[k]);
            /* Also when the timeline goes on with something else. */
            assert_int_equal(store_tokens_read(document, 10000) > 0, cases[i].read[k] > 0);
        }
        store_documents_finish(&list);
        store_close(store);
    }
}

/* Acts on the file behind storage's back. */
static void damage(const char *path, const char *sql) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", sql, message);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void damage_is_named_and_the_earlier_state_offered(void **state) {
    (void)state;
    static const struct {
        const char *sql, *says;
        int64_t sound;
    } cases[] = {
        {"UPDATE payload SET body = zeroblob(5000) WHERE id = (SELECT payload FROM part"
         " WHERE generation = 2 AND layer = 2)",
         "generation 2 (token 20) is damaged in part 'fast', layer 2; generation 1 is sound", 1},
        {"UPDATE payload SET body = zeroblob(5000) WHERE id = (SELECT payload FROM part"
         " WHERE generation = 2 AND layer = 0)",
         "part 'fast', layer 0; no earlier one is sound", 0},
        {"UPDATE payload SET body = x'' WHERE id = (SELECT payload FROM part"
         " WHERE generation = 2 AND layer = 1)",
         "part 'fast', layer 1", 1},
        {"UPDATE payload SET hash = zeroblob(32) WHERE id = 4", "list of parts", 1},
        {"UPDATE payload SET hash = x'00' WHERE id = 4", "damaged", 1},
        {"DELETE FROM part WHERE generation = 2 AND layer = 1", "list of parts", 1},
        {"UPDATE part SET layer = 9 WHERE generation = 2 AND layer = 1", "list of parts", 1},
        {"UPDATE snapshot SET position = 21 WHERE generation = 2", "list of parts", 1},
        {"UPDATE snapshot SET model_print = x'00' WHERE generation = 2", "list of parts", 1},
        {"UPDATE snapshot SET digest = x'00' WHERE generation = 2", "damaged", 1},
    };
    struct error error;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[20];
        snprintf(name, sizeof name, "damage%zu.db", i);
        struct store *store = temp_open(temp_path(name), STORE_CREATE);
        save(store, 10, NULL, NULL);
        save(store, 20, NULL, NULL);
        store_close(store);
        damage(temp_path(name), cases[i].sql);
        store = temp_open(temp_path(name), STORE_READ);
        int64_t sound;
        assert_error(store_snapshot_read(store, 2, NULL, NULL, &sound, &error), ERROR_INCOMPATIBLE,
                     cases[i].says);
        assert_int_equal(sound, cases[i].sound);
        store_close(store);
    }
}

static void turns_are_kept_in_order(void **state) {
    (void)state;
    struct error error;
    struct store *store = temp_open(temp_path("turns.db"), STORE_CREATE);
    const struct store_source source = {.path = blob_of("x"), .text = blob_of("one two three")};
    int64_t document, id, before = 0;
    assert_ok(store_document_add(store, &source, &document, &error));
    struct store_citation citations[] = {
        {document, {4, 7}, {1, 1, 0}},
        {document, {0, 3}, {1, 1, 0}},
    };
    enum { TURNS = 30 };
    for (int i = 0; i < TURNS; i++) {
        char body[50];
        int n = snprintf(body, sizeof body, "turn %d\n\x1b[31m%c\xff", i, 0);
        const struct store_turn turn = {
            .role = blob_of(i % 2 ? "assistant" : "user"),
            .body = {body, (size_t)n},
            .time = 1000 - i, /* the clock may go back, the order stays */
            .prefill_tokens = i,
            .complete = i % 3 != 0,
            .citations = citations,
            .citations_count = i % 2 ? 2 : 0,
        };
        assert_ok(store_turn_add(store, &turn, &id, &error));
        assert_true(id > before);
        before = id;
    }
    citations[1].document = 99;
    const struct store_turn wrong = {
        .role = blob_of("assistant"), .citations = citations, .citations_count = 2};
    assert_error(store_turn_add(store, &wrong, NULL, &error), ERROR_USAGE, "document 99");
    store_close(store);

    store = temp_open(temp_path("turns.db"), STORE_READ);
    struct store_turns turns;
    static const size_t limits[] = {0, 1, 7, TURNS, 1000};
    for (size_t k = 0; k < sizeof limits / sizeof *limits; k++) {
        size_t count = limits[k] && limits[k] < TURNS ? limits[k] : TURNS;
        assert_ok(store_turns_list(store, limits[k], &turns, &error));
        assert_int_equal(turns.count, count);
        for (size_t i = 0; i < count; i++) {
            const struct store_turn *turn = &turns.rows[i];
            int number = (int)(TURNS - count + i);
            char body[50];
            int n = snprintf(body, sizeof body, "turn %d\n\x1b[31m%c\xff", number, 0);
            assert_blob(turn->body, body, (size_t)n);
            assert_int_equal(turn->prefill_tokens, number);
            assert_int_equal(turn->time, 1000 - number);
            assert_int_equal(turn->complete, number % 3 != 0);
            assert_int_equal(turn->citations_count, number % 2 ? 2 : 0);
            if (turn->citations_count) {
                assert_int_equal(turn->citations[0].span.begin, 4);
                assert_int_equal(turn->citations[1].span.end, 3);
            }
        }
        store_turns_finish(&turns);
    }
    store_close(store);
    damage(temp_path("turns.db"), "UPDATE turn SET body = CAST('other' AS BLOB) WHERE id = 5");
    store = temp_open(temp_path("turns.db"), STORE_READ);
    assert_error(store_turns_list(store, 0, &turns, &error), ERROR_INCOMPATIBLE, "turn 5 ");
    store_close(store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_come_back),
        cmocka_unit_test(two_generations_are_kept_and_equal_parts_shared),
        cmocka_unit_test(marks_are_thinned_evenly),
        cmocka_unit_test(equal_memories_have_equal_hashes),
        cmocka_unit_test(reading_counts_as_far_as_snapshots_go),
        cmocka_unit_test(damage_is_named_and_the_earlier_state_offered),
        cmocka_unit_test(turns_are_kept_in_order),
    };
    return cmocka_run_group_tests_name("storage_snapshots", tests, temp_make, temp_remove);
}
