/* SPDX-License-Identifier: Apache-2.0
 *
 * The window on the device: turns of the batch, the block that leaves the ring, new rows into it,
 * attention over the slots. Where things are is computed here with window.h, in 64 bits; a shader
 * gets offsets and counts.
 */
#include <math.h>
#include <string.h>

#include "engine/vulkan/vulkan_private.h"

/* Workgroups that attention is spread over at least, as far as the slots reach. */
enum { WANTED_GROUPS = 256, LEAST_SEGMENT = 128 };
enum { MOST_QUERIES = 16 };

/* ---- room ---- */

/* Tiles of attention in 32 KiB of shared memory: queries and slots of `e` floats. */
static uint32_t tile_slots(uint32_t e) {
    return e <= 128 ? 32 : e <= 256 ? 16 : e <= 512 ? 8 : 4;
}

static uint32_t tile_queries(uint32_t e) {
    return e <= 128 ? MOST_QUERIES : e <= 256 ? 8 : e <= 512 ? 4 : 2;
}

/* Of one row: no more than its heads need. */
static uint32_t tile_queries_of_one(const struct window_shape *s) {
    uint32_t group = s->heads / s->kv_heads, most = tile_queries(s->head_dim), n = 1;
    while (n < group && n < most) {
        n *= 2;
    }
    return n;
}

/* Segments that a step with `rows` rows would like its slots to be cut into. */
static size_t wanted_segments(const struct window_shape *s, size_t rows, size_t queries_in_tile) {
    size_t queries = rows * (s->heads / s->kv_heads);
    return divide_up(WANTED_GROUPS, divide_up(queries, queries_in_tile) * s->kv_heads);
}

/* At most as many as wanted; none is short. */
static uint32_t segments_of(const struct window_shape *s, size_t rows, size_t queries_in_tile,
                            uint32_t visible, uint32_t *segment) {
    size_t least = divide_up(visible, wanted_segments(s, rows, queries_in_tile));
    *segment = (uint32_t)(divide_up(least, LEAST_SEGMENT) * LEAST_SEGMENT);
    return (uint32_t)divide_up(visible, *segment);
}

/* Floats of window_attend's parts for a step of `rows` rows, whatever is visible. */
static size_t parts_floats(const struct window_shape *s, size_t rows, size_t queries_in_tile) {
    size_t most = divide_up(window_slots(s), LEAST_SEGMENT);
    size_t wanted = wanted_segments(s, rows, queries_in_tile);
    return rows * s->heads * (wanted < most ? wanted : most) * (s->head_dim + 2);
}

static size_t most_parts(const struct window_shape *s) {
    size_t most = parts_floats(s, 1, tile_queries_of_one(s));
    for (size_t rows = 2; rows <= s->chunk; rows++) {
        size_t floats = parts_floats(s, rows, tile_queries(s->head_dim));
        most = floats > most ? floats : most;
    }
    return most;
}

static bool find_pipelines(struct vulkan_backend *b, const struct window_shape *s,
                           struct error *error) {
    const uint32_t none[VULKAN_CONSTANTS] = {0};
    const uint32_t e = s->head_dim;
    const uint32_t many[VULKAN_CONSTANTS] = {e, tile_queries(e), tile_slots(e)};
    const uint32_t one[VULKAN_CONSTANTS] = {e, tile_queries_of_one(s), tile_slots(e)};
    struct vulkan_step_pipelines *p = &b->steps;
    struct vulkan_pipelines *all = &b->pipelines;
    return (p->store = vulkan_pipeline(all, "window_store", none, error)) &&
           (p->attend_many = vulkan_pipeline(all, "window_attend", many, error)) &&
           (p->attend_one = vulkan_pipeline(all, "window_attend", one, error)) &&
           (p->merge = vulkan_pipeline(all, "window_merge", none, error)) &&
           (p->score = vulkan_pipeline(all, "window_score", many, error)) &&
           (p->choose = vulkan_pipeline(all, "window_choose", none, error)) &&
           (p->drop = vulkan_pipeline(all, "window_drop", none, error)) &&
           (p->settle = vulkan_pipeline(all, "window_settle", none, error)) &&
           (p->clip = vulkan_pipeline(all, "window_clip", none, error));
}

bool vulkan_window_prepare(struct vulkan_backend *b, const struct window_shape *s, size_t rows,
                           struct error *error) {
    size_t M = s->kv_heads, C = s->chunk, e = s->head_dim;
    size_t turns = (rows + C) * e * sizeof(float);
    if (e % 2 != 0) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "heads of %zu values: the Vulkan backend needs an even number", e);
    }
    return find_pipelines(b, s, error) && vulkan_reserve(b, &b->turns, turns, error) &&
           vulkan_reserve(b, &b->departed, turns, error) &&
           vulkan_reserve(b, &b->clipped, turns, error) &&
           vulkan_reserve(b, &b->parts, most_parts(s) * sizeof(float), error) &&
           vulkan_reserve(b, &b->lse, C * s->heads * sizeof(float), error) &&
           vulkan_reserve(b, &b->worth, M * (s->keep + C) * sizeof(float), error) &&
           vulkan_reserve(b, &b->gone, M * (1 + C) * sizeof(uint32_t), error) &&
           vulkan_reserve(b, &b->leaving, M * C * (2 * e + 2) * sizeof(float), error);
}

