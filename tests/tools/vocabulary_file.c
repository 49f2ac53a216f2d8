/* SPDX-License-Identifier: Apache-2.0
 *
 * Failures here are bugs of a test, hence assert.
 */
#include "tests/tools/vocabulary_file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf_write.h"
#include "tests/golden/vocabulary.h"

void vocabulary_file_add_token(struct vocabulary_file *f, const char *text, int32_t type) {
    assert(f->token_count < VOCABULARY_FILE_MOST && f->token_count == f->type_count);
    f->tokens[f->token_count++] = (struct gguf_text){text, strlen(text)};
    f->types[f->type_count++] = type;
}

void vocabulary_file_add_merge(struct vocabulary_file *f, const char *text) {
    assert(f->merge_count < VOCABULARY_FILE_MOST);
    f->merges[f->merge_count++] = (struct gguf_text){text, strlen(text)};
}

void vocabulary_file_golden(struct vocabulary_file *f) {
    *f = (struct vocabulary_file){.model = "gpt2",
                                  .pre = "smollm",
                                  .bos = 1,
                                  .eos = 1,
                                  .unknown = -1,
                                  .padding = -1,
                                  .add_bos = -1};
    for (size_t i = 0; i < sizeof golden_tokens / sizeof *golden_tokens; i++) {
        vocabulary_file_add_token(f, golden_tokens[i].text, golden_tokens[i].type);
    }
    for (size_t i = 0; i < sizeof golden_merges / sizeof *golden_merges; i++) {
        vocabulary_file_add_merge(f, golden_merges[i]);
    }
}

size_t vocabulary_file_find(const struct vocabulary_file *f, const char *text) {
    size_t i = 0;
    while (i < f->token_count && !gguf_text_is(f->tokens[i], text)) {
        i++;
    }
    assert(i < f->token_count);
    return i;
}

static void put_id(struct gguf_writer *w, const char *key, int64_t id) {
    if (id >= 0) {
        gguf_put_u32(w, key, (uint32_t)id);
    }
}

static void put_text(struct gguf_writer *w, const char *key, const char *text) {
    if (text) {
        gguf_put_string(w, key, text);
    }
}

void vocabulary_file_build(const struct vocabulary_file *f, struct bytes *out) {
    static const int32_t scores[VOCABULARY_FILE_MOST];
    struct gguf_writer w = {0};
    put_text(&w, "tokenizer.ggml.model", f->model);
    put_text(&w, "tokenizer.ggml.pre", f->pre);
    put_text(&w, "tokenizer.chat_template", f->chat_template);
    gguf_put_strings(&w, "tokenizer.ggml.tokens", f->tokens, f->token_count);
    if (f->merge_count > 0) {
        gguf_put_strings(&w, "tokenizer.ggml.merges", f->merges, f->merge_count);
    }
    if (f->type_count > 0) {
        gguf_put_i32s(&w, "tokenizer.ggml.token_type", f->types, f->type_count);
    }
    if (f->score_count > 0) {
        gguf_put_i32s(&w, "tokenizer.ggml.scores", scores, f->score_count);
    }
    put_id(&w, "tokenizer.ggml.bos_token_id", f->bos);
    put_id(&w, "tokenizer.ggml.eos_token_id", f->eos);
    put_id(&w, "tokenizer.ggml.unknown_token_id", f->unknown);
    put_id(&w, "tokenizer.ggml.padding_token_id", f->padding);
    if (f->add_bos >= 0) {
        gguf_put_bool(&w, "tokenizer.ggml.add_bos_token", f->add_bos);
    }
    if (f->rows > 0) {
        float *data = calloc(f->rows, sizeof *data);
        assert(data);
        gguf_put_tensor(&w, "token_embd.weight", QUANT_F32, 2, (uint64_t[]){1, f->rows}, data);
        free(data);
    }
    bool ok = gguf_writer_build(&w, out, NULL);
    assert(ok);
    (void)ok;
    gguf_writer_finish(&w);
}
