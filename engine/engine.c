/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a model: file, tokenizer, adapter, backend, weights; and what can be said about it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/cpu/kernels.h"
#include "engine/plan.h"
#include "engine/session_private.h"

static struct backend *choose_backend(const char *name, size_t threads, struct error *error) {
    if (strcmp(name, "auto") == 0 || strcmp(name, "cpu") == 0) {
        return cpu_backend_create(threads, error);
    }
    error_set(error, ERROR_FAILURE,
              "backend %s is not in this build; the backends here are auto and cpu", name);
    return NULL;
}

static bool open_model(struct engine *e, const char *path, struct error *error) {
    if (!map_open(&e->map, path, error)) {
        return false;
    }
    bool ok = gguf_parse(&e->gguf, e->map.data, e->map.size, error) &&
              model_bind(&e->model, &e->gguf, error) && model_check_scales(&e->model, error) &&
              (e->tokenizer = tokenizer_create(&e->gguf, error));
    if (ok && tokenizer_size(e->tokenizer) > e->model.config.vocabulary) {
        ok = error_set(error, ERROR_INCOMPATIBLE,
                       "tokenizer.ggml.tokens has %zu tokens, but token_embd.weight only %u rows",
                       tokenizer_size(e->tokenizer), e->model.config.vocabulary);
    }
    return ok || error_prefix(error, "%s", path);
}

/* The type that holds most of the weights' bytes. */
static const char *main_type(const struct gguf *g, uint64_t *parameters) {
    size_t bytes[QUANT_TYPES] = {0};
    enum quant_type best = QUANT_F32;
    *parameters = 0;
    for (size_t i = 0; i < g->tensor_count; i++) {
        const struct gguf_tensor *t = &g->tensors[i];
        bytes[t->type] += t->size;
        *parameters += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    }
    for (size_t i = 0; i < QUANT_TYPES; i++) {
        best = bytes[i] > bytes[best] ? (enum quant_type)i : best;
    }
    return quant_info(best)->name;
}

static void describe(struct engine *e, size_t threads) {
    const struct model_config *c = &e->model.config;
    struct engine_info *i = &e->info;
    *i = (struct engine_info){
        .architecture = c->architecture,
        .backend = e->backend->ops->name,
        .kernels = kernels_choose()->name,
        .name = c->name,
        .layers = c->layers,
        .width = c->width,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .vocabulary = c->vocabulary,
        .context = c->context,
        .file_bytes = e->map.size,
        .threads = threads,
        .has_adapter = e->adapter.branches != NULL,
        .memory_width = e->adapter.width,
        .spec = ADAPTER_SPEC,
    };
    i->type = main_type(&e->gguf, &i->parameters);
    memcpy(i->base_fingerprint, e->model.base_fingerprint, HASH_BYTES);
    memcpy(i->file_fingerprint, e->model.file_fingerprint, HASH_BYTES);
    memcpy(i->adapter_fingerprint, e->adapter.fingerprint, HASH_BYTES);
}

struct engine_machine engine_machine(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return (struct engine_machine){.kernels = kernels_choose()->name,
                                   .cores = cores > 0 ? (size_t)cores : 1,
                                   .free_memory = plan_free_memory()};
}

struct engine *engine_open(const struct engine_options *o, struct error *error) {
    struct engine *e = calloc(1, sizeof *e);
    if (!e) {
        error_set(error, ERROR_NO_SPACE, "no memory for the engine");
        return NULL;
    }
    size_t threads = o->threads ? o->threads : engine_machine().cores;
    bool ok = open_model(e, o->model, error) &&
              (!o->adapter || adapter_open(&e->adapter, o->adapter, &e->model, error)) &&
              (e->backend = choose_backend(o->backend, threads, error)) &&
              transformer_init(&e->transformer, e->backend, &e->model,
                               e->adapter.branches ? &e->adapter : NULL, error);
    if (!ok) {
        engine_close(e);
        return NULL;
    }
    e->chat = chat_recognise(&e->gguf, e->tokenizer);
    describe(e, threads);
    return e;
}

void engine_close(struct engine *e) {
    if (!e) {
        return;
    }
    transformer_finish(&e->transformer);
    if (e->backend) {
        e->backend->ops->destroy(e->backend);
    }
    adapter_close(&e->adapter);
    tokenizer_destroy(e->tokenizer);
    model_finish(&e->model);
    gguf_finish(&e->gguf);
    map_close(&e->map);
    free(e->logits);
    free(e);
}

const struct engine_info *engine_info(const struct engine *e) {
    return &e->info;
}

const struct tokenizer *engine_tokenizer(const struct engine *e) {
    return e->tokenizer;
}

const struct chat *engine_chat(const struct engine *e) {
    return &e->chat;
}
