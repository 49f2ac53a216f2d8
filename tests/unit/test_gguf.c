/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/gguf and engine/gguf_write: what is written is read back. What is refused is in
 * test_gguf_damage.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/gguf.h"
#include "engine/gguf_write.h"

enum { ALIGNMENT = 32 };

/* One value of each kind. Tensor data: aaaa at 0, bbbb at 256, cccc at 352, dddd at 512 up to the
 * file's end. */
static struct bytes base_file(void) {
    static const float floats[64];
    static const uint8_t blocks[256];
    static const int32_t ints[] = {1, -2, 3};
    const struct gguf_text strings[] = {{"a", 1}, {"bc", 2}};
    struct gguf_writer w = {0};
    struct bytes out = {0};
    gguf_put_u32(&w, "general.alignment", ALIGNMENT);
    gguf_put_string(&w, "text", "hello");
    gguf_put_i32s(&w, "ints", ints, 3);
    gguf_put_strings(&w, "strs", strings, 2);
    gguf_put_bool(&w, "flag", true);
    gguf_put_tensor(&w, "aaaa", QUANT_F32, 2, (uint64_t[]){16, 4}, floats);
    gguf_put_tensor(&w, "bbbb", QUANT_Q8_0, 1, (uint64_t[]){64}, blocks);
    gguf_put_tensor(&w, "cccc", QUANT_Q4_K, 1, (uint64_t[]){256}, blocks);
    gguf_put_tensor(&w, "dddd", QUANT_F32, 1, (uint64_t[]){8}, floats);
    assert_true(gguf_writer_build(&w, &out, NULL));
    gguf_writer_finish(&w);
    return out;
}

static void reads_what_was_written(void **state) {
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct bytes file = base_file();
        file.data[4] = (uint8_t)version;
        struct gguf g;
        struct error error;
        assert_true(gguf_parse(&g, file.data, file.size, &error));
        assert_int_equal(g.version, version);
        assert_int_equal(g.alignment, ALIGNMENT);
        assert_int_equal(g.pair_count, 5);
        assert_int_equal(g.tensor_count, 4);
        assert_int_equal(g.trailing, 0);
        assert_int_equal(g.header_size % ALIGNMENT, 0);
        assert_int_equal(g.header_size + 544, file.size);

        const struct gguf_pair *ints = gguf_find(&g, "ints");
        assert_int_equal(ints->type, GGUF_ARRAY);
        assert_int_equal(ints->item, GGUF_I32);
        assert_int_equal(ints->count, 3);
        assert_int_equal(ints->size, 12);
        struct reader r = reader_of(ints->data, ints->size);
        assert_int_equal(reader_u32(&r), 1);
        assert_int_equal((int32_t)reader_u32(&r), -2);

        struct gguf_strings strings = gguf_strings_of(gguf_find(&g, "strs"));
        struct gguf_text item;
        assert_true(gguf_strings_next(&strings, &item) && gguf_text_is(item, "a"));
        assert_true(gguf_strings_next(&strings, &item) && gguf_text_is(item, "bc"));
        assert_false(gguf_strings_next(&strings, &item));
        strings = gguf_strings_of(ints);
        assert_false(gguf_strings_next(&strings, &item));

        const struct gguf_tensor *t = gguf_find_tensor(&g, "aaaa");
        assert_int_equal(t->dims, 2);
        assert_int_equal(t->ne[0], 16);
        assert_int_equal(t->ne[1], 4);
        assert_int_equal(t->ne[3], 1);
        assert_int_equal(t->size, 256);
        assert_ptr_equal(t->data, file.data + g.header_size);
        t = gguf_find_tensor(&g, "cccc");
        assert_int_equal(t->type, QUANT_Q4_K);
        assert_int_equal(t->size, 144);
        assert_ptr_equal(t->data, file.data + g.header_size + 352);
        assert_null(gguf_find(&g, "aaaa"));
        assert_null(gguf_find(&g, ""));
        assert_null(gguf_find_tensor(&g, "text"));
        gguf_finish(&g);
        bytes_finish(&file);
    }
}

static void counts_what_follows_the_last_tensor(void **state) {
    (void)state;
    struct bytes file = base_file();
    bytes_put(&file, "extra", 5);
    struct gguf g;
    assert_true(gguf_parse(&g, file.data, file.size, NULL));
    assert_int_equal(g.trailing, 5);
    gguf_finish(&g);
    bytes_finish(&file);

    struct gguf_writer w = {0}; /* metadata alone */
    gguf_put_u32(&w, "k", 1);
    assert_true(gguf_writer_build(&w, &file, NULL));
    for (size_t cut = 0; cut <= 3; cut++) { /* the padding may be missing */
        assert_true(gguf_parse(&g, file.data, file.size - cut, NULL));
        assert_int_equal(g.trailing, 0);
        assert_int_equal(g.header_size, file.size - cut);
        gguf_finish(&g);
    }
    gguf_writer_finish(&w);
    bytes_finish(&file);
}

