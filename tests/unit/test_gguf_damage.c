/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/gguf: every kind of damage to a file is refused by name. G1 to G32 count the kinds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/gguf.h"
#include "engine/gguf_write.h"
#include "tests/tools/poke.h"

enum { ALIGNMENT = 32 };

/* The file that the tests damage. Names have four letters, so that the places of pokes are the same
 * for all. Tensor data: aaaa at 0, bbbb at 256, cccc at 352, dddd at 512 up to the file's end. */
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

/* Parses a copy of exactly `size` bytes, so that a sanitizer sees any read past them. */
static bool parse_copy(const uint8_t *data, size_t size, struct error *error) {
    uint8_t *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    struct gguf g;
    bool ok = gguf_parse(&g, copy, size, error);
    gguf_finish(&g);
    free(copy);
    return ok;
}

/* Places, seen from the end of a name of four letters. */
enum {
    LENGTH = -12,
    NAME = -4,
    TYPE = 0,  /* of a key */
    VALUE = 4, /* of a key; of a string, its length */
    ITEM = 4,  /* type of an array's items */
    COUNT = 8, /* of an array's items */
    ITEMS = 16,
    DIMS = 0, /* of a tensor */
    NE0 = 4,
    TYPE_1D = 12,
    OFFSET_1D = 16,
    NE1 = 12,
    TYPE_2D = 20,
    OFFSET_2D = 24,
};

#define MAX63 0x7fffffffffffffffu
#define BIT63 0x8000000000000000u
#define MAX64 0xffffffffffffffffu

