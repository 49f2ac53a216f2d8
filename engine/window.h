/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a token is. Positions run in chunks of C. A layer keeps, per key-value head, a fixed number
 * of slots with exact keys and values:
 *
 *     [ ring: W + C | sinks: S | kept: B | merged: G ]
 *
 * When chunk t (a multiple of C) begins, the block [t-W-C, t-W) leaves the ring. Its first S tokens
 * become the sinks if it is the first block; the others compete with the kept tokens of their head
 * for B places, by what they gave to attention of late; the losers go into the memory. So a token
 * is in exactly one place: ring, sinks, kept, or memory. The memory is G merged tokens, each the
 * mean of many, and, with an adapter, its fast weights. Layers differ in B and G alone. This file
 * is the arithmetic of that, the same for every backend: no data moves here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"

/* A key is scored by queries at least this many positions later (nearer ones attend to anything).
 */
enum { WINDOW_SCORE_DELAY = 64 };

/* The largest chunk: a pass of the transformer has room for three. */
enum { WINDOW_MAX_CHUNK = 192 };

/* Merging compares all pairs, so its cost grows with the square of G. */
enum { WINDOW_MAX_MERGE = 2048 };

/* No layer has more than so many times the B and G that layers have in the mean. */
enum { WINDOW_MAX_SHARE = 2 };

struct window_shape {
    uint32_t layers;       /* L */
    uint32_t heads;        /* H, query heads */
    uint32_t kv_heads;     /* M */
    uint32_t head_dim;     /* e */
    uint32_t window;       /* W, a multiple of C */
    uint32_t chunk;        /* C */
    uint32_t sinks;        /* S, at most C */
    uint32_t keep;         /* B */
    uint32_t merge;        /* G */
    uint32_t clip;         /* D: sinks and kept tokens are never read as further away than this */
    uint32_t memory_width; /* f, 0 without a memory */
};

/* Numbers that a token brings with it for its writing, per memory head: how far its write goes, and
 * how much of the memory stays. */
enum { WINDOW_RATES = 2 };
/* The first of them: softplus(raw), but at most WINDOW_MAX_STEP: that already writes a token as
 * good as exactly, and keeps the system of a write within fp32's reach. */
enum { WINDOW_MAX_STEP = 16 };
float window_step(float raw);
float window_decay(float raw); /* the second: 1 / (1 + exp(-raw)) */

/* Byte offsets in a layer's state, which is one block of memory in this order on every backend:
 * it is what a session saves. Half precision is IEEE binary16; the rest fp32. */
struct window_layout {
    size_t keys;     /* f16 [M][slots][e], after RoPE */
    size_t values;   /* f16 [M][slots][e] */
    size_t far_keys; /* f16 [M][S+B][e], before RoPE: sinks, then kept */
    size_t scores;   /* f32 [M][slots]: attention received */
    size_t rates;    /* f32 [M][slots][WINDOW_RATES]: step and decay of the token */
    size_t kept_at;  /* u32 [M][B]: positions of the kept tokens */
    size_t merged;   /* f32 [M][G][2e]: mean key, at no particular distance, then mean value */
    size_t counts;   /* f32 [M][G]: how many tokens' mean it is */
    size_t weights;  /* f32 [M][G]: logarithm of that, which adds to the scores */
    size_t fast;     /* f32 [M][e][f]: the fast weights */
    size_t evidence; /* f32 [M][2e] */
    size_t bytes;    /* all of it */
};

/* Of a layer that has this share, from 0 to WINDOW_MAX_SHARE, of the B and G of the mean. All
 * layers merge if one does. */
struct window_shape window_of_layer(const struct window_shape *mean, float share);

/* Refuses (ERROR_USAGE) a shape that the arithmetic does not hold for, naming the number. */
bool window_check(const struct window_shape *s, struct error *error);

uint32_t window_ring(const struct window_shape *s);  /* W + C */
uint32_t window_slots(const struct window_shape *s); /* W + C + S + B + G */
struct window_layout window_layout(const struct window_shape *s);

/* A block leaves when chunk `t` begins. */
bool window_leaves(const struct window_shape *s, uint64_t t);
/* The counts below hold once chunk `t` has begun; t is a multiple of C. */
uint32_t window_sinks_at(const struct window_shape *s, uint64_t t);
uint32_t window_kept_at(const struct window_shape *s, uint64_t t);
/* Tokens per head that are in the memory. */
uint64_t window_written_at(const struct window_shape *s, uint64_t t);
/* What stays of a kept token's score when a chunk begins, 1 - C/W: it goes on receiving attention,
 * and in the end its score is that of the last W tokens or so, as for a token that leaves the ring.
 */
float window_score_stays(const struct window_shape *s);
/* Places in use, of G: what is written takes places of its own until there are none, then all are
 * merged into half as many. Merging compares all pairs, so it is done at once for many. */
uint32_t window_merged_at(const struct window_shape *s, uint64_t t);
/* Merged tokens stand for many distances: their keys are turned back by the mean of the turns in
 * [from, to) = [W/2, 2W), and not beyond D. Measured: a mean over all that may be, up to D, keeps
 * too little of the turns, and one distance too much. */
struct window_distances {
    uint64_t from, to;
};
struct window_distances window_merged_distances(const struct window_shape *s);

/* Slots that may be visible to a query at position p: a prefix of the slots. */
uint32_t window_visible(const struct window_shape *s, uint64_t p);
