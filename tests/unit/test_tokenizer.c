/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/tokenizer and what it is made of: the tokens are those of llama.cpp, all bytes come back,
 * no text gives a control token, and unsound vocabularies are refused by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/bpe.h"
#include "engine/pretokenize.h"
#include "engine/tokenizer.h"
#include "engine/unicode.h"
#include "tests/golden/tokenizer.h"
#include "tests/tools/vocabulary_file.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, ADDED = 4, UNUSED = 5 };

static const char *const pres[] = {"gpt-2", "smollm", "qwen2", "llama-bpe"};

/* NULL when the vocabulary is refused. */
static struct tokenizer *try_file(const struct vocabulary_file *f, struct error *error) {
    struct bytes file = {0};
    struct gguf g;
    vocabulary_file_build(f, &file);
    assert_true(gguf_parse(&g, file.data, file.size, NULL));
    struct tokenizer *t = tokenizer_create(&g, error);
    gguf_finish(&g);
    bytes_finish(&file); /* the tokenizer must not need it */
    return t;
}

static struct tokenizer *of_file(const struct vocabulary_file *f) {
    struct error error = {0};
    struct tokenizer *t = try_file(f, &error);
    assert_string_equal(error.text, "");
    assert_non_null(t);
    return t;
}

static struct tokenizer *of_pre(const char *pre) {
    struct vocabulary_file f;
    vocabulary_file_golden(&f);
    f.pre = pre;
    return of_file(&f);
}

static struct tokens encode(const struct tokenizer *t, const char *text, size_t size) {
    struct tokens list = {0};
    assert_true(tokenizer_encode(t, text, size, &list, NULL));
    return list;
}

/* The bytes of the tokens are `text`, and none of them is a control token. */
static void assert_spells(const struct tokenizer *t, const struct tokens *list, const char *text,
                          size_t size) {
    size_t at = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct gguf_text bytes = tokenizer_bytes(t, list->ids[i]);
        assert_false(tokenizer_is_control(t, list->ids[i]));
        assert_true(bytes.size > 0 && bytes.size <= size - at);
        assert_memory_equal(bytes.data, text + at, bytes.size);
        at += bytes.size;
    }
    assert_int_equal(at, size);
}

static void assert_round_trip(const struct tokenizer *t, const char *text, size_t size) {
    struct tokens list = encode(t, text, size);
    assert_spells(t, &list, text, size);
    tokens_finish(&list);
}

static void tokens_are_those_of_llama_cpp(void **state) {
    (void)state;
    const struct {
        const char *pre;
        const int32_t *ids;
    } cases[] = {
        {"gpt-2", golden_ids_gpt_2},      {"smollm", golden_ids_smollm},
        {"qwen2", golden_ids_qwen2},      {"llama-bpe", golden_ids_llama_bpe},
        {"llama3", golden_ids_llama_bpe}, {"llama-v3", golden_ids_llama_bpe},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct tokenizer *t = of_pre(cases[i].pre);
        assert_string_equal(tokenizer_pre(t), cases[i].pre);
        const int32_t *expected = cases[i].ids;
        for (size_t j = 0; j < COUNT(golden_texts); j++) {
            struct tokens list = encode(t, golden_texts[j].data, golden_texts[j].size);
            assert_int_equal(list.count, expected[0]);
            assert_memory_equal(list.ids, expected + 1, list.count * sizeof *list.ids);
            assert_spells(t, &list, golden_texts[j].data, golden_texts[j].size);
            expected += 1 + list.count;
            tokens_finish(&list);
        }
        tokenizer_destroy(t);
    }
}

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static void any_bytes_come_back(void **state) {
    (void)state;
    uint64_t seed = 5;
    char text[300];
    for (size_t i = 0; i < COUNT(pres); i++) {
        struct tokenizer *t = of_pre(pres[i]);
        for (size_t round = 0; round < 2000; round++) {
            size_t size = next_random(&seed) % sizeof text;
            unsigned range = round % 2 ? 256 : 64; /* half of them mostly sequences cut short */
            for (size_t j = 0; j < size; j++) {
                text[j] = (char)(255 - next_random(&seed) % range);
            }
            assert_round_trip(t, text, size);
        }
        tokenizer_destroy(t);
    }
}