static const struct damage {
    const char *title;
    struct poke pokes[3];
    const char *says[2]; /* words of the error; the second may be NULL */
} damages[] = {
    /* G2..G7: header */
    {"magic of zeros", {POKE(NULL, 0, 4, 0)}, {"not \"GGUF\""}},
    {"magic of a zip file", {POKE(NULL, 0, 4, 0x04034b50)}, {"not \"GGUF\""}},
    {"magic byte-swapped", {POKE_TEXT(NULL, 0, "FUGG")}, {"not \"GGUF\""}},
    {"magic of the format before", {POKE_TEXT(NULL, 0, "ggjt")}, {"not \"GGUF\""}},
    {"magic in lower case", {POKE_TEXT(NULL, 0, "gguf")}, {"not \"GGUF\""}},
    {"version 3 byte-swapped", {POKE(NULL, 4, 4, 0x03000000)}, {"other endianness", "byte 4"}},
    {"version 2 byte-swapped", {POKE(NULL, 4, 4, 0x02000000)}, {"other endianness", "byte 4"}},
    {"version 0", {POKE(NULL, 4, 4, 0)}, {"version 0, expected 2 or 3"}},
    {"version 1", {POKE(NULL, 4, 4, 1)}, {"version 1, expected 2 or 3"}},
    {"version 4", {POKE(NULL, 4, 4, 4)}, {"version 4, expected 2 or 3"}},
    {"version 2^32-1", {POKE(NULL, 4, 4, 0xffffffff)}, {"version 4294967295, expected 2 or 3"}},
    {"tensors 2^64-1", {POKE(NULL, 8, 8, MAX64)}, {"18446744073709551615 tensors", "byte 8"}},
    {"tensors 2^63", {POKE(NULL, 8, 8, BIT63)}, {"9223372036854775808 tensors"}},
    {"tensors 2^63-1", {POKE(NULL, 8, 8, MAX63)}, {"9223372036854775807 tensors"}},
    {"tensors 2^32-1", {POKE(NULL, 8, 8, 0xffffffff)}, {"4294967295 tensors cannot"}},
    {"tensors 2^59, so that x 32 wraps", {POKE(NULL, 8, 8, 1ull << 59)}, {"tensors cannot"}},
    {"tensors 40, too many for the bytes", {POKE(NULL, 8, 8, 40)}, {"40 tensors cannot"}},
    {"tensors 2^20+1", {POKE(NULL, 8, 8, (1 << 20) + 1)}, {"1048577 tensors cannot"}},
    {"keys 2^64-1", {POKE(NULL, 16, 8, MAX64)}, {"18446744073709551615 keys", "byte 16"}},
    {"keys 2^63", {POKE(NULL, 16, 8, BIT63)}, {"9223372036854775808 keys"}},
    {"keys 2^63-1", {POKE(NULL, 16, 8, MAX63)}, {"9223372036854775807 keys"}},
    {"keys 2^32-1", {POKE(NULL, 16, 8, 0xffffffff)}, {"4294967295 keys cannot"}},
    {"keys 2^61, so that x 14 wraps", {POKE(NULL, 16, 8, 1ull << 61)}, {"keys cannot"}},
    {"keys 70, too many for the bytes", {POKE(NULL, 16, 8, 70)}, {"70 keys cannot"}},
    {"keys 57, which leave no room for the tensors", {POKE(NULL, 16, 8, 57)}, {"57 keys cannot"}},
    {"keys 70, and no tensors", {POKE(NULL, 16, 8, 70), POKE(NULL, 8, 8, 0)}, {"70 keys cannot"}},
    {"keys one less, so that one becomes a tensor",
     {POKE(NULL, 16, 8, 4)},
     {"tensor \"flag\" has 7"}},

    /* G8..G11: keys */
    {"key length 2^64-1",
     {POKE("text", LENGTH, 8, MAX64)},
     {"a key of 18446744073709551615 bytes"}},
    {"key length 2^63", {POKE("text", LENGTH, 8, BIT63)}, {"a key of 9223372036854775808 bytes"}},
    {"key length 2^32", {POKE("text", LENGTH, 8, 1ull << 32)}, {"a key of 4294967296 bytes"}},
    {"key length 65536", {POKE("text", LENGTH, 8, 65536)}, {"65536 bytes, expected 1 to 65535"}},
    {"key length 65535", {POKE("text", LENGTH, 8, 65535)}, {"65535 bytes, but only", "byte 57"}},
    {"key length of more than is left", {POKE("text", LENGTH, 8, 2000)}, {"2000 bytes, but only"}},
    {"key empty", {POKE("text", LENGTH, 8, 0)}, {"a key of 0 bytes, expected 1"}},
    {"key repeated", {POKE_TEXT("flag", NAME, "text")}, {"duplicate key \"text\""}},
    {"key general.alignment repeated",
     {POKE_TEXT("general.alignment", -17, "text"), POKE("text", -8, 8, 4)},
     {"key"}},
    {"key with NUL", {POKE("text", NAME, 1, 0)}, {"control bytes or invalid UTF-8", "byte 57"}},
    {"key with escape", {POKE("text", NAME + 1, 1, 0x1b)}, {"a key with control bytes"}},
    {"key with line feed", {POKE("text", NAME + 3, 1, '\n')}, {"a key with control bytes"}},
    {"key with DEL", {POKE("text", NAME, 1, 0x7f)}, {"a key with control bytes"}},
    {"key with C1", {POKE_TEXT("text", NAME, "\xc2\x9b")}, {"a key with control bytes"}},
    {"key with lone continuation", {POKE("text", NAME, 1, 0x80)}, {"invalid UTF-8"}},
    {"key with byte 255", {POKE("text", NAME, 1, 0xff)}, {"invalid UTF-8"}},
    {"key cut in a character", {POKE("text", NAME + 3, 1, 0xc3)}, {"invalid UTF-8"}},
    {"key overlong", {POKE_TEXT("text", NAME, "\xc0\xaf")}, {"invalid UTF-8"}},
    {"key with surrogate", {POKE_TEXT("text", NAME, "\xed\xa0\x80")}, {"invalid UTF-8"}},
    {"key beyond Unicode", {POKE_TEXT("text", NAME, "\xf4\x90\x80\x80")}, {"invalid UTF-8"}},

    /* G12..G16: values */
    {"type 13", {POKE("text", TYPE, 4, 13)}, {"key \"text\" has type 13, expected 0 to 12"}},
    {"type -1", {POKE("text", TYPE, 4, 0xffffffff)}, {"has type 4294967295"}},
    {"type 2^31", {POKE("text", TYPE, 4, 1u << 31)}, {"has type 2147483648"}},
    {"string 2^64-1", {POKE("text", VALUE, 8, MAX64)}, {"string value of key \"text\" runs past"}},
    {"string 2^63-1", {POKE("text", VALUE, 8, MAX63)}, {"string value of key \"text\" runs past"}},
    {"string 2^63", {POKE("text", VALUE, 8, BIT63)}, {"string value of key \"text\" runs past"}},
    {"string 2^30+1", {POKE("text", VALUE, 8, (1 << 30) + 1)}, {"runs past the end"}},
    {"string 2000", {POKE("text", VALUE, 8, 2000)}, {"runs past the end", "byte 73"}},
    {"array of arrays", {POKE("ints", ITEM, 4, 9)}, {"key \"ints\" is an array of type 9"}},
    {"array of type 13", {POKE("ints", ITEM, 4, 13)}, {"key \"ints\" is an array of type 13"}},
    {"array of type -1", {POKE("ints", ITEM, 4, 0xffffffff)}, {"array of type 4294967295"}},
    {"array of 2^64-1", {POKE("ints", COUNT, 8, MAX64)}, {"array of 18446744073709551615 items"}},
    {"array of 2^63", {POKE("ints", COUNT, 8, BIT63)}, {"array of 9223372036854775808 items"}},
    {"array of 2^62, x 4 wraps", {POKE("ints", COUNT, 8, 1ull << 62)}, {"items, but only"}},
    {"array of u64 2^61, x 8 wraps",
     {POKE("ints", COUNT, 8, 1ull << 61), POKE("ints", ITEM, 4, GGUF_U64)},
     {"array of 2305843009213693952 items"}},
    {"array of 2^30+1", {POKE("ints", COUNT, 8, (1 << 30) + 1)}, {"array of 1073741825 items"}},
    {"array of 300 of four bytes", {POKE("ints", COUNT, 8, 300)}, {"array of 300 items, but only"}},
    {"array of 1000", {POKE("ints", COUNT, 8, 1000)}, {"array of 1000 items, but only"}},
    {"array of 3000 bytes",
     {POKE("ints", COUNT, 8, 3000), POKE("ints", ITEM, 4, GGUF_U8)},
     {"array of 3000 items, but only"}},
    {"strings 2^61, x 8 wraps", {POKE("strs", COUNT, 8, 1ull << 61)}, {"items, but only"}},
    {"strings 1000", {POKE("strs", COUNT, 8, 1000)}, {"array of 1000 items, but only"}},
    {"strings 50, more than there are", {POKE("strs", COUNT, 8, 50)}, {"of the array runs past"}},
    {"first string 2^64-1", {POKE("strs", ITEMS, 8, MAX64)}, {"string 0 of the array runs past"}},
    {"last string 2^63-1",
     {POKE("strs", ITEMS + 9, 8, MAX63)},
     {"string 1 of the array runs past"}},
    {"last string 2000",
     {POKE("strs", ITEMS + 9, 8, 2000)},
     {"key \"strs\": string 1 of the array"}},

    /* G19: alignment */
    {"alignment 0", {POKE("general.alignment", VALUE, 4, 0)}, {"is 0, expected a power of two"}},
    {"alignment 1", {POKE("general.alignment", VALUE, 4, 1)}, {"is 1, expected a power of two"}},
    {"alignment 3", {POKE("general.alignment", VALUE, 4, 3)}, {"is 3, expected a power of two"}},
    {"alignment 4", {POKE("general.alignment", VALUE, 4, 4)}, {"is 4, expected a power of two"}},
    {"alignment 13", {POKE("general.alignment", VALUE, 4, 13)}, {"is 13, expected a power of two"}},
    {"alignment 48", {POKE("general.alignment", VALUE, 4, 48)}, {"is 48, expected a power of two"}},
    {"alignment 2^17", {POKE("general.alignment", VALUE, 4, 1 << 17)}, {"is 131072, expected"}},
    {"alignment 2^31",
     {POKE("general.alignment", VALUE, 4, 1u << 31)},
     {"is 2147483648, expected"}},
    {"alignment 2^32-1", {POKE("general.alignment", VALUE, 4, 0xffffffff)}, {"is 4294967295"}},
    {"alignment as i32",
     {POKE("general.alignment", TYPE, 4, GGUF_I32)},
     {"has type i32, expected u32"}},
    {"alignment as f32",
     {POKE("general.alignment", TYPE, 4, GGUF_F32)},
     {"has type f32, expected u32"}},
    {"alignment 64 with offsets for 32",
     {POKE("general.alignment", VALUE, 4, 64)},
     {"\"cccc\" is at offset 352"}},

    /* G20..G26: shape and type of tensors */
    {"no dimensions", {POKE("bbbb", DIMS, 4, 0)}, {"tensor \"bbbb\" has 0 dimensions"}},
    {"5 dimensions", {POKE("bbbb", DIMS, 4, 5)}, {"has 5 dimensions, expected 1 to 4"}},
    {"255 dimensions", {POKE("bbbb", DIMS, 4, 255)}, {"has 255 dimensions, expected 1 to 4"}},
    {"2^32-1 dimensions", {POKE("bbbb", DIMS, 4, 0xffffffff)}, {"has 4294967295 dimensions"}},
    {"dimension 0", {POKE("bbbb", NE0, 8, 0)}, {"dimension 0 of tensor \"bbbb\" is 0"}},
    {"second dimension 0", {POKE("aaaa", NE1, 8, 0)}, {"dimension 1 of tensor \"aaaa\" is 0"}},
    {"dimension -1", {POKE("bbbb", NE0, 8, MAX64)}, {"dimension 0 of tensor \"bbbb\" is -1"}},
    {"dimension -2^63", {POKE("aaaa", NE1, 8, BIT63)}, {"is -9223372036854775808, expected"}},
    {"dimension 2^63-1", {POKE("dddd", NE0, 8, MAX63)}, {"tensor \"dddd\" is too large"}},
    {"dimension 2^62 of four bytes", {POKE("dddd", NE0, 8, 1ull << 62)}, {"\"dddd\" is too large"}},
    {"dimension 2^61, 2^63 bytes", {POKE("dddd", NE0, 8, 1ull << 61)}, {"\"dddd\" is too large"}},
    {"dimension 2^61-8, just less than 2^63 bytes",
     {POKE("dddd", NE0, 8, (1ull << 61) - 8)},
     {"tensor \"dddd\"", "runs past the end of the file"}},
    {"product wraps to 0",
     {POKE("aaaa", NE0, 8, 1ull << 32), POKE("aaaa", NE1, 8, 1ull << 32)},
     {"large"}},
    {"product wraps to 64",
     {POKE("aaaa", NE0, 8, (1ull << 58) + 1), POKE("aaaa", NE1, 8, 64)},
     {"tensor \"aaaa\" is too large"}},
    {"product is 2^63",
     {POKE("aaaa", NE0, 8, 1ull << 31), POKE("aaaa", NE1, 8, 1ull << 32)},
     {"large"}},
    {"product is 2^63 in fewer bytes",
     {POKE("aaaa", NE0, 8, 1ull << 62), POKE("aaaa", NE1, 8, 2),
      POKE("aaaa", TYPE_2D, 4, QUANT_Q4_0)},
     {"tensor \"aaaa\" is too large"}},
    {"sum of two sizes wraps",
     {POKE("cccc", NE0, 8, 0x1ffffffffffffff0), POKE("dddd", NE0, 8, 0x1ffffffffffffff0),
      POKE("cccc", TYPE_1D, 4, QUANT_F32)},
     {"tensor \"cccc\"", "runs past the end of the file"}},
    {"blocks of bytes wrap",
     {POKE("bbbb", NE0, 8, 0x7fffffffffffffe0)},
     {"tensor \"bbbb\" is too large", NULL}},
    {"type -1",
     {POKE("bbbb", TYPE_1D, 4, 0xffffffff)},
     {"type unknown (number 4294967295)", "bbbb"}},
    {"type 4, removed", {POKE("bbbb", TYPE_1D, 4, 4)}, {"has type Q4_2 (number 4)", "bbbb"}},
    {"type 5, removed", {POKE("bbbb", TYPE_1D, 4, 5)}, {"has type Q4_3 (number 5)"}},
    {"type 9, of activations", {POKE("bbbb", TYPE_1D, 4, 9)}, {"has type Q8_1 (number 9)"}},
    {"type 15, of activations", {POKE("cccc", TYPE_1D, 4, 15)}, {"has type Q8_K (number 15)"}},
    {"type 16", {POKE("cccc", TYPE_1D, 4, 16)}, {"\"cccc\" has type IQ2_XXS (number 16), which"}},
    {"type 20", {POKE("bbbb", TYPE_1D, 4, 20)}, {"has type IQ4_NL (number 20)"}},
    {"type 24", {POKE("aaaa", TYPE_2D, 4, 24)}, {"has type I8 (number 24)"}},
    {"type 28", {POKE("aaaa", TYPE_2D, 4, 28)}, {"has type F64 (number 28)"}},
    {"type 31, removed", {POKE("bbbb", TYPE_1D, 4, 31)}, {"has type Q4_0_4_4 (number 31)"}},
    {"type 39", {POKE("bbbb", TYPE_1D, 4, 39)}, {"has type MXFP4 (number 39)"}},
    {"type 100", {POKE("bbbb", TYPE_1D, 4, 100)}, {"has type unknown (number 100)"}},
    {"row of half a block",
     {POKE("bbbb", NE0, 8, 48)},
     {"rows of 48 values, expected a multiple of 32"}},
    {"row one short", {POKE("bbbb", NE0, 8, 63)}, {"tensor \"bbbb\" has rows of 63 values"}},
    {"row of 128 in blocks of 256",
     {POKE("cccc", NE0, 8, 128)},
     {"a multiple of 256, the block of Q4_K"}},
    {"row of 16 in blocks of 32", {POKE("aaaa", TYPE_2D, 4, QUANT_Q5_0)}, {"the block of Q5_0"}},

    /* G27..G31: places and names of tensors */
    {"offset 1", {POKE("bbbb", OFFSET_1D, 8, 257)}, {"offset 257, expected a multiple", "bbbb"}},
    {"offset aligned to 16 only",
     {POKE("bbbb", OFFSET_1D, 8, 272)},
     {"offset 272, expected a multiple"}},
    {"offset past the end",
     {POKE("dddd", OFFSET_1D, 8, 544)},
     {"\"dddd\" (32 bytes at offset 544"}},
    {"offset far past the end", {POKE("dddd", OFFSET_1D, 8, 1 << 30)}, {"runs past the end"}},
    {"offset 2^63", {POKE("dddd", OFFSET_1D, 8, BIT63)}, {"\"dddd\"", "runs past the end"}},
    {"offset -32, into the metadata",
     {POKE("dddd", OFFSET_1D, 8, MAX64 - 31)},
     {"runs past the end"}},
    {"offset -544, wraps to the start", {POKE("dddd", OFFSET_1D, 8, MAX64 - 543)}, {"runs past"}},
    {"last tensor one block too long",
     {POKE("dddd", NE0, 8, 9)},
     {"\"dddd\" (36 bytes at offset 512"}},
    {"overlap of one alignment",
     {POKE("bbbb", OFFSET_1D, 8, 224)},
     {"\"aaaa\" and \"bbbb\" overlap"}},
    {"overlap within another", {POKE("dddd", OFFSET_1D, 8, 64)}, {"\"aaaa\" and \"dddd\" overlap"}},
    {"overlap, same place", {POKE("cccc", OFFSET_1D, 8, 256)}, {"overlap at byte"}},
    {"overlap by one row more", {POKE("aaaa", NE1, 8, 5)}, {"\"aaaa\" and \"bbbb\" overlap"}},
    {"name repeated", {POKE_TEXT("bbbb", NAME, "aaaa")}, {"duplicate tensor name \"aaaa\""}},
    {"name empty", {POKE("bbbb", LENGTH, 8, 0)}, {"a tensor name of 0 bytes, expected 1 to 63"}},
    {"name of 64 bytes",
     {POKE("bbbb", LENGTH, 8, 64)},
     {"a tensor name of 64 bytes, expected 1 to 63"}},
    {"name of 2^64-1", {POKE("bbbb", LENGTH, 8, MAX64)}, {"a tensor name of 18446744073709551615"}},
    {"name of 2^63", {POKE("bbbb", LENGTH, 8, BIT63)}, {"a tensor name of 9223372036854775808"}},
    {"name with NUL", {POKE("bbbb", NAME + 2, 1, 0)}, {"a tensor name with control bytes"}},
    {"name with escape", {POKE("bbbb", NAME, 1, 0x1b)}, {"a tensor name with control bytes"}},
    {"name not UTF-8",
     {POKE("bbbb", NAME, 1, 0xff)},
     {"a tensor name with control bytes or invalid"}},
};

