/* SPDX-License-Identifier: Apache-2.0
 *
 * Window attention over a sequence, with its trace.
 */
#include "engine/finetune/window_pass.h"

#include <assert.h>
#include <string.h>

struct window_shape window_pass_shape(const struct model_config *c, size_t window, size_t chunk,
                                      size_t sinks, size_t keep, size_t merge) {
    return (struct window_shape){.layers = 1,
                                 .heads = c->heads,
                                 .kv_heads = c->kv_heads,
                                 .head_dim = c->head_dim,
                                 .window = (uint32_t)window,
                                 .chunk = (uint32_t)chunk,
                                 .sinks = (uint32_t)sinks,
                                 .keep = (uint32_t)keep,
                                 .merge = (uint32_t)merge,
                                 .clip = c->context / 4 * 3};
}

size_t window_pass_retirements(const struct window_shape *s, size_t length) {
    const size_t ring = window_ring(s);
    return length > ring ? (length - ring) / s->chunk : 0;
}

size_t window_pass_first(const struct window_shape *s, size_t length) {
    size_t t = window_ring(s);
    while (t < length && window_written_at(s, t) == 0 && t <= s->clip) {
        t += s->chunk;
    }
    return t < length ? t : length;
}

size_t window_pass_first_of(const struct window_shape *windows, size_t layers, size_t length) {
    size_t first = length;
    for (size_t l = 0; l < layers; l++) {
        const size_t own = window_pass_first(&windows[l], length);
        first = own < first ? own : first;
    }
    return first;
}

/* Those of head m that were kept before and are not now, then those of the block [begin, begin + C)
 * that are neither sinks nor kept. */
static size_t list_written(const struct window_shape *s, size_t begin, const uint32_t *before,
                           size_t before_count, const uint32_t *kept, size_t kept_count,
                           uint32_t *written) {
    bool stays[WINDOW_MAX_CHUNK] = {false};
    size_t n = 0;
    for (size_t i = 0; i < before_count; i++) {
        if (kept[i] != before[i]) {
            written[n++] = before[i];
        }
    }
    for (size_t i = 0; i < kept_count; i++) {
        if (kept[i] >= begin) {
            stays[kept[i] - begin] = true;
        }
    }
    for (size_t i = begin ? 0 : s->sinks; i < s->chunk; i++) {
        if (!stays[i]) {
            written[n++] = (uint32_t)(begin + i);
        }
    }
    return n;
}

/* After the retirement when chunk t began. */
static void note(const struct window_shape *s, size_t retirements, size_t t,
                 const struct buffer *state, const struct window_trace *trace) {
    const size_t M = s->kv_heads, B = s->keep, C = s->chunk, begin = t - window_ring(s);
    const size_t j = begin / C, count = window_kept_at(s, t);
    const size_t before_count = j ? window_kept_at(s, t - C) : 0;
    const uint32_t *kept_at =
        (const uint32_t *)(const void *)((const char *)state->data + window_layout(s).kept_at);
    for (size_t m = 0; m < M; m++) {
        uint32_t *kept = trace->kept + (j * M + m) * B;
        const uint32_t *before = before_count ? kept - M * B : NULL;
        if (count) {
            memcpy(kept, kept_at + m * B, count * sizeof *kept);
        }
        const size_t n = list_written(s, begin, before, before_count, kept, count,
                                      trace->written + (m * retirements + j) * C);
        assert(n == window_written_at(s, t) - (j ? window_written_at(s, t - C) : 0));
        trace->written_count[j] = (uint32_t)n;
    }
}

size_t window_pass_points(const struct window_shape *s, size_t t) {
    return window_merged_at(s, t - s->chunk) +
           (size_t)(window_written_at(s, t) - window_written_at(s, t - s->chunk));
}

/* Merges when chunk t begins. What a point's share is, its count before tells. */
static void merge(struct cpu_backend *cpu, const struct attention_step *step,
                  const struct window_trace *trace) {
    const struct window_shape *s = step->shape;
    const struct window_layout layout = window_layout(s);
    const size_t t = (size_t)step->position, M = s->kv_heads, G = s->merge, room = G + s->chunk;
    const size_t before = window_merged_at(s, t - s->chunk), after = window_merged_at(s, t);
    const size_t j = (t - window_ring(s)) / s->chunk, points = window_pass_points(s, t);
    const float *counts = step->state->data + layout.counts / sizeof(float);
    const float *weights = step->state->data + layout.weights / sizeof(float);
    for (size_t m = 0; m < M; m++) {
        float *share = trace->merged_share + (j * M + m) * room;
        for (size_t i = 0; i < points; i++) {
            share[i] = i < before ? counts[m * G + i] : 1;
        }
    }
    cpu->base.ops->window_merge(&cpu->base, step);
    for (size_t m = 0; m < M; m++) {
        float *share = trace->merged_share + (j * M + m) * room, sums[WINDOW_MAX_MERGE] = {0};
        uint32_t *into = trace->merged_into + (j * M + m) * room;
        cpu_merged_groups(cpu, s, t, m, into);
        for (size_t i = 0; i < points; i++) {
            sums[into[i]] += share[i];
        }
        for (size_t i = 0; i < points; i++) {
            share[i] /= sums[into[i]];
        }
        memcpy(trace->merged_weight + (j * M + m) * G, weights + m * G, after * sizeof *weights);
    }
}

void window_pass_run(struct cpu_backend *cpu, const struct window_shape *s, size_t length,
                     struct buffer *state, struct buffer *q, struct buffer *k, struct buffer *v,
                     struct buffer *merged_gate, struct buffer *swa,
                     const struct window_trace *trace) {
    struct backend *b = &cpu->base;
    const size_t H = s->heads, C = s->chunk, retirements = window_pass_retirements(s, length);
    struct attention_step step = {.shape = s,
                                  .state = state,
                                  .rows = C,
                                  .q = q,
                                  .k = k,
                                  .v = v,
                                  .merged_gate = merged_gate,
                                  .out = swa};
    for (; step.position < length; step.position += C, step.row += C) {
        if (window_leaves(s, step.position)) {
            b->ops->window_retire(b, &step);
            note(s, retirements, step.position, state, trace);
            if (s->merge) {
                merge(cpu, &step, trace);
            }
        }
        b->ops->window_store(b, &step);
        b->ops->window_attend(b, &step);
        memcpy(trace->lse + step.position * H, cpu->lse.data, C * H * sizeof(float));
    }
}