static void long_runs_come_back(void **state) {
    (void)state;
    static const char *const units[] = {
        "A", "ab", " ", "\n", "9", "-", "\xcc\x81", "\xf0\x9f\x98\x80", "\xff"};
    size_t size = BPE_WORD_MAX + 100; /* so that a word has to be cut */
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < COUNT(units); i++) {
        size_t unit = strlen(units[i]);
        for (size_t j = 0; j < size; j++) {
            text[j] = units[i][j % unit];
        }
        struct tokenizer *t = of_pre(pres[i % COUNT(pres)]);
        assert_round_trip(t, text, size);
        tokenizer_destroy(t);
    }
    free(text);
}

/* Which bounds the memory that a word takes. */
static void words_beyond_the_bound_are_cut(void **state) {
    (void)state;
    size_t size = BPE_WORD_MAX + 1;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'a', size);
    text[0] = 'z';
    struct tokenizer *t = of_pre("smollm");
    struct tokens whole = encode(t, text, size), parts = encode(t, text, BPE_WORD_MAX);
    assert_true(tokenizer_encode(t, text + BPE_WORD_MAX, 1, &parts, NULL));
    assert_int_equal(whole.count, parts.count);
    assert_memory_equal(whole.ids, parts.ids, whole.count * sizeof *whole.ids);
    tokens_finish(&whole);
    tokens_finish(&parts);
    tokenizer_destroy(t);
    free(text);
}

static void encode_appends(void **state) {
    (void)state;
    struct tokenizer *t = of_pre("smollm");
    struct tokens list = {0};
    assert_true(tokens_push(&list, 7));
    assert_true(tokenizer_encode(t, "", 0, &list, NULL));
    assert_int_equal(list.count, 1);
    assert_true(tokenizer_encode(t, "x", 1, &list, NULL));
    assert_int_equal(list.count, 2);
    assert_int_equal(list.ids[0], 7);
    tokens_finish(&list);
    tokenizer_destroy(t);
}

static bool stop_at_last(void *left) {
    size_t *n = left;
    return --*n == 0;
}

static void a_long_text_can_be_stopped(void **state) {
    (void)state;
    size_t size = 1 << 20, asked = SIZE_MAX;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'x', size);
    for (size_t i = 7; i < size; i += 8) {
        text[i] = ' ';
    }
    struct tokenizer *t = of_pre("smollm");
    struct tokens whole = encode(t, text, size), list = {0};
    struct error error = {0};
    assert_true(tokens_push(&list, 7));
    assert_true(tokenizer_encode_long(t, text, size, stop_at_last, &asked, &list, &error));
    assert_int_equal(list.count, 1 + whole.count);
    assert_memory_equal(list.ids + 1, whole.ids, whole.count * sizeof *whole.ids);
    assert_true(SIZE_MAX - asked >= 15);
    list.count = 1;
    for (size_t n = 1; n <= 15; n++) {
        size_t left = n;
        assert_false(tokenizer_encode_long(t, text, size, stop_at_last, &left, &list, &error));
        assert_int_equal(error.code, ERROR_INTERRUPTED);
        assert_int_equal(left, 0);
        assert_int_equal(list.count, 1);
    }
    tokens_finish(&whole);
    tokens_finish(&list);
    tokenizer_destroy(t);
    free(text);
}

static void no_text_gives_control_tokens(void **state) {
    (void)state;
    static const char *const frames[] = {
        "%s", "%s%s", "a%sb", " %s ", "\"%s\\n\"", "puts(\"%s%s\");", "<%s>\n%s\n", "<|%s|>"};
    /* Names that merging could make, since no pre-tokeniser cuts them; and whole words. */
    static const char *const names[] = {"<<>>", "seven"};
    for (size_t i = 0; i < COUNT(pres); i++) {
        struct vocabulary_file f;
        vocabulary_file_golden(&f);
        f.pre = pres[i];
        f.types[vocabulary_file_find(&f, "seven")] = CONTROL;
        vocabulary_file_add_token(&f, "<<", NORMAL);
        vocabulary_file_add_token(&f, ">>", NORMAL);
        vocabulary_file_add_token(&f, "<<>>", i % 2 ? CONTROL : UNKNOWN);
        vocabulary_file_add_merge(&f, "< <");
        vocabulary_file_add_merge(&f, "> >");
        vocabulary_file_add_merge(&f, "<< >>");
        struct tokenizer *t = of_file(&f);
        for (size_t j = 0; j < COUNT(names); j++) {
            assert_true(tokenizer_control(t, names[j]) != TOKEN_NONE);
        }
        size_t controls = 0;
        for (size_t id = 0; id < tokenizer_size(t); id++) {
            struct gguf_text name = tokenizer_bytes(t, (token)id);
            if (!tokenizer_is_control(t, (token)id)) {
                continue;
            }
            controls++;
            for (size_t j = 0; j < COUNT(frames); j++) {
                char word[100], text[400];
                snprintf(word, sizeof word, "%.*s", (int)name.size, name.data);
                snprintf(text, sizeof text, frames[j], word, word);
                assert_round_trip(t, text, strlen(text));
            }
        }
        assert_int_equal(controls, 7);
        tokenizer_destroy(t);
    }
}

