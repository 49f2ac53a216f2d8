/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading an adapter: one table says each tensor's name and shape, another its place in the branch.
 */
#include "engine/adapter.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/window.h"

/* ---- the tensors of a layer ---- */

size_t branch_tensors(const struct branch_sizes *z, struct branch_tensor out[BRANCH_TENSORS]) {
    const uint64_t d = z->d, H = z->H, M = z->M, e = z->e, f = z->f;
    const struct branch_tensor fast[] = {
        {"w1", 3, {e, f, M}},      {"w2", 3, {f, e, M}},       {"w3", 3, {e, f, M}},
        {"q_map", 3, {e, e, H}},   {"k_map", 3, {e, e, M}},    {"ev_q", 3, {e, e, H}},
        {"ev_k", 3, {e, e, M}},    {"gate_lse", 1, {H, 1, 1}}, {"alpha", 2, {e, H, 1}},
        {"gate_w", 2, {d, H, 1}},  {"gate_b", 1, {H, 1, 1}},   {"step_w", 2, {d, M, 1}},
        {"decay_w", 2, {d, M, 1}}, {"step_b", 1, {M, 1, 1}},   {"decay_b", 1, {M, 1, 1}},
        {"v_scale", 1, {1, 1, 1}},
    };
    const struct branch_tensor merged[] = {{"merged_w", 2, {d, H, 1}}, {"merged_b", 2, {H, 2, 1}}};
    size_t n = 0;
    if (f) {
        memcpy(out, fast, sizeof fast);
        n += sizeof fast / sizeof *fast;
    }
    if (z->merged_gate) {
        memcpy(out + n, merged, sizeof merged);
        n += sizeof merged / sizeof *merged;
    }
    out[n++] = (struct branch_tensor){"share", 1, {1, 1, 1}};
    return n;
}

uint64_t branch_tensor_count(const struct branch_tensor *t) {
    return t->ne[0] * t->ne[1] * t->ne[2];
}

/* Parameters that are one number. */
struct numbers {
    const float *v_scale, *share;
};

/* Where the pointer to a tensor's values goes; NULL if they just follow those before. */
static const float **place_of(const char *name, struct memory_branch *b, struct numbers *n) {
    const struct {
        const char *name;
        const float **to;
    } places[] = {
        {"w1", &b->w1},
        {"w2", &b->w2},
        {"w3", &b->w3},
        {"q_map", &b->q_map},
        {"k_map", &b->k_map},
        {"ev_q", &b->ev_q},
        {"ev_k", &b->ev_k},
        {"gate_lse", &b->gate_lse},
        {"alpha", &b->alpha},
        {"gate_w", &b->gate_w},
        {"gate_b", &b->gate_b},
        {"step_w", &b->rates_w},
        {"step_b", &b->rates_b},
        {"v_scale", &n->v_scale},
        {"merged_w", &b->merged_w},
        {"merged_b", &b->merged_b},
        {"share", &n->share},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (strcmp(places[i].name, name) == 0) {
            return places[i].to;
        }
    }
    return NULL;
}

/* ---- reading ---- */

static size_t values_per_layer(const struct branch_sizes *z) {
    struct branch_tensor tensors[BRANCH_TENSORS];
    size_t sum = 0;
    for (size_t n = branch_tensors(z, tensors); n-- > 0;) {
        sum += branch_tensor_count(&tensors[n]);
    }
    return sum;
}

static bool read_branch(struct adapter *a, const struct branch_sizes *z, uint32_t layer,
                        float *values, struct error *error) {
    struct memory_branch *b = &a->branches[layer];
    const float one = 1;
    struct numbers n = {.v_scale = &one}; /* where there are no fast weights */
    struct branch_tensor tensors[BRANCH_TENSORS];
    const size_t tensor_count = branch_tensors(z, tensors);
    b->values = values;
    for (const struct branch_tensor *p = tensors; p < tensors + tensor_count; p++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.mem_%s", layer, p->name);
        const struct gguf_tensor *t = gguf_find_tensor(&a->gguf, name);
        if (!t) {
            return error_set(error, ERROR_INCOMPATIBLE, "tensor %s is missing", name);
        }
        if (t->ne[0] != p->ne[0] || t->ne[1] != p->ne[1] || t->ne[2] != p->ne[2] || t->ne[3] != 1) {
            return error_set(
                error, ERROR_INCOMPATIBLE,
                "tensor %s is %" PRIu64 " x %" PRIu64 " x %" PRIu64 " x %" PRIu64
                ", expected %" PRIu64 " x %" PRIu64 " x %" PRIu64 " x 1 for this model",
                name, t->ne[0], t->ne[1], t->ne[2], t->ne[3], p->ne[0], p->ne[1], p->ne[2]);
        }
        const size_t count = (size_t)branch_tensor_count(p);
        quant_row(t->type, t->data, values, count);
        for (size_t i = 0; i < count; i++) {
            if (!isfinite(values[i])) {
                return error_set(error, ERROR_INCOMPATIBLE,
                                 "tensor %s holds a number that is not finite (value %zu)", name,
                                 i);
            }
        }
        const float **place = place_of(p->name, b, &n);
        if (place) {
            *place = values;
        }
        values += count;
    }
    if (*n.v_scale <= 0) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "tensor blk.%u.mem_v_scale is %g, expected a positive number", layer,
                         (double)*n.v_scale);
    }
    if (*n.share < 0 || *n.share > WINDOW_MAX_SHARE) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "tensor blk.%u.mem_share is %g, expected a number from 0 to %d", layer,
                         (double)*n.share, WINDOW_MAX_SHARE);
    }
    b->v_scale = *n.v_scale;
    b->share = *n.share;
    return true;
}