static void writer_output_is_little_endian_version_3(void **state) {
    (void)state;
    static const uint8_t expected[64] = {
        'G', 'G', 'U', 'F', 3, 0, 0, 0, 1,   0, 0, 0, 0, 0, 0, 0,    1,    0, 0, 0, 0, 0, 0,
        0,                                                                 /* counts */
        1,   0,   0,   0,   0, 0, 0, 0, 'k', 6, 0, 0, 0, 0, 0, 0x80, 0x3f, /* k = 1.0 */
        1,   0,   0,   0,   0, 0, 0, 0, 't', 1, 0, 0, 0, 1, 0, 0,    0,    0, 0, 0, 0, 1, 0,
    };
    struct gguf_writer w = {0};
    struct bytes file = {0};
    const uint8_t half[2] = {0xcd, 0xab};
    gguf_put_f32(&w, "k", 1);
    gguf_put_tensor(&w, "t", QUANT_F16, 1, (uint64_t[]){1}, half);
    assert_true(gguf_writer_build(&w, &file, NULL));
    assert_int_equal(file.size, 96 + 32);
    assert_memory_equal(file.data, expected, sizeof expected);
    assert_memory_equal(file.data + 96, half, 2);
    gguf_writer_finish(&w);
    bytes_finish(&file);
}

/* G17 */
static void many_names_are_read_in_linear_time(void **state) {
    (void)state;
    enum { NAMES = 200000 };
    struct gguf_writer w = {0};
    struct bytes file = {0};
    const float zero = 0;
    char name[32];
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "name.%d", i);
        gguf_put_u32(&w, name, (uint32_t)i);
        gguf_put_tensor(&w, name, QUANT_F32, 1, (uint64_t[]){1}, &zero);
    }
    assert_true(gguf_writer_build(&w, &file, NULL));
    struct gguf g;
    uint32_t value;
    clock_t start = clock();
    assert_true(gguf_parse(&g, file.data, file.size, NULL));
    for (int i = 0; i < NAMES; i += 1000) {
        snprintf(name, sizeof name, "name.%d", i);
        assert_true(gguf_u32(&g, name, &value, NULL));
        assert_int_equal(value, i);
        assert_ptr_equal(gguf_find_tensor(&g, name), &g.tensors[i]);
    }
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 2);
    gguf_finish(&g);
    gguf_writer_finish(&w);
    bytes_finish(&file);
}

static void longest_names_are_read(void **state) {
    (void)state;
    struct gguf_writer w = {0};
    struct bytes file = {0};
    char key[65536] = {0}, name[64] = {0};
    memset(key, 'k', 65535);
    memset(name, 'n', 63);
    const float zero = 0;
    gguf_put_bool(&w, key, true);
    gguf_put_tensor(&w, name, QUANT_F32, 1, (uint64_t[]){1}, &zero);
    assert_true(gguf_writer_build(&w, &file, NULL));
    struct gguf g;
    bool value = false;
    assert_true(gguf_parse(&g, file.data, file.size, NULL));
    assert_true(gguf_bool_or(&g, key, false, &value, NULL));
    assert_true(value);
    assert_non_null(gguf_find_tensor(&g, name));
    gguf_finish(&g);
    gguf_writer_finish(&w);
    bytes_finish(&file);
}

static void put_value(struct gguf_writer *w, const char *key, enum gguf_type type, uint64_t bits,
                      int size) {
    bytes_put_u64(&w->pairs, strlen(key));
    bytes_put(&w->pairs, key, strlen(key));
    bytes_put_u32(&w->pairs, type);
    for (int i = 0; i < size; i++) {
        bytes_put_u8(&w->pairs, (uint8_t)(i < 8 ? bits >> (8 * i) : 0));
    }
    w->pair_count++;
}

