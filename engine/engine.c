/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a model: file, tokenizer, adapter, backend, weights; and what can be said about it.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/cpu/kernels.h"
#include "engine/plan.h"
#include "engine/session_private.h"
#include "engine/timed.h"

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

/* ---- the backend ---- */

void engine_tell(const struct engine *e, const char *format, ...) {
    if (e->notice) {
        char text[sizeof(struct error)];
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        e->notice(e->notice_context, text);
    }
}

static void describe_backend(struct engine *e) {
    const bool vulkan = strcmp(e->backend->ops->name, "vulkan") == 0;
    e->info.backend = e->backend->ops->name;
    e->info.device = vulkan ? vulkan_device_name(e->backend) : NULL;
}

/* What a device must have free: weights, activations, a session as it usually is. */
static uint64_t needed_on_device(const struct engine *e) {
    const struct session_options usual = session_defaults(e);
    const struct window_shape shape = session_shape(e, &usual);
    return e->map.size + 2 * e->adapter.map.size + transformer_bytes(&e->model) +
           (uint64_t)window_layout(&shape).bytes * shape.layers;
}

static bool upload(struct engine *e, struct error *error) {
    return (!e->timed || timed_begin(e->backend, error)) &&
           transformer_init(&e->transformer, e->backend, &e->model,
                            e->adapter.branches ? &e->adapter : NULL, error);
}

static bool open_on_cpu(struct engine *e, struct error *error) {
    return (e->backend = cpu_backend_create(e->info.threads, error)) && upload(e, error);
}

static bool open_on_device(struct engine *e, const struct engine_options *o, struct error *error) {
    const bool asked = strcmp(o->backend, "vulkan") == 0;
    const struct vulkan_options options = {
        .device = o->device,
        .any = asked,
        .needed = needed_on_device(e),
        .cache = o->cache,
    };
    return (e->backend = vulkan_backend_create(&options, error)) && upload(e, error) &&
           e->backend->ops->wait(e->backend, error);
}

static void close_backend(struct engine *e) {
    transformer_finish(&e->transformer);
    if (e->backend) {
        e->backend->ops->destroy(e->backend);
        e->backend = NULL;
    }
}

static bool each_has_a_way_back(const struct engine *e) {
    for (const struct session *s = e->first; s; s = s->next) {
        if (!s->standby.since) {
            return false;
        }
    }
    return true;
}

bool engine_go_back(struct engine *e, const struct error *why, struct error *error) {
    e->may_go_back = false;
    engine_tell(e, "%s; the CPU computes", why->text);
    for (struct session *s = e->first; s; s = s->next) {
        session_leave_backend(s);
    }
    close_backend(e);
    bool ok = open_on_cpu(e, error);
    if (ok) {
        describe_backend(e);
    }
    for (struct session *s = e->first; s; s = s->next) {
        ok = session_enter_backend(s, ok, error) && ok;
    }
    return ok;
}

bool engine_recover(struct engine *e, struct error *error) {
    const struct error why = error ? *error : (struct error){0};
    if (e->may_go_back && each_has_a_way_back(e)) {
        return engine_go_back(e, &why, error);
    }
    if (e->info.device) {
        error_set(error, why.code, "%s; --backend=cpu computes without it", why.text);
    }
    return false;
}

/* "auto" without a word where there is no GPU, unless details are wanted; where there is one that
 * cannot be used, with one. */
static bool open_backend(struct engine *e, const struct engine_options *o, struct error *error) {
    const bool automatic = strcmp(o->backend, "auto") == 0;
    struct error why = {0};
    if (strcmp(o->backend, "cpu") == 0) {
        if (o->device) {
            return error_set(error, ERROR_USAGE,
                             "option --device: found %u with --backend=cpu, expected "
                             "--backend=vulkan or auto",
                             o->device);
        }
        return open_on_cpu(e, error);
    }
    if (!automatic && strcmp(o->backend, "vulkan") != 0) {
        return error_set(error, ERROR_USAGE, "backend %s: expected auto, cpu or vulkan",
                         o->backend);
    }
    if (open_on_device(e, o, &why)) {
        e->may_go_back = automatic;
        return true;
    }
    if (!automatic || why.code == ERROR_USAGE) {
        close_backend(e);
        return error_set(error, why.code == ERROR_NOT_FOUND ? ERROR_FAILURE : why.code, "%s",
                         why.text);
    }
    if (why.code == ERROR_NOT_FOUND && !o->device && !o->details) {
        return open_on_cpu(e, error);
    }
    return engine_go_back(e, &why, error);
}

size_t engine_devices(struct engine_device *devices, size_t most, struct error *error) {
    return vulkan_list_devices(devices, most, error);
}

/* ---- the engine ---- */

static void describe(struct engine *e, size_t threads) {
    const struct model_config *c = &e->model.config;
    struct engine_info *i = &e->info;
    *i = (struct engine_info){
        .architecture = c->architecture,
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
    e->timed = o->timed;
    e->notice = o->notice;
    e->notice_context = o->notice_context;
    size_t threads = o->threads ? o->threads : engine_machine().cores;
    bool ok = open_model(e, o->model, error) &&
              (!o->adapter || adapter_open(&e->adapter, o->adapter, &e->model, error));
    if (ok) {
        describe(e, threads);
        ok = open_backend(e, o, error);
    }
    if (!ok) {
        engine_close(e);
        return NULL;
    }
    describe_backend(e);
    e->chat = chat_recognise(&e->gguf, e->tokenizer);
    return e;
}

void engine_close(struct engine *e) {
    if (!e) {
        return;
    }
    close_backend(e);
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

void engine_take_work(struct engine *e, struct engine_work work[ENGINE_OPERATIONS]) {
    assert(e->timed);
    timed_take(e->backend, work);
}
