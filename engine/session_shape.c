/* SPDX-License-Identifier: Apache-2.0
 *
 * A session's options, and what they make of its layers.
 */
#include "engine/session_private.h"

struct session_options session_defaults(const struct engine *e) {
    const struct adapter *a = &e->adapter;
    return (struct session_options){.window = SESSION_WINDOW,
                                    .keep = SESSION_KEEP,
                                    .merge = a->branches && !a->merged_gate ? 0 : SESSION_MERGE,
                                    .sinks = a->branches ? a->sinks : SESSION_SINKS,
                                    .memory = a->branches != NULL,
                                    .writes = true};
}

struct session_options session_full_attention(const struct engine *e, uint64_t tokens) {
    (void)e;
    uint64_t window = (tokens + SESSION_CHUNK) / SESSION_CHUNK * SESSION_CHUNK;
    return (struct session_options){.window = window > UINT32_MAX ? UINT32_MAX : (uint32_t)window};
}

struct window_shape session_shape(const struct engine *e, const struct session_options *o) {
    const struct model_config *c = &e->model.config;
    bool memory = o->memory && e->adapter.branches;
    return (struct window_shape){
        .layers = c->layers,
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .window = o->window,
        .chunk = memory ? e->adapter.chunk : SESSION_CHUNK,
        .sinks = o->sinks,
        .keep = o->keep,
        .merge = o->writes ? o->merge : 0,
        .clip = c->context / 4 * 3,
        .memory_width = memory ? e->adapter.width : 0,
    };
}

struct window_layout session_layout(const struct session *s, uint32_t layer) {
    return window_layout(&s->shapes[layer]);
}

size_t session_bytes_before(const struct session *s, size_t layer) {
    size_t bytes = 0;
    for (uint32_t l = 0; l < layer; l++) {
        bytes += session_layout(s, l).bytes;
    }
    return bytes;
}

void session_shape_layers(struct session *s) {
    const struct memory_branch *branches = s->options.memory ? s->engine->adapter.branches : NULL;
    for (uint32_t l = 0; l < s->shape.layers; l++) {
        s->shapes[l] = window_of_layer(&s->shape, branches ? branches[l].share : 1);
    }
}

struct window_shape session_largest_shape(const struct session *s) {
    struct window_shape most = s->shapes[0];
    for (uint32_t l = 1; l < s->shape.layers; l++) {
        most.keep = s->shapes[l].keep > most.keep ? s->shapes[l].keep : most.keep;
        most.merge = s->shapes[l].merge > most.merge ? s->shapes[l].merge : most.merge;
    }
    return most;
}
