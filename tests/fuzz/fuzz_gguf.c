/* SPDX-License-Identifier: Apache-2.0
 *
 * Entry for libFuzzer: any bytes are parsed as GGUF and bound as a model. Not part of the build; by
 * hand, from the top level, with a folder of tiny models to start from:
 *
 *   clang -std=c11 -D_GNU_SOURCE -O1 -g -fsanitize=fuzzer,address,undefined -I. \
 *     tests/fuzz/fuzz_gguf.c engine/gguf.c engine/gguf_find.c engine/model.c engine/fingerprint.c \
 *     engine/quant.c engine/base/bytes.c engine/base/error.c engine/base/hash.c \
 *     -lcrypto -lutf8proc -lm -o build/fuzz_gguf
 *   mkdir -p build/corpus && build/tests/tiny_model_tool build/corpus/llama width=32 ffn_width=32
 *   build/fuzz_gguf -dict=tests/fuzz/gguf.dict -max_len=200000 -max_total_time=600 build/corpus
 */
#include "engine/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct gguf g;
    struct model m;
    struct error error;
    if (gguf_parse(&g, data, size, &error)) {
        if (model_bind(&m, &g, &error)) {
            model_check_scales(&m, &error);
            model_finish(&m);
        }
        gguf_finish(&g);
    }
    return 0;
}