static bool check_origin(struct adapter *a, const struct model *model, struct error *error) {
    struct gguf_text text;
    if (!gguf_text(&a->gguf, "general.architecture", &text, error)) {
        return false;
    }
    if (!gguf_text_is(text, "allmem-adapter")) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "general.architecture is \"%.*s\", expected \"allmem-adapter\"",
                         (int)(text.size < 64 ? text.size : 64), text.data);
    }
    uint32_t spec;
    if (!gguf_u32(&a->gguf, "allmem.spec", &spec, error)) {
        return false;
    }
    if (spec != ADAPTER_SPEC) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "allmem.spec is %u, this program computes version %d", spec, ADAPTER_SPEC);
    }
    if (!gguf_text(&a->gguf, "allmem.base_fingerprint", &text, error)) {
        return false;
    }
    char hex[HASH_HEX];
    hash_hex(model->base_fingerprint, hex);
    if (!gguf_text_is(text, hex)) {
        struct gguf_text base = {"another model", 13};
        gguf_text(&a->gguf, "allmem.base", &base, NULL);
        return error_set(error, ERROR_INCOMPATIBLE,
                         "made for %.*s (fingerprint %.12s), but the model is %.*s (%.12s)",
                         (int)(base.size < 100 ? base.size : 100), base.data, text.data,
                         (int)(model->config.name.size < 100 ? model->config.name.size : 100),
                         model->config.name.data, hex);
    }
    return true;
}

static bool read_adapter(struct adapter *a, const struct model *model, struct error *error) {
    const struct model_config *c = &model->config;
    if (!check_origin(a, model, error) || !gguf_u32(&a->gguf, "allmem.width", &a->width, error) ||
        !gguf_u32(&a->gguf, "allmem.chunk", &a->chunk, error) ||
        !gguf_u32(&a->gguf, "allmem.sinks", &a->sinks, error)) {
        return false;
    }
    if (a->width > 1u << 14 || a->width % 16 || a->chunk == 0 || a->chunk > WINDOW_MAX_CHUNK ||
        a->sinks > a->chunk) {
        return error_set(
            error, ERROR_INCOMPATIBLE,
            "width %u, chunk %u, sinks %u: expected a width in 16s up to 16384 or 0, a "
            "chunk up to %d, no more sinks than that",
            a->width, a->chunk, a->sinks, WINDOW_MAX_CHUNK);
    }
    a->merged_gate = a->width == 0 || gguf_find_tensor(&a->gguf, "blk.0.mem_merged_w");
    struct branch_sizes z = {c->width,    c->heads, c->kv_heads,
                             c->head_dim, a->width, a->merged_gate};
    size_t per_layer = values_per_layer(&z);
    a->values = calloc((size_t)c->layers * per_layer, sizeof *a->values);
    a->branches = calloc(c->layers, sizeof *a->branches);
    if (!a->values || !a->branches) {
        return error_set(error, ERROR_NO_SPACE, "no memory for %zu parameters",
                         c->layers * per_layer);
    }
    a->layers = c->layers;
    for (uint32_t l = 0; l < c->layers; l++) {
        if (!read_branch(a, &z, l, a->values + l * per_layer, error)) {
            return false;
        }
    }
    return true;
}

bool adapter_open(struct adapter *a, const char *path, const struct model *model,
                  struct error *error) {
    *a = (struct adapter){0};
    if (!map_open(&a->map, path, error)) {
        return false;
    }
    bool ok = gguf_parse(&a->gguf, a->map.data, a->map.size, error) &&
              read_adapter(a, model, error) &&
              (hash_of(a->map.data, a->map.size, a->fingerprint) ||
               error_set(error, ERROR_NO_SPACE, "no memory for its fingerprint"));
    if (!ok) {
        error_prefix(error, "adapter %s", path);
        adapter_close(a);
        return false;
    }
    return true;
}

void adapter_close(struct adapter *a) {
    free(a->branches);
    free(a->values);
    gguf_finish(&a->gguf);
    map_close(&a->map);
    *a = (struct adapter){0};
}