void vulkan_window_finish(struct vulkan_backend *b) {
    struct buffer *owned[] = {b->turns, b->departed, b->clipped, b->parts,
                              b->lse,   b->worth,    b->gone,    b->leaving};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) {
        vulkan_buffer_destroy(&b->base, owned[i]);
    }
}

/* ---- turns ---- */

void vulkan_upload_turns(struct vulkan_backend *b, struct buffer *to, size_t row, uint64_t position,
                         size_t count) {
    size_t bytes = b->rope->dims * sizeof(float);
    float *room = vulkan_upload_room(&b->commands, to->span, row * bytes, count * bytes);
    for (size_t i = 0; room && i < count; i++) {
        rope_row(b->rope, position + i, room + i * b->rope->dims);
    }
}

void vulkan_positions(struct backend *backend, const struct rope *rope,
                      const struct window_shape *s, uint64_t from, size_t count) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    b->rope = rope;
    b->from = from;
    vulkan_upload_turns(b, b->turns, 0, from, count);
    size_t clipped = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t p = from + i;
        if (window_leaves(s, p)) {
            vulkan_upload_turns(b, b->departed, i, p - window_ring(s), s->chunk);
            vulkan_upload_turns(b, b->clipped, clipped++, p > s->clip ? p - s->clip : 0, 1);
        }
    }
    if (s->merge) {
        vulkan_merged_positions(b, s, count);
    }
}

VkDeviceAddress vulkan_turn(const struct vulkan_backend *b, const struct buffer *turns,
                            uint64_t row) {
    return vulkan_address(turns, (size_t)row * b->rope->dims * sizeof(float));
}

uint64_t vulkan_chunk_row(const struct vulkan_backend *b, const struct window_shape *s,
                          uint64_t t) {
    uint64_t first = b->from > window_ring(s) ? b->from : window_ring(s);
    first = (first + s->chunk - 1) / s->chunk * s->chunk;
    return (t - first) / s->chunk;
}

/* ---- a block leaves ---- */

void vulkan_window_retire(struct backend *backend, const struct attention_step *step) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    const struct window_shape *s = step->shape;
    const struct window_layout l = window_layout(s);
    const uint64_t t = step->position, begin = t - window_ring(s);
    const uint32_t block = (uint32_t)(begin % window_ring(s)), settled = begin ? 0 : s->sinks;
    const uint32_t before = window_kept_at(s, t - s->chunk), after = window_kept_at(s, t);
    const uint32_t fresh = s->chunk - settled, drops = before + fresh - after;
    const uint32_t M = s->kv_heads, kept_slot = window_ring(s) + s->sinks;

    const struct {
        VkDeviceAddress scores, values, worth, gone;
        uint32_t slots, kept_slot, fresh_slot, before, fresh, drops, chunk, most, head_dim;
        float stays;
    } contest = {vulkan_address(step->state, l.scores),
                 vulkan_address(step->state, l.values),
                 vulkan_address(b->worth, 0),
                 vulkan_address(b->gone, 0),
                 window_slots(s),
                 kept_slot,
                 block + settled,
                 before,
                 fresh,
                 drops,
                 s->chunk,
                 s->keep + s->chunk,
                 s->head_dim,
                 window_score_stays(s)};
    vulkan_barrier(&b->commands);
    vulkan_dispatch(&b->commands, b->steps.choose, &contest, sizeof contest, M, 1, 1);

    struct {
        VkDeviceAddress keys, values, far_keys, scores, rates, kept_at, turns, gone, leaving;
        uint32_t slots, ring, sinks, keep, chunk, block_slot, position, settled, before, limit;
        uint32_t dims_and_order, head_dim;
    } push = {.keys = vulkan_address(step->state, l.keys),
              .values = vulkan_address(step->state, l.values),
              .far_keys = vulkan_address(step->state, l.far_keys),
              .scores = vulkan_address(step->state, l.scores),
              .rates = vulkan_address(step->state, l.rates),
              .kept_at = vulkan_address(step->state, l.kept_at),
              .turns = vulkan_turn(b, b->departed, t - b->from),
              .gone = vulkan_address(b->gone, 0),
              .leaving = vulkan_address(b->leaving, 0),
              .slots = window_slots(s),
              .ring = window_ring(s),
              .sinks = s->sinks,
              .keep = s->keep,
              .chunk = s->chunk,
              .block_slot = block,
              .position = (uint32_t)begin,
              .settled = settled,
              .before = before,
              .limit = drops,
              .dims_and_order = b->rope->dims * 2 + b->rope->interleaved,
              .head_dim = s->head_dim};
    if (drops) {
        vulkan_barrier(&b->commands);
        vulkan_dispatch(&b->commands, b->steps.drop, &push, sizeof push, drops, M, 1);
    }
    vulkan_barrier(&b->commands);
    vulkan_dispatch(&b->commands, b->steps.settle, &push, sizeof push, s->chunk, M, 1);
    if (t > s->clip && s->sinks + after) {
        uint64_t limit = t - s->clip;
        push.before = after;
        push.limit = limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX;
        push.turns = vulkan_turn(b, b->clipped, vulkan_chunk_row(b, s, t));
        vulkan_barrier(&b->commands);
        vulkan_dispatch(&b->commands, b->steps.clip, &push, sizeof push,
                        vulkan_groups(s->sinks + after), M, 1);
    }
}