static void damaged_files_are_refused_by_name(void **state) {
    (void)state;
    int failures = 0;
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        const struct damage *d = &damages[i];
        struct bytes file = base_file();
        poke_all(&file, d->pokes, 3);
        struct error error = {0};
        bool ok = parse_copy(file.data, file.size, &error);
        if (ok || error.code != ERROR_INCOMPATIBLE || !strstr(error.text, d->says[0]) ||
            (d->says[1] && !strstr(error.text, d->says[1]))) {
            print_error("%s: %s, code %d: \"%s\"\n", d->title, ok ? "accepted" : "refused",
                        error.code, error.text);
            failures++;
        }
        bytes_finish(&file);
    }
    assert_int_equal(failures, 0);
}

/* G1, G31, G32 */
static void every_truncation_is_refused(void **state) {
    (void)state;
    struct bytes file = base_file();
    struct gguf g;
    struct error error = {0};
    assert_true(gguf_parse(&g, file.data, file.size, &error));
    size_t data_start = g.header_size;
    gguf_finish(&g);
    for (size_t size = 0; size < file.size; size++) {
        error = (struct error){0};
        if (parse_copy(file.data, size, &error) || error.code != ERROR_INCOMPATIBLE) {
            fail_msg("cut to %zu bytes: code %d \"%s\"", size, error.code, error.text);
        }
    }
    assert_non_null(strstr(error.text, "tensor \"dddd\" (32 bytes"));
    assert_false(parse_copy(file.data, 0, &error));
    assert_non_null(strstr(error.text, "the file is empty"));
    assert_false(parse_copy(file.data, data_start - 1, &error));
    assert_non_null(strstr(error.text, "ends before its tensor data"));
    assert_false(parse_copy(file.data, data_start, &error));
    assert_non_null(strstr(error.text, "runs past the end of the file"));
    bytes_finish(&file);
}

/* What the parser accepts may be anything, but nothing crashes and no time is lost. */
static void single_byte_mutations_do_no_harm(void **state) {
    (void)state;
    struct bytes file = base_file();
    uint32_t random = 1, accepted = 0;
    for (int i = 0; i < 6000; i++) {
        random = random * 1664525 + 1013904223;
        size_t at = (random >> 8) % (file.size - 544);
        uint8_t old = file.data[at];
        random = random * 1664525 + 1013904223;
        file.data[at] = (uint8_t)(i % 4 ? random >> 24 : old ^ 1u << (random >> 29));
        struct error error = {0};
        if (parse_copy(file.data, file.size, &error)) {
            accepted++;
        } else {
            assert_int_equal(error.code, ERROR_INCOMPATIBLE);
            assert_true(error.text[0] != '\0');
        }
        file.data[at] = old;
    }
    assert_in_range(accepted, 1, 5999); /* names and values may change; counts may not */
    bytes_finish(&file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_files_are_refused_by_name),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(single_byte_mutations_do_no_harm),
    };
    return cmocka_run_group_tests_name("gguf_damage", tests, NULL, NULL);
}