/* Files exist that call the tokens of a chat form ordinary or user-defined. */
static void known_control_names_need_no_type(void **state) {
    (void)state;
    static const int32_t types[] = {NORMAL, ADDED, UNUSED};
    for (size_t i = 0; i < COUNT(types); i++) {
        struct vocabulary_file f;
        vocabulary_file_golden(&f);
        size_t id = vocabulary_file_find(&f, "<|im_end|>");
        f.types[id] = types[i];
        struct tokenizer *t = of_file(&f);
        assert_int_equal(tokenizer_control(t, "<|im_end|>"), id);
        assert_round_trip(t, "x<|im_end|>\n<|im_end|>", 22);
        tokenizer_destroy(t);
    }
}

/* SmolLM2 has no token for 21 bytes; llama.cpp leaves them out too. */
static void lacking_bytes_are_left_out(void **state) {
    (void)state;
    struct vocabulary_file f;
    vocabulary_file_golden(&f);
    static const char *const bytes[] = {"\304\204", "\303\277"}; /* 0x04 and 0xFF */
    for (size_t i = 0; i < COUNT(bytes); i++) {
        f.types[vocabulary_file_find(&f, bytes[i])] = CONTROL;
    }
    struct tokenizer *t = of_file(&f);
    struct tokens list = encode(t, "a\004b\xff\xff c", 7);
    assert_spells(t, &list, "ab c", 4);
    tokens_finish(&list);
    tokenizer_destroy(t);
}

static void ids_and_bytes(void **state) {
    (void)state;
    struct tokenizer *t = of_pre("qwen2");
    token end = (token)tokenizer_size(t);
    static const token outside[] = {-1, INT32_MIN, INT32_MAX};
    assert_int_equal(tokenizer_bytes(t, end).size, 0);
    assert_false(tokenizer_is_control(t, end));
    for (size_t i = 0; i < COUNT(outside); i++) {
        assert_int_equal(tokenizer_bytes(t, outside[i]).size, 0);
        assert_non_null(tokenizer_bytes(t, outside[i]).data);
        assert_false(tokenizer_is_control(t, outside[i]));
    }
    token pad = tokenizer_control(t, "<|pad|>");
    assert_true(pad >= 0 && tokenizer_is_control(t, pad));
    assert_true(gguf_text_is(tokenizer_bytes(t, pad), "<|pad|>"));
    assert_int_equal(tokenizer_control(t, "<|no such|>"), TOKEN_NONE);
    assert_int_equal(tokenizer_control(t, "hello"), TOKEN_NONE);
    assert_int_equal(tokenizer_control(t, ""), TOKEN_NONE);
    tokenizer_destroy(t);
    tokenizer_destroy(NULL);
}

