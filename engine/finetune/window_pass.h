/* SPDX-License-Identifier: Apache-2.0
 *
 * A layer's attention over sinks, kept tokens and window for a whole sequence, by the backend's own
 * operations, so that training sees what reading sees; and the trace of it: which tokens are kept
 * and which are written at every retirement. Retirement j (from 0) happens when chunk W + C + j C
 * begins.
 */
#pragma once

#include "engine/cpu/cpu.h"

/* What one layer's pass leaves; the arrays are the caller's, sized by the functions below. */
struct window_trace {
    float *lse;              /* [L][H]: log-sum-exp of the scores */
    uint32_t *kept;          /* [retirements][M][B]: positions, place by place, afterwards */
    uint32_t *written;       /* [M][retirements][C]: positions that go into the memory */
    uint32_t *written_count; /* [retirements]: of those, the same for every head */
};

/* The shape of a layer's window without a memory. */
struct window_shape window_pass_shape(const struct model_config *c, size_t window, size_t chunk,
                                      size_t sinks, size_t keep);
/* Retirements in a sequence of `length` tokens, a multiple of C. */
size_t window_pass_retirements(const struct window_shape *s, size_t length);
/* The first position whose output may differ from full attention's: something was written before
 * it, or is read at a clipped distance. At most `length`. */
size_t window_pass_first(const struct window_shape *s, size_t length);

/* swa[0..length) = attention over what is visible. q, k, v are before RoPE, [L][H*e], [L][M*e]; the
 * backend is prepared for this shape and its `positions` for [0, length); `state` has room for
 * window_layout(s).bytes. */
void window_pass_run(struct cpu_backend *cpu, const struct window_shape *s, size_t length,
                     struct buffer *state, struct buffer *q, struct buffer *k, struct buffer *v,
                     struct buffer *swa, const struct window_trace *trace);
