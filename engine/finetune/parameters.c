/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of a branch's parameters.
 */
#include "engine/finetune/parameters.h"

#include <assert.h>
#include <string.h>

size_t parameters_table(const struct branch_shape *s, struct parameter out[PARAMETERS]) {
    const uint64_t d = s->width, H = s->heads, M = s->kv_heads, e = s->head_dim,
                   f = s->memory_width;
    const struct parameter gate[PARAMETERS] = {
        {.name = "merged_w", .dims = 2, .ne = {d, H}},
        {.name = "merged_b", .dims = 1, .ne = {H}},
    };
    const struct parameter fast[PARAMETERS] = {
        {.name = "w1", .dims = 3, .ne = {e, f, M}},
        {.name = "w2", .dims = 3, .ne = {f, e, M}},
        {.name = "w3", .dims = 3, .ne = {e, f, M}},
        {.name = "q_map", .dims = 3, .ne = {e, e, H}},
        {.name = "k_map", .dims = 3, .ne = {e, e, M}},
        {.name = "ev_q", .dims = 3, .ne = {e, e, H}},
        {.name = "ev_k", .dims = 3, .ne = {e, e, M}},
        {.name = "gate_lse", .dims = 1, .ne = {H}},
        {.name = "alpha", .dims = 2, .ne = {e, H}},
        {.name = "gate_w", .dims = 2, .ne = {d, H}},
        {.name = "gate_b", .dims = 1, .ne = {H}},
        {.name = "step_w", .dims = 2, .ne = {d, M}},
        {.name = "decay_w", .dims = 2, .ne = {d, M}},
        {.name = "step_b", .dims = 1, .ne = {M}},
        {.name = "decay_b", .dims = 1, .ne = {M}},
        {.name = "v_scale", .dims = 1, .ne = {1}},
    };
    size_t at = 0;
    memcpy(out, f ? fast : gate, sizeof fast);
    for (size_t i = 0; i < PARAMETERS && out[i].name; i++) {
        struct parameter *p = &out[i];
        p->offset = at;
        p->count = 1;
        for (uint32_t j = 0; j < p->dims; j++) {
            p->count *= (size_t)p->ne[j];
        }
        at += p->count;
    }
    return at;
}

size_t parameters_count(const struct branch_shape *s) {
    struct parameter table[PARAMETERS];
    return parameters_table(s, table);
}

struct branch_values parameters_bind(const struct branch_shape *s, float *values) {
    struct parameter table[PARAMETERS];
    struct branch_values v = {0};
    parameters_table(s, table);
    if (s->memory_width == 0) {
        v.merged_w = values + table[0].offset;
        v.merged_b = values + table[1].offset;
        return v;
    }
    const struct {
        const char *name;
        float **to;
    } places[] = {
        {"w1", &v.w1},          {"w2", &v.w2},
        {"w3", &v.w3},          {"q_map", &v.q_map},
        {"k_map", &v.k_map},    {"ev_q", &v.ev_q},
        {"ev_k", &v.ev_k},      {"gate_lse", &v.gate_lse},
        {"alpha", &v.alpha},    {"gate_w", &v.gate_w},
        {"gate_b", &v.gate_b},  {"step_w", &v.rates_w},
        {"step_b", &v.rates_b}, {"v_scale", &v.v_scale},
    };
    size_t bound = 0;
    for (size_t i = 0; i < PARAMETERS; i++) {
        if (bound < sizeof places / sizeof *places &&
            strcmp(table[i].name, places[bound].name) == 0) {
            *places[bound++].to = values + table[i].offset;
        }
    }
    assert(bound == sizeof places / sizeof *places);
    return v;
}
