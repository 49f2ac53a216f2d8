/* SPDX-License-Identifier: Apache-2.0
 *
 * Merged tokens on the device: the points of all heads are laid out; where there are too many,
 * their costs are computed and the cheapest pairs merged one by one; what is left takes its slots.
 * shaders/lib/merged.glsl says what is where.
 */
#include "engine/vulkan/vulkan_private.h"

enum { COST_SIDE = 16 };

bool vulkan_merged_prepare(struct vulkan_backend *b, const struct window_shape *s, size_t rows,
                           struct error *error) {
    const uint32_t none[VULKAN_CONSTANTS] = {0};
    const size_t M = s->kv_heads, G = s->merge, P = G + s->chunk, e = s->head_dim;
    struct vulkan_merged *p = &b->merged;
    struct vulkan_pipelines *all = &b->pipelines;
    return G == 0 || ((p->gather = vulkan_pipeline(all, "merged_gather", none, error)) &&
                      (p->unit = vulkan_pipeline(all, "merged_unit", none, error)) &&
                      (p->cost = vulkan_pipeline(all, "merged_cost", none, error)) &&
                      (p->choose = vulkan_pipeline(all, "merged_choose", none, error)) &&
                      (p->place = vulkan_pipeline(all, "merged_place", none, error)) &&
                      vulkan_reserve(b, &p->turns, (1 + rows) * e * sizeof(float), error) &&
                      vulkan_reserve(b, &p->points, M * P * 2 * e * sizeof(float), error) &&
                      vulkan_reserve(b, &p->sizes, M * (1 + P) * sizeof(float), error) &&
                      vulkan_reserve(b, &p->costs, M * P * P * sizeof(float), error) &&
                      vulkan_reserve(b, &p->left, M * G * sizeof(uint32_t), error));
}

void vulkan_merged_finish(struct vulkan_backend *b) {
    struct vulkan_merged *p = &b->merged;
    struct buffer *owned[] = {p->turns, p->points, p->sizes, p->costs, p->left};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        vulkan_buffer_destroy(&b->base, owned[i]);
    }
}

void vulkan_merged_positions(struct vulkan_backend *b, const struct window_shape *s, size_t count) {
    size_t row = 1;
    for (uint64_t t = b->from; t < b->from + count; t++) {
        if (window_leaves(s, t)) {
            vulkan_upload_turns(b, b->merged.turns, row++, t + s->chunk / 2, 1);
        }
    }
    const struct window_distances far = window_merged_distances(s);
    float *mean = row == 1 ? NULL
                           : vulkan_upload_room(&b->commands, b->merged.turns->span, 0,
                                                b->rope->dims * sizeof(float));
    if (mean) {
        rope_mean_row(b->rope, far.from, far.to, mean);
    }
}

void vulkan_window_merge(struct backend *backend, const struct attention_step *step) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    struct vulkan_commands *c = &b->commands;
    const struct vulkan_merged *p = &b->merged;
    const struct window_shape *s = step->shape;
    const struct window_layout l = window_layout(s);
    const uint64_t t = step->position;
    const uint32_t M = s->kv_heads, before = window_merged_at(s, t - s->chunk);
    const uint32_t after = window_merged_at(s, t);
    const uint32_t fresh = (uint32_t)(window_written_at(s, t) - window_written_at(s, t - s->chunk));
    const uint32_t count = before + fresh, side = (uint32_t)divide_up(count, COST_SIDE);
    if (after == 0) {
        return;
    }
    struct {
        VkDeviceAddress merged, counts, weights, keys, values, leaving, turns, points, sizes, costs;
        VkDeviceAddress left;
        uint32_t most, chunk, before, count, slots, first_slot, dims_and_order, head_dim;
        float limit;
        uint32_t after;
    } push = {vulkan_address(step->state, l.merged),
              vulkan_address(step->state, l.counts),
              vulkan_address(step->state, l.weights),
              vulkan_address(step->state, l.keys),
              vulkan_address(step->state, l.values),
              vulkan_address(b->leaving, 0),
              vulkan_turn(b, p->turns, 0),
              vulkan_address(p->points, 0),
              vulkan_address(p->sizes, 0),
              vulkan_address(p->costs, 0),
              vulkan_address(p->left, 0),
              s->merge,
              s->chunk,
              before,
              count,
              window_slots(s),
              window_slots(s) - s->merge,
              b->rope->dims * 2 + b->rope->interleaved,
              s->head_dim,
              (float)s->clip,
              after};
    vulkan_barrier(c);
    vulkan_dispatch(c, p->gather, &push, sizeof push, count, M, 1);
    if (count > after) {
        vulkan_barrier(c);
        vulkan_dispatch(c, p->unit, &push, sizeof push, M, 1, 1);
        vulkan_barrier(c);
        vulkan_dispatch(c, p->cost, &push, sizeof push, side, side, M);
    }
    vulkan_barrier(c);
    vulkan_dispatch(c, p->choose, &push, sizeof push, M, 1, 1);
    push.turns = vulkan_turn(b, p->turns, 1 + vulkan_chunk_row(b, s, t));
    vulkan_barrier(c);
    vulkan_dispatch(c, p->place, &push, sizeof push, after, M, 1);
}
