/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of a branch's parameters.
 */
#include "engine/finetune/parameters.h"

#include <assert.h>
#include <string.h>

size_t parameters_table(const struct branch_shape *s, struct parameter out[PARAMETERS]) {
    const struct branch_sizes z = {s->width,    s->heads,        s->kv_heads,
                                   s->head_dim, s->memory_width, s->memory_width == 0};
    struct branch_tensor tensors[BRANCH_TENSORS];
    const size_t n = branch_tensors(&z, tensors) - 1; /* the share is not one of them */
    assert(n <= PARAMETERS);
    size_t at = 0;
    memset(out, 0, PARAMETERS * sizeof *out);
    for (size_t i = 0; i < n; i++) {
        out[i] = (struct parameter){tensors[i], at, branch_tensor_count(&tensors[i])};
        at += out[i].count;
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
    const struct {
        const char *name;
        float **to;
    } places[] = {
        {"w1", &v.w1},
        {"w2", &v.w2},
        {"w3", &v.w3},
        {"q_map", &v.q_map},
        {"k_map", &v.k_map},
        {"ev_q", &v.ev_q},
        {"ev_k", &v.ev_k},
        {"gate_lse", &v.gate_lse},
        {"alpha", &v.alpha},
        {"gate_w", &v.gate_w},
        {"gate_b", &v.gate_b},
        {"step_w", &v.rates_w},
        {"step_b", &v.rates_b},
        {"v_scale", &v.v_scale},
        {"merged_w", &v.merged_w},
        {"merged_b", &v.merged_b},
    };
    parameters_table(s, table);
    for (size_t i = 0; i < PARAMETERS && table[i].tensor.name; i++) {
        for (size_t j = 0; j < sizeof places / sizeof *places; j++) {
            if (strcmp(table[i].tensor.name, places[j].name) == 0) {
                *places[j].to = values + table[i].offset;
            }
        }
    }
    return v;
}