/* ---- new rows ---- */

void vulkan_window_store(struct backend *backend, const struct attention_step *step) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    const struct window_shape *s = step->shape;
    const struct window_layout l = window_layout(s);
    const size_t M = s->kv_heads, row = step->row * M * s->head_dim * sizeof(float);
    const struct {
        VkDeviceAddress k, v, raw, turns, keys, values, scores, rates;
        uint32_t slots, slot, rows, head_dim, kv_heads, has_memory, dims, interleaved;
    } push = {vulkan_address(step->k, row),
              vulkan_address(step->v, row),
              step->memory ? vulkan_address(step->rates, step->row * 2 * M * sizeof(float)) : 0,
              vulkan_turn(b, b->turns, step->position - b->from),
              vulkan_address(step->state, l.keys),
              vulkan_address(step->state, l.values),
              vulkan_address(step->state, l.scores),
              vulkan_address(step->state, l.rates),
              window_slots(s),
              (uint32_t)(step->position % window_ring(s)),
              (uint32_t)step->rows,
              s->head_dim,
              s->kv_heads,
              step->memory ? 1 : 0,
              b->rope->dims,
              b->rope->interleaved};
    vulkan_barrier(&b->commands);
    vulkan_dispatch(&b->commands, b->steps.store, &push, sizeof push, vulkan_groups(step->rows * M),
                    1, 1);
}

/* ---- attention ---- */

void vulkan_window_attend(struct backend *backend, const struct attention_step *step) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    const struct window_shape *s = step->shape;
    const struct window_layout l = window_layout(s);
    const uint32_t e = s->head_dim, M = s->kv_heads, group = s->heads / M;
    const uint32_t rows = (uint32_t)step->rows, chunk_at = (uint32_t)(step->position % s->chunk);
    const uint32_t visible = window_visible(s, step->position + rows - 1);
    const uint32_t queries_in_tile = rows == 1 ? tile_queries_of_one(s) : tile_queries(e);
    const size_t first = step->row * s->heads * e * sizeof(float);
    uint32_t segment, segments = segments_of(s, rows, queries_in_tile, visible, &segment);

    struct {
        VkDeviceAddress keys, values, q, turns, result, lse, weights, gate;
        uint32_t slots, visible, ring, rows, kv_heads, group, chunk_slot, chunk, at, dims;
        uint32_t interleaved, segment;
        float scale;
        uint32_t merged, gated, first_kept;
    } push = {vulkan_address(step->state, l.keys),
              vulkan_address(step->state, l.values),
              vulkan_address(step->q, first),
              vulkan_turn(b, b->turns, step->position - b->from),
              vulkan_address(b->parts, 0),
              vulkan_address(b->lse, 0),
              vulkan_address(step->state, l.weights),
              step->merged_gate
                  ? vulkan_address(step->merged_gate, step->row * s->heads * sizeof(float))
                  : 0,
              window_slots(s),
              visible,
              window_ring(s),
              rows,
              M,
              group,
              (uint32_t)((step->position - chunk_at) % window_ring(s)),
              s->chunk,
              chunk_at,
              b->rope->dims,
              b->rope->interleaved,
              segment,
              b->rope->magnitude * b->rope->magnitude / sqrtf((float)e),
              s->merge,
              step->merged_gate ? 1 : 0,
              window_ring(s) + s->sinks};
    vulkan_barrier(&b->commands);
    vulkan_dispatch(&b->commands, rows == 1 ? b->steps.attend_one : b->steps.attend_many, &push,
                    sizeof push, (uint32_t)divide_up(rows * group, queries_in_tile), M, segments);

    const struct {
        VkDeviceAddress parts, result, lse;
        uint32_t rows, kv_heads, group, head_dim, segments;
    } merge = {vulkan_address(b->parts, 0),
               vulkan_address(step->out, first),
               vulkan_address(b->lse, 0),
               rows,
               M,
               group,
               e,
               segments};
    vulkan_barrier(&b->commands);
    vulkan_dispatch(&b->commands, b->steps.merge, &merge, sizeof merge,
                    vulkan_groups((size_t)rows * s->heads), 1, 1);
    if (s->keep) {
        push.result = vulkan_address(step->state, l.scores);
        const uint32_t single = window_slots(s) - s->merge;
        vulkan_barrier(&b->commands);
        vulkan_dispatch(
            &b->commands, b->steps.score, &push, sizeof push,
            vulkan_groups(divide_up(visible < single ? visible : single, tile_slots(e))), M, 1);
    }
}
