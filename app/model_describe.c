/* SPDX-License-Identifier: Apache-2.0
 *
 * Describing a model file through the engine's own loader, so that what is said here is what a run
 * would meet.
 */
#include "app/model_describe.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/map.h"
#include "engine/gguf.h"
#include "engine/model.h"

static void get_text(const struct gguf *g, const char *key, char *out, size_t size) {
    struct gguf_text text;
    if (gguf_text(g, key, &text, NULL)) {
        snprintf(out, size, "%.*s", (int)(text.size < size ? text.size : size - 1), text.data);
    }
}

static uint64_t get_number(const struct gguf *g, const char *architecture, const char *name) {
    char key[128];
    uint32_t value;
    snprintf(key, sizeof key, "%s.%s", architecture, name);
    return gguf_u32(g, key, &value, NULL) ? value : 0;
}

static void count_tensors(struct model_description *d, const struct gguf *g) {
    uint64_t bytes[QUANT_TYPES] = {0};
    size_t most = 0;
    for (size_t i = 0; i < g->tensor_count; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        d->parameters += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
        bytes[t->type] += t->size;
        most = bytes[t->type] > bytes[most] ? t->type : most;
    }
    d->type = quant_name((uint32_t)most);
}

bool model_describe(struct model_description *d, const char *path, struct error *error) {
    *d = (struct model_description){.type = "?"};
    struct map map;
    struct gguf g;
    if (!map_open(&map, path, error)) {
        return false;
    }
    d->bytes = map.size;
    if (!gguf_parse(&g, map.data, map.size, error)) {
        error_prefix(error, "%s", path);
        map_close(&map);
        return false;
    }
    get_text(&g, "general.architecture", d->architecture, sizeof d->architecture);
    get_text(&g, "general.name", d->name, sizeof d->name);
    get_text(&g, "general.license", d->licence, sizeof d->licence);
    d->context = get_number(&g, d->architecture, "context_length");
    d->layers = get_number(&g, d->architecture, "block_count");
    d->width = get_number(&g, d->architecture, "embedding_length");
    const struct gguf_tensor *embedding = gguf_find_tensor(&g, "token_embd.weight");
    d->vocabulary = embedding ? embedding->ne[1] : 0;
    d->chat_template = gguf_find(&g, "tokenizer.chat_template") != NULL;
    count_tensors(d, &g);

    struct model model = {0};
    struct error refusal;
    if (!model_bind(&model, &g, &refusal)) {
        snprintf(d->refusal, sizeof d->refusal, "%s", refusal.text);
    } else {
        model_finish(&model);
    }
    gguf_finish(&g);
    map_close(&map);
    return true;
}
