/* SPDX-License-Identifier: Apache-2.0
 *
 * One table says the shape of each parameter and what it is drawn from. Only arithmetic that is
 * exact or correctly rounded is used, so the bytes do not depend on the C library.
 */
#include "tests/tools/tiny_adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/adapter.h"
#include "engine/gguf_write.h"

/* splitmix64; uniform, mean 0, variance 1. */
static float next_number(uint64_t *random) {
    uint64_t z = *random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return ((float)((z ^ z >> 31) >> 40) * 0x1p-23f - 1) * 1.7320508f;
}

struct parameter {
    const char *name;
    uint64_t ne[3]; /* innermost first, as in the file; 0 ends */
    float centre, spread;
    bool identity; /* the centre stands on the diagonal of each matrix, else 0 */
};

static bool put_parameter(struct gguf_writer *w, const struct parameter *p, uint32_t layer,
                          uint64_t *random) {
    uint32_t dims = p->ne[1] == 0 ? 1 : p->ne[2] == 0 ? 2 : 3;
    uint64_t count = 1;
    for (uint32_t i = 0; i < dims; i++) {
        count *= p->ne[i];
    }
    float *values = calloc(count, sizeof *values);
    if (!values) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        bool centred = !p->identity || i % p->ne[0] == i / p->ne[0] % p->ne[1];
        values[i] = (centred ? p->centre : 0) + p->spread * next_number(random);
    }
    char name[64];
    snprintf(name, sizeof name, "blk.%u.mem_%s", layer, p->name);
    gguf_put_tensor(w, name, QUANT_F32, dims, p->ne, values);
    free(values);
    return true;
}

static bool put_layer(struct gguf_writer *w, const struct tiny_adapter *a,
                      const struct model_config *c, uint32_t layer, uint64_t *random) {
    const uint64_t d = c->width, H = c->heads, M = c->kv_heads, e = c->head_dim, f = a->width;
    const float per_e = 1 / sqrtf((float)e), per_d = 1 / sqrtf((float)d);
    const struct parameter merged[] = {
        {"merged_w", {d, H}, 0, 0.5f * per_d, false},
        {"merged_b", {H, 2}, 0, 0.7f, false},
    };
    const struct parameter fast[] = {
        {"w1", {e, f, M}, 0, per_e, false},
        {"w2", {f, e, M}, 0, 0.5f / sqrtf((float)f), false},
        {"w3", {e, f, M}, 0, per_e, false},
        {"q_map", {e, e, H}, 1, 0.3f * per_e, true},
        {"k_map", {e, e, M}, 1, 0.3f * per_e, true},
        {"step_w", {d, M}, 0, 0.5f * per_d, false},
        {"step_b", {M}, a->step, 0.2f, false},
        {"decay_w", {d, M}, 0, 0.5f * per_d, false},
        {"decay_b", {M}, a->decay, 0.2f, false},
        {"gate_w", {d, H}, 0, 0.3f * per_d, false},
        {"gate_b", {H}, a->gate, 0.2f, false},
        {"gate_lse", {H}, -1, 0.1f, false},
        {"ev_q", {e, e, H}, 1, 0.3f * per_e, true},
        {"ev_k", {e, e, M}, 1, 0.3f * per_e, true},
        {"alpha", {e, H}, 0.5f, 0.1f, false},
        {"v_scale", {1}, 0.8f, 0, false},
    };
    bool ok = true;
    for (size_t i = 0; ok && a->width && i < sizeof fast / sizeof *fast; i++) {
        ok = put_parameter(w, &fast[i], layer, random);
    }
    const float sign = layer % 2 ? 1 : -1;
    const struct parameter share = {"share", {1}, 1 + sign * a->uneven, 0, false};
    const bool gated = a->merged_gate || a->width == 0;
    for (size_t i = 0; ok && gated && i < sizeof merged / sizeof *merged; i++) {
        ok = put_parameter(w, &merged[i], layer, random);
    }
    uint64_t unused = 0; /* nothing is drawn */
    return ok && put_parameter(w, &share, layer, &unused);
}

struct tiny_adapter tiny_adapter_of(void) {
    return (struct tiny_adapter){
        .seed = 1, .width = 32, .chunk = 16, .sinks = 4, .step = 0, .decay = 3, .gate = -1};
}

bool tiny_adapter_build(const struct tiny_adapter *a, const struct model *model, struct bytes *out,
                        struct error *error) {
    struct gguf_writer w = {0};
    uint64_t random = a->seed;
    char hex[HASH_HEX];
    hash_hex(model->base_fingerprint, hex);
    gguf_put_string(&w, "general.architecture", "allmem-adapter");
    gguf_put_string(&w, "general.name", "tiny adapter");
    gguf_put_u32(&w, "allmem.spec", ADAPTER_SPEC);
    gguf_put_string(&w, "allmem.base", "tiny");
    gguf_put_string(&w, "allmem.base_fingerprint", hex);
    gguf_put_u32(&w, "allmem.width", a->width);
    gguf_put_u32(&w, "allmem.chunk", a->chunk);
    gguf_put_u32(&w, "allmem.sinks", a->sinks);
    bool ok = true;
    for (uint32_t l = 0; ok && l < model->config.layers; l++) {
        ok = put_layer(&w, a, &model->config, l, &random);
    }
    ok = ok ? gguf_writer_build(&w, out, error)
            : error_set(error, ERROR_NO_SPACE, "out of memory for an adapter");
    gguf_writer_finish(&w);
    return ok;
}
