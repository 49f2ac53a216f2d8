/* SPDX-License-Identifier: Apache-2.0
 *
 * The arithmetic of window, sinks and kept tokens.
 */
#include "engine/window.h"

#include <math.h>

bool window_check(const struct window_shape *s, struct error *error) {
    if (s->chunk == 0 || s->chunk > WINDOW_MAX_CHUNK) {
        return error_set(error, ERROR_USAGE, "write chunk is %u tokens, expected 1 to %d", s->chunk,
                         WINDOW_MAX_CHUNK);
    }
    if (s->window == 0 || s->window % s->chunk != 0 || s->window > 1u << 24) {
        return error_set(error, ERROR_USAGE,
                         "window is %u tokens, expected a multiple of %u up to %u", s->window,
                         s->chunk, 1u << 24);
    }
    if (s->sinks > s->chunk) {
        return error_set(error, ERROR_USAGE, "%u sinks, expected at most the chunk, %u", s->sinks,
                         s->chunk);
    }
    if (s->keep > 1u << 20) {
        return error_set(error, ERROR_USAGE, "%u kept tokens, expected at most %u", s->keep,
                         1u << 20);
    }
    if (s->merge > WINDOW_MAX_MERGE) {
        return error_set(error, ERROR_USAGE, "%u merged tokens, expected at most %d", s->merge,
                         WINDOW_MAX_MERGE);
    }
    return true;
}

struct window_shape window_of_layer(const struct window_shape *mean, float share) {
    struct window_shape s = *mean;
    s.keep = (uint32_t)lround((double)mean->keep * (double)share);
    if (mean->merge) {
        const long merge = lround((double)mean->merge * (double)share);
        s.merge = (uint32_t)(merge < 1 ? 1 : merge < WINDOW_MAX_MERGE ? merge : WINDOW_MAX_MERGE);
    }
    return s;
}

uint32_t window_ring(const struct window_shape *s) {
    return s->window + s->chunk;
}

uint32_t window_slots(const struct window_shape *s) {
    return window_ring(s) + s->sinks + s->keep + s->merge;
}

/* Parts start on a cache line. */
static size_t place(size_t *at, size_t bytes) {
    size_t here = *at;
    *at += (bytes + 63) / 64 * 64;
    return here;
}

struct window_layout window_layout(const struct window_shape *s) {
    size_t M = s->kv_heads, e = s->head_dim, slots = window_slots(s), f = s->memory_width;
    size_t at = 0;
    struct window_layout l;
    l.keys = place(&at, M * slots * e * 2);
    l.values = place(&at, M * slots * e * 2);
    l.far_keys = place(&at, M * (s->sinks + s->keep) * e * 2);
    l.scores = place(&at, M * slots * 4);
    l.rates = place(&at, M * slots * WINDOW_RATES * 4);
    l.kept_at = place(&at, M * s->keep * 4);
    l.merged = place(&at, M * s->merge * 2 * e * 4);
    l.counts = place(&at, M * s->merge * 4);
    l.weights = place(&at, M * s->merge * 4);
    l.fast = place(&at, M * f * e * 4);
    l.evidence = place(&at, f ? M * 2 * e * 4 : 0);
    l.bytes = at;
    return l;
}

bool window_leaves(const struct window_shape *s, uint64_t t) {
    return t % s->chunk == 0 && t >= window_ring(s);
}

uint32_t window_sinks_at(const struct window_shape *s, uint64_t t) {
    return t >= window_ring(s) ? s->sinks : 0;
}

/* Tokens that have left the ring and are no sinks. */
static uint64_t left_at(const struct window_shape *s, uint64_t t) {
    return t >= window_ring(s) ? t - s->window - s->sinks : 0;
}

uint32_t window_kept_at(const struct window_shape *s, uint64_t t) {
    uint64_t left = left_at(s, t);
    return left < s->keep ? (uint32_t)left : s->keep;
}

float window_score_stays(const struct window_shape *s) {
    return 1 - (float)s->chunk / (float)s->window;
}

uint64_t window_written_at(const struct window_shape *s, uint64_t t) {
    return left_at(s, t) - window_kept_at(s, t);
}

uint32_t window_merged_at(const struct window_shape *s, uint64_t t) {
    const uint64_t written = window_written_at(s, t), G = s->merge, half = (G + 1) / 2;
    if (G == 0 || written <= G) {
        return G ? (uint32_t)written : 0;
    }
    return (uint32_t)(G - half + 1 + (written - G - 1) % half);
}

struct window_distances window_merged_distances(const struct window_shape *s) {
    const uint64_t to = 2 * (uint64_t)s->window < s->clip ? 2 * (uint64_t)s->window : s->clip;
    const uint64_t from = s->window / 2 < to ? s->window / 2 : to / 2;
    return (struct window_distances){from, from < to ? to : from + 1};
}

uint32_t window_visible(const struct window_shape *s, uint64_t p) {
    uint64_t t = p - p % s->chunk;
    if (t < window_ring(s)) {
        return (uint32_t)p + 1;
    }
    return window_ring(s) + window_sinks_at(s, t) + window_kept_at(s, t) + window_merged_at(s, t);
}

float window_step(float raw) {
    return raw > WINDOW_MAX_STEP ? WINDOW_MAX_STEP : fminf(log1pf(expf(raw)), WINDOW_MAX_STEP);
}

float window_decay(float raw) {
    return 1 / (1 + expf(-raw));
}