static void values_are_read_by_type(void **state) {
    (void)state;
    static const struct {
        enum gguf_type type;
        int size;
        uint64_t bits;
        int64_t value;    /* -1: refused */
        const char *says; /* when refused */
    } cases[] = {
        {GGUF_U8, 1, 255, 255, NULL},
        {GGUF_I8, 1, 127, 127, NULL},
        {GGUF_I8, 1, 255, -1, "is -1, expected 0 to 4294967295"},
        {GGUF_U16, 2, 65535, 65535, NULL},
        {GGUF_I16, 2, 32767, 32767, NULL},
        {GGUF_I16, 2, 0x8000, -1, "is -32768"},
        {GGUF_U32, 4, 0xffffffff, 0xffffffff, NULL},
        {GGUF_I32, 4, 0x7fffffff, 0x7fffffff, NULL},
        {GGUF_I32, 4, 0xffffffff, -1, "is -1"},
        {GGUF_U64, 8, 0xffffffff, 0xffffffff, NULL},
        {GGUF_U64, 8, 0x100000000, -1, "is 4294967296"},
        {GGUF_U64, 8, UINT64_MAX, -1, "expected 0 to 4294967295"},
        {GGUF_I64, 8, 7, 7, NULL},
        {GGUF_I64, 8, UINT64_MAX, -1, "is -1"},
        {GGUF_F32, 4, 0x3f800000, -1, "has type f32, expected a whole number"},
        {GGUF_F64, 8, 0x3ff0000000000000, -1, "has type f64, expected a whole number"},
        {GGUF_BOOL, 1, 1, -1, "has type bool, expected a whole number"},
        {GGUF_STRING, 8, 0, -1, "has type string, expected a whole number"},
        {GGUF_ARRAY, 12, GGUF_U32, -1, "has type array, expected a whole number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gguf_writer w = {0};
        struct bytes file = {0};
        struct gguf g;
        struct error error;
        uint32_t value, other;
        put_value(&w, "k", cases[i].type, cases[i].bits, cases[i].size);
        assert_true(gguf_writer_build(&w, &file, NULL));
        assert_true(gguf_parse(&g, file.data, file.size, &error));
        bool ok = gguf_u32(&g, "k", &value, &error);
        assert_int_equal(ok, cases[i].value >= 0);
        assert_int_equal(gguf_u32_or(&g, "k", 5, &other, &error), ok);
        if (ok) {
            assert_int_equal(value, cases[i].value);
            assert_int_equal(other, cases[i].value);
        } else {
            assert_non_null(strstr(error.text, cases[i].says));
            assert_non_null(strstr(error.text, "key \"k\""));
        }
        gguf_finish(&g);
        gguf_writer_finish(&w);
        bytes_finish(&file);
    }
}

static void other_values_are_read_by_type(void **state) {
    (void)state;
    struct gguf_writer w = {0};
    struct bytes file = {0};
    gguf_put_f32(&w, "f32", 0.5f);
    put_value(&w, "f64", GGUF_F64, 0x3fd0000000000000, 8); /* 0.25 */
    gguf_put_bool(&w, "bool", true);
    gguf_put_u32(&w, "u32", 1);
    gguf_put_string(&w, "text", "word");
    assert_true(gguf_writer_build(&w, &file, NULL));
    struct gguf g;
    struct error error;
    float number;
    bool flag;
    struct gguf_text text;
    uint32_t count;
    assert_true(gguf_parse(&g, file.data, file.size, &error));
    assert_true(gguf_f32(&g, "f32", &number, &error) && number == 0.5f);
    assert_true(gguf_f32(&g, "f64", &number, &error) && number == 0.25f);
    assert_true(gguf_f32_or(&g, "none", 3, &number, &error) && number == 3);
    assert_false(gguf_f32_or(&g, "u32", 3, &number, &error));
    assert_non_null(strstr(error.text, "key \"u32\" has type u32, expected f32"));
    assert_true(gguf_bool_or(&g, "bool", false, &flag, &error) && flag);
    assert_true(gguf_bool_or(&g, "none", true, &flag, &error) && flag);
    assert_false(gguf_bool_or(&g, "u32", true, &flag, &error));
    assert_non_null(strstr(error.text, "key \"u32\" has type u32, expected bool"));
    assert_true(gguf_text(&g, "text", &text, &error));
    assert_true(gguf_text_is(text, "word"));
    assert_false(gguf_text_is(text, "wor"));
    assert_false(gguf_text_is(text, "words"));
    assert_false(gguf_text(&g, "bool", &text, &error));
    assert_non_null(strstr(error.text, "key \"bool\" has type bool, expected string"));
    assert_true(gguf_u32_or(&g, "none", 9, &count, &error) && count == 9);
    assert_false(gguf_u32(&g, "none", &count, &error));
    assert_string_equal(error.text, "the file has no key \"none\"");
    assert_int_equal(error.code, ERROR_INCOMPATIBLE);
    gguf_finish(&g);
    gguf_writer_finish(&w);
    bytes_finish(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_written),
        cmocka_unit_test(counts_what_follows_the_last_tensor),
        cmocka_unit_test(writer_output_is_little_endian_version_3),
        cmocka_unit_test(many_names_are_read_in_linear_time),
        cmocka_unit_test(longest_names_are_read),
        cmocka_unit_test(values_are_read_by_type),
        cmocka_unit_test(other_values_are_read_by_type),
    };
    return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}
