/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target, built by hand from the top level (with clang; gcc has no libFuzzer):
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -I. \
 *         tests/fuzz/fuzz_tokenizer.c tests/tools/vocabulary_file.c engine/base/bytes.c \
 *         engine/base/error.c engine/gguf*.c engine/quant.c engine/added.c engine/bpe.c \
 *         engine/pretokenize.c engine/tokenizer.c engine/unicode.c engine/vocabulary.c \
 *         -lutf8proc -lm -o fuzz_tokenizer
 *     ./fuzz_tokenizer -max_len=4096
 *
 * The first byte chooses the pre-tokeniser, the rest is text over a sound vocabulary: its tokens
 * must spell it again, none of them a control token. An input that begins with "GGUF" is read as a
 * file with a vocabulary of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer.h"
#include "tests/tools/vocabulary_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static struct tokenizer *of_file(const void *data, size_t size) {
    struct gguf g;
    if (!gguf_parse(&g, data, size, NULL)) {
        return NULL;
    }
    struct tokenizer *t = tokenizer_create(&g, NULL);
    gguf_finish(&g);
    return t;
}

static struct tokenizer *of_pre(const char *pre) {
    static struct vocabulary_file f;
    struct bytes file = {0};
    vocabulary_file_golden(&f);
    f.pre = pre;
    vocabulary_file_build(&f, &file);
    struct tokenizer *t = of_file(file.data, file.size);
    bytes_finish(&file);
    require(t);
    return t;
}

/* `whole`: the vocabulary has every byte, so that nothing may be left out. */
static void check(const struct tokenizer *t, const char *text, size_t size, bool whole) {
    struct tokens list = {0};
    require(tokenizer_encode(t, text, size, &list, NULL));
    size_t at = 0;
    for (size_t i = 0; i < list.count; i++) {
        struct gguf_text bytes = tokenizer_bytes(t, list.ids[i]);
        require(!tokenizer_is_control(t, list.ids[i]));
        if (whole) {
            require(bytes.size <= size - at && memcmp(text + at, bytes.data, bytes.size) == 0);
        }
        at += bytes.size;
    }
    require(!whole || at == size);
    tokens_finish(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const pres[] = {"gpt-2", "smollm", "qwen2", "llama-bpe"};
    static struct tokenizer *tokenizers[4];
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) {
        struct tokenizer *t = of_file(data, size);
        if (t) {
            check(t, (const char *)data, size, false);
        }
        tokenizer_destroy(t);
    } else if (size > 0) {
        size_t which = data[0] % 4;
        if (!tokenizers[which]) {
            tokenizers[which] = of_pre(pres[which]);
        }
        check(tokenizers[which], (const char *)data + 1, size - 1, true);
    }
    return 0;
}