static void bos_and_eos(void **state) {
    (void)state;
    const struct {
        const char *pre;
        int64_t bos, eos;
        int add_bos;
        bool adds;
    } cases[] = {
        {"smollm", 1, 2, -1, false},   {"smollm", 1, 2, 1, true},     {"smollm", -1, -1, 1, false},
        {"llama-bpe", 1, 2, -1, true}, {"llama-bpe", 1, 2, 0, false}, {"qwen2", 1, 2, -1, false},
        {"gpt-2", 1, 2, -1, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct vocabulary_file f;
        vocabulary_file_golden(&f);
        f.pre = cases[i].pre;
        f.bos = cases[i].bos;
        f.eos = cases[i].eos;
        f.add_bos = cases[i].add_bos;
        struct tokenizer *t = of_file(&f);
        assert_int_equal(tokenizer_bos(t), cases[i].bos);
        assert_int_equal(tokenizer_eos(t), cases[i].eos);
        assert_int_equal(tokenizer_adds_bos(t), cases[i].adds);
        tokenizer_destroy(t);
    }
}

static void no_model(struct vocabulary_file *f) {
    f->model = NULL;
}
static void other_model(struct vocabulary_file *f) {
    f->model = "llama";
}
static void no_pre(struct vocabulary_file *f) {
    f->pre = NULL;
}
static void other_pre(struct vocabulary_file *f) {
    f->pre = "starcoder";
}
static void longer_pre(struct vocabulary_file *f) {
    f->pre = "smollm2";
}
static void no_tokens(struct vocabulary_file *f) {
    f->token_count = 0;
}
static void few_rows(struct vocabulary_file *f) {
    f->rows = f->token_count - 1;
}
static void few_types(struct vocabulary_file *f) {
    f->type_count--;
}
static void many_types(struct vocabulary_file *f) {
    f->type_count++;
}
static void few_scores(struct vocabulary_file *f) {
    f->score_count = f->token_count - 1;
}
static void type_7(struct vocabulary_file *f) {
    f->types[5] = 7;
}
static void type_negative(struct vocabulary_file *f) {
    f->types[6] = -1;
}
static void bos_outside(struct vocabulary_file *f) {
    f->bos = (int64_t)f->token_count;
}
static void eos_negative(struct vocabulary_file *f) {
    f->eos = UINT32_MAX;
}
static void unknown_outside(struct vocabulary_file *f) {
    f->unknown = INT32_MAX;
}
static void padding_outside(struct vocabulary_file *f) {
    f->padding = 1 << 20;
}
static void long_token(struct vocabulary_file *f) {
    static char text[70000];
    memset(text, 'x', sizeof text);
    f->tokens[300] = (struct gguf_text){text, sizeof text};
}
static void no_byte(struct vocabulary_file *f) {
    f->types[vocabulary_file_find(f, "e")] = CONTROL;
}
static void no_merges(struct vocabulary_file *f) {
    f->merge_count = 0;
}
static void merge_no_space(struct vocabulary_file *f) {
    f->merges[0] = (struct gguf_text){"noblank", 7};
}
static void merge_of_space(struct vocabulary_file *f) {
    vocabulary_file_add_merge(f, " ");
}
static void merge_left(struct vocabulary_file *f) {
    vocabulary_file_add_merge(f, "qqq e");
}
static void merge_right(struct vocabulary_file *f) {
    vocabulary_file_add_merge(f, "e qqq");
}
static void merge_result(struct vocabulary_file *f) {
    vocabulary_file_add_merge(f, "Q Q");
}
static void merge_two_spaces(struct vocabulary_file *f) {
    vocabulary_file_add_merge(f, "a  a");
}
static void merge_empty_right(struct vocabulary_file *f) {
    vocabulary_file_add_merge(f, "a ");
}
static void merge_twice(struct vocabulary_file *f) {
    f->merges[9] = f->merges[8];
}
static void merge_long(struct vocabulary_file *f) {
    static char text[200000];
    memset(text, 'a', sizeof text);
    text[100000] = ' ';
    f->merges[3] = (struct gguf_text){text, sizeof text};
}

static void unsound_vocabularies_are_refused(void **state) {
    (void)state;
    const struct {
        void (*spoil)(struct vocabulary_file *f);
        const char *says[3];
    } cases[] = {
        {no_model, {"tokenizer.ggml.model", "missing", "gpt2"}},
        {other_model, {"tokenizer.ggml.model", "\"llama\"", "gpt2"}},
        {no_pre, {"tokenizer.ggml.pre", "missing", "gpt-2, smollm"}},
        {other_pre, {"tokenizer.ggml.pre", "\"starcoder\"", "gpt-2, smollm"}},
        {longer_pre, {"tokenizer.ggml.pre", "\"smollm2\"", "gpt-2, smollm"}},
        {no_tokens, {"tokenizer.ggml.tokens", "0 tokens", "1 to"}},
        {few_rows, {"tokenizer.ggml.tokens", "at most", "token_embd.weight"}},
        {few_types, {"tokenizer.ggml.token_type", "items", "as many as"}},
        {many_types, {"tokenizer.ggml.token_type", "items", "as many as"}},
        {few_scores, {"tokenizer.ggml.scores", "items", "as many as"}},
        {type_7, {"tokenizer.ggml.token_type[5]", "type 7", "0 to 6"}},
        {type_negative, {"tokenizer.ggml.token_type[6]", "type -1", "0 to 6"}},
        {bos_outside, {"tokenizer.ggml.bos_token_id", "token ", "less than"}},
        {eos_negative, {"tokenizer.ggml.eos_token_id", "4294967295", "less than"}},
        {unknown_outside, {"tokenizer.ggml.unknown_token_id", "2147483647", "less than"}},
        {padding_outside, {"tokenizer.ggml.padding_token_id", "1048576", "less than"}},
        {long_token, {"tokenizer.ggml.tokens[300]", "70000 bytes", "at most 65536"}},
        {no_byte, {"tokenizer.ggml.tokens", "0x65", "every byte"}},
        {no_merges, {"tokenizer.ggml.merges", "missing", "a list of strings"}},
        {merge_no_space, {"tokenizer.ggml.merges[0]", "\"noblank\"", "space"}},
        {merge_of_space, {"tokenizer.ggml.merges[500]", "\" \"", "space"}},
        {merge_left, {"tokenizer.ggml.merges[500]", "\"qqq\"", "no token"}},
        {merge_right, {"tokenizer.ggml.merges[500]", "\"qqq\"", "no token"}},
        {merge_result, {"tokenizer.ggml.merges[500]", "\"QQ\"", "no token"}},
        {merge_two_spaces, {"tokenizer.ggml.merges[500]", "\" a\"", "no token"}},
        {merge_empty_right, {"tokenizer.ggml.merges[500]", "\"\"", "no token"}},
        {merge_twice, {"tokenizer.ggml.merges[9]", "twice", "once"}},
        {merge_long, {"tokenizer.ggml.merges[3]", "aaa", "no token"}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct vocabulary_file f;
        struct error error = {0};
        vocabulary_file_golden(&f);
        cases[i].spoil(&f);
        assert_null(try_file(&f, &error));
        assert_int_equal(error.code, ERROR_INCOMPATIBLE);
        assert_null(strchr(error.text, '\n'));
        for (size_t j = 0; j < 3; j++) {
            if (!strstr(error.text, cases[i].says[j])) {
                fail_msg("\"%s\" does not say \"%s\"", error.text, cases[i].says[j]);
            }
        }
    }
}

static void padded_rows(struct vocabulary_file *f) {
    f->rows = f->token_count + 100;
}
static void scores_given(struct vocabulary_file *f) {
    f->score_count = f->token_count;
}
static void no_types(struct vocabulary_file *f) {
    f->type_count = 0;
}
static void empty_token(struct vocabulary_file *f) {
    vocabulary_file_add_token(f, "", NORMAL);
    vocabulary_file_add_token(f, "", ADDED);
}
static void same_tokens(struct vocabulary_file *f) {
    vocabulary_file_add_token(f, "e", NORMAL);
    vocabulary_file_add_token(f, "<tool", ADDED);
    vocabulary_file_add_token(f, "<|pad|>", CONTROL);
}
static void other_characters(struct vocabulary_file *f) {
    vocabulary_file_add_token(f, "\342\200\274", NORMAL);
    vocabulary_file_add_token(f, "\xff\xfe", NORMAL);
    vocabulary_file_add_token(f, "a b", NORMAL);
}

static void odd_vocabularies_are_read(void **state) {
    (void)state;
    void (*const odds[])(struct vocabulary_file * f) = {
        padded_rows, scores_given, no_types, empty_token, same_tokens, other_characters,
    };
    static const char text[] = "hello <tool>, <|pad|> \342\200\274";
    struct tokenizer *plain = of_pre("smollm");
    for (size_t i = 0; i < COUNT(odds); i++) {
        struct vocabulary_file f;
        vocabulary_file_golden(&f);
        odds[i](&f);
        struct tokenizer *t = of_file(&f);
        struct tokens list = encode(t, text, strlen(text));
        assert_spells(t, &list, text, strlen(text));
        if (odds[i] != no_types) { /* then "<tool" is an ordinary token */
            struct tokens usual = encode(plain, text, strlen(text));
            assert_int_equal(list.count, usual.count);
            assert_memory_equal(list.ids, usual.ids, list.count * sizeof *list.ids);
            tokens_finish(&usual);
        }
        tokens_finish(&list);
        tokenizer_destroy(t);
    }
    tokenizer_destroy(plain);
}

static void pretokenizers_are_found_by_name(void **state) {
    (void)state;
    char names[200];
    snprintf(names, sizeof names, "%s", pretokenizer_names());
    size_t count = 0;
    for (char *name = strtok(names, ", "); name; name = strtok(NULL, ", ")) {
        const struct pretokenizer *p = pretokenizer_find(name, strlen(name));
        assert_non_null(p);
        assert_string_equal(p->name, name);
        count++;
    }
    assert_int_equal(count, 6);
    assert_null(pretokenizer_find("gpt-", 4));
    assert_null(pretokenizer_find("", 0));
}

static void characters_and_their_classes(void **state) {
    (void)state;
    const struct {
        const char *text;
        uint32_t size, code;
        enum unicode_class class;
    } cases[] = {
        {"a", 1, 'a', UNICODE_LETTER},
        {"_", 1, '_', UNICODE_OTHER},
        {"7", 1, '7', UNICODE_NUMBER},
        {"\x1c", 1, 0x1c, UNICODE_OTHER},
        {"\v", 1, 0x0b, UNICODE_SPACE},
        {"\xc2\x85", 2, 0x85, UNICODE_SPACE},
        {"\xc2\xa0", 2, 0xa0, UNICODE_SPACE},
        {"\xc2\xbd", 2, 0xbd, UNICODE_NUMBER},
        {"\xcc\x81", 2, 0x301, UNICODE_OTHER},
        {"\xe2\x80\x8b", 3, 0x200b, UNICODE_OTHER},
        {"\xe2\x80\xa8", 3, 0x2028, UNICODE_SPACE},
        {"\xe2\x85\xa7", 3, 0x2167, UNICODE_NUMBER},
        {"\xe4\xb8\xad", 3, 0x4e2d, UNICODE_LETTER},
        {"\xf0\x9f\x98\x80", 4, 0x1f600, UNICODE_OTHER},
        {"\xf0\xae\xaf\xb0", 4, 0x2ebf0, UNICODE_LETTER}, /* new in Unicode 15.1 */
        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff, UNICODE_OTHER},
        {"\x80", 1, UNICODE_INVALID, UNICODE_OTHER},
        {"\xc0\x80", 1, UNICODE_INVALID, UNICODE_OTHER},     /* overlong */
        {"\xed\xa0\x80", 1, UNICODE_INVALID, UNICODE_OTHER}, /* surrogate */
        {"\xf4\x90\x80\x80", 1, UNICODE_INVALID, UNICODE_OTHER},
        {"\xe4\xb8", 1, UNICODE_INVALID, UNICODE_OTHER}, /* cut short */
        {"\xff", 1, UNICODE_INVALID, UNICODE_OTHER},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct unicode_char c = unicode_first(cases[i].text, strlen(cases[i].text));
        assert_int_equal(c.size, cases[i].size);
        assert_int_equal(c.code, cases[i].code);
        assert_int_equal(c.class, cases[i].class);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_those_of_llama_cpp),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(long_runs_come_back),
        cmocka_unit_test(words_beyond_the_bound_are_cut),
        cmocka_unit_test(encode_appends),
        cmocka_unit_test(a_long_text_can_be_stopped),
        cmocka_unit_test(no_text_gives_control_tokens),
        cmocka_unit_test(known_control_names_need_no_type),
        cmocka_unit_test(lacking_bytes_are_left_out),
        cmocka_unit_test(ids_and_bytes),
        cmocka_unit_test(bos_and_eos),
        cmocka_unit_test(unsound_vocabularies_are_refused),
        cmocka_unit_test(odd_vocabularies_are_read),
        cmocka_unit_test(pretokenizers_are_found_by_name),
        cmocka_unit_test(characters_and_their_classes),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
