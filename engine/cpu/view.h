/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to the CPU backend: a layer's state (window.h), taken apart into its arrays.
 */
#pragma once

#include "engine/cpu/cpu.h"

struct view {
    struct window_shape s;
    size_t slots, ring;
    uint16_t *keys, *values, *far_keys;
    float *scores, *rates;
    uint32_t *kept_at;
    float *merged, *counts, *weights;
};

static inline struct view view_of(const struct attention_step *step) {
    struct window_layout l = window_layout(step->shape);
    char *base = (char *)step->state->data;
    return (struct view){
        .s = *step->shape,
        .slots = window_slots(step->shape),
        .ring = window_ring(step->shape),
        .keys = (uint16_t *)(void *)(base + l.keys),
        .values = (uint16_t *)(void *)(base + l.values),
        .far_keys = (uint16_t *)(void *)(base + l.far_keys),
        .scores = (float *)(void *)(base + l.scores),
        .rates = (float *)(void *)(base + l.rates),
        .kept_at = (uint32_t *)(void *)(base + l.kept_at),
        .merged = (float *)(void *)(base + l.merged),
        .counts = (float *)(void *)(base + l.counts),
        .weights = (float *)(void *)(base + l.weights),
    };
}
