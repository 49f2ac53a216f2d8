/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading an adapter: one table says each parameter's name, shape and place in the branch.
 */
#include "engine/adapter.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/window.h"

/* What the shapes are made of. */
struct sizes {
    uint64_t d, H, M, e, f;
    bool merged_gate;
};

/* A parameter: where the pointer to its values goes, NULL if it just follows the one before. */
struct place {
    const char *name; /* after "blk.N.mem_"; NULL ends the table */
    const float **to;
    uint64_t ne[3]; /* shape as in the file, the innermost dimension first */
};

enum { FAST_PLACES = 16, MERGED_PLACES = 2, PLACES = FAST_PLACES + MERGED_PLACES + 2 };

/* Parameters that are one number. */
struct numbers {
    const float *v_scale, *share;
};

/* Those that the adapter has, in the order of `values`. The decay's weights stand behind the
 * step's, so that one matrix product computes both rates; likewise their biases. */
static void places_of(const struct sizes *z, struct memory_branch *b, struct numbers *n,
                      struct place out[PLACES]) {
    const struct place fast[FAST_PLACES] = {
        {"w1", &b->w1, {z->e, z->f, z->M}},       {"w2", &b->w2, {z->f, z->e, z->M}},
        {"w3", &b->w3, {z->e, z->f, z->M}},       {"q_map", &b->q_map, {z->e, z->e, z->H}},
        {"k_map", &b->k_map, {z->e, z->e, z->M}}, {"ev_q", &b->ev_q, {z->e, z->e, z->H}},
        {"ev_k", &b->ev_k, {z->e, z->e, z->M}},   {"gate_lse", &b->gate_lse, {z->H, 1, 1}},
        {"alpha", &b->alpha, {z->e, z->H, 1}},    {"gate_w", &b->gate_w, {z->d, z->H, 1}},
        {"gate_b", &b->gate_b, {z->H, 1, 1}},     {"step_w", &b->rates_w, {z->d, z->M, 1}},
        {"decay_w", NULL, {z->d, z->M, 1}},       {"step_b", &b->rates_b, {z->M, 1, 1}},
        {"decay_b", NULL, {z->M, 1, 1}},          {"v_scale", &n->v_scale, {1, 1, 1}},
    };
    const struct place merged[MERGED_PLACES] = {
        {"merged_w", &b->merged_w, {z->d, z->H, 1}},
        {"merged_b", &b->merged_b, {z->H, 1, 1}},
    };
    if (z->f) {
        memcpy(out, fast, sizeof fast);
        out += FAST_PLACES;
    }
    if (z->merged_gate) {
        memcpy(out, merged, sizeof merged);
        out += MERGED_PLACES;
    }
    *out++ = (struct place){"share", &n->share, {1, 1, 1}};
    *out = (struct place){0};
}

static uint64_t count_of(const struct place *p) {
    return p->ne[0] * p->ne[1] * p->ne[2];
}

static size_t values_per_layer(const struct sizes *z) {
    struct memory_branch b;
    struct numbers n;
    struct place places[PLACES];
    places_of(z, &b, &n, places);
    size_t sum = 0;
    for (const struct place *p = places; p->name; p++) {
        sum += count_of(p);
    }
    return sum;
}

static bool read_branch(struct adapter *a, const struct sizes *z, uint32_t layer, float *values,
                        struct error *error) {
    struct memory_branch *b = &a->branches[layer];
    const float one = 1;
    struct numbers n = {.v_scale = &one}; /* where there are no fast weights */
    struct place places[PLACES];
    places_of(z, b, &n, places);
    for (const struct place *p = places; p->name; p++) {
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
        const size_t count = count_of(p);
        quant_row(t->type, t->data, values, count);
        for (size_t i = 0; i < count; i++) {
            if (!isfinite(values[i])) {
                return error_set(error, ERROR_INCOMPATIBLE,
                                 "tensor %s holds a number that is not finite (value %zu)", name,
                                 i);
            }
        }
        if (p->to) {
            *p->to = values;
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
    struct sizes z = {c->width, c->heads, c->kv_heads, c->head_dim, a->width, a->merged_gate};
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
