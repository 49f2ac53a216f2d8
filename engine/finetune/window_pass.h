/* SPDX-License-Identifier: Apache-2.0
 *
 * A layer's attention over sinks, kept tokens and window for a whole sequence, by the backend's own
 * operations, so that training sees what reading sees; and the trace of it: which tokens are kept
 * and which are written at every retirement. Retirement j (from 0) happens when chunk W + C + j C
 * begins.
 */
#pragma once

#include "engine/cpu/cpu.h"

/* What one layer's pass leaves; the arrays are the caller's, sized by the functions below. Those of
 * merged tokens are not used where there are none. At a retirement the points of a head are the
 * tokens merged before, then those that are written in the order of `written`. */
struct window_trace {
    float *lse;              /* [L][H]: log-sum-exp of the scores */
    uint32_t *kept;          /* [retirements][M][B]: positions, place by place, afterwards */
    uint32_t *written;       /* [M][retirements][C]: positions that go into the memory */
    uint32_t *written_count; /* [retirements]: of those, the same for every head */
    uint32_t *merged_into;   /* [retirements][M][G+C]: which merged token a point goes into */
    float *merged_share;     /* [retirements][M][G+C]: and its share of that one's mean */
    float *merged_weight;    /* [retirements][M][G]: what adds to the scores of merged tokens */
};

/* The shape of a layer's window without a memory. */
struct window_shape window_pass_shape(const struct model_config *c, size_t window, size_t chunk,
                                      size_t sinks, size_t keep, size_t merge);
/* Retirements in a sequence of `length` tokens, a multiple of C. */
size_t window_pass_retirements(const struct window_shape *s, size_t length);
/* The first position whose output may differ from full attention's: something was written before
 * it, or is read at a clipped distance. At most `length`. */
size_t window_pass_first(const struct window_shape *s, size_t length);
/* The same in any of the layers. */
size_t window_pass_first_of(const struct window_shape *windows, size_t layers, size_t length);

/* Points at the retirement when chunk t begins, per head. */
size_t window_pass_points(const struct window_shape *s, size_t t);

/* swa[0..length) = attention over what is visible, with merged_gate [L][H] as in attention_step. q,
 * k, v are before RoPE, [L][H*e], [L][M*e]; the backend is prepared for this shape and its
 * `positions` for [0, length); `state` has room for window_layout(s).bytes. */
void window_pass_run(struct cpu_backend *cpu, const struct window_shape *s, size_t length,
                     struct buffer *state, struct buffer *q, struct buffer *k, struct buffer *v,
                     struct buffer *merged_gate, struct buffer *swa,
                     const struct window_trace *trace);
