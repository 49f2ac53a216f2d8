#version 460
// SPDX-License-Identifier: Apache-2.0
//
// Attention of QUERIES queries of a key-value head over one segment of the slots, in one pass with
// a running maximum. What comes out is not normalised; window_merge joins the segments. A part is
// the sum [e] of exp(score - maximum) value, the maximum, and the sum of exp(score - maximum).
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/attention.glsl"

const uint SUMS = (QUERIES * E + THREADS - 1) / THREADS; // per thread

shared float maximum[QUERIES], total[QUERIES], shrink[QUERIES];

// The tile's scores become shares of exp(score - maximum), the maximum grown to cover them.
void take_exponentials() {
    uint a = gl_LocalInvocationIndex;
    if (a < QUERIES) {
        float most = maximum[a];
        for (uint b = 0; b < SLOTS; b++) {
            most = max(most, s_tile[a * SLOTS + b]);
        }
        shrink[a] = exp(maximum[a] - most);
        maximum[a] = most;
        float sum = 0;
        for (uint b = 0; b < SLOTS; b++) {
            float s = s_tile[a * SLOTS + b];
            float share = s == HIDDEN ? 0 : exp(s - most);
            s_tile[a * SLOTS + b] = share;
            sum += share;
        }
        total[a] = total[a] * shrink[a] + sum;
    }
}

void main() {
    uint first = gl_WorkGroupID.x * QUERIES, m = gl_WorkGroupID.y, part = gl_WorkGroupID.z;
    uint thread = gl_LocalInvocationIndex, end = min((part + 1) * segment, visible);
    float sum[SUMS];
    [[unroll]] for (uint k = 0; k < SUMS; k++) {
        sum[k] = 0;
    }
    if (thread < QUERIES) {
        maximum[thread] = HIDDEN;
        total[thread] = 0;
    }
    load_queries(m, first);
    for (uint slot = part * segment; slot < end; slot += SLOTS) {
        barrier();
        load_slots(keys, m, slot, end);
        barrier();
        score_tile(m, first, slot, end);
        barrier();
        take_exponentials();
        load_slots(values, m, slot, end);
        barrier();
        [[unroll]] for (uint k = 0; k < SUMS; k++) {
            uint i = thread + k * THREADS, a = i / E, c = i % E;
            if (i < QUERIES * E) {
                float v = sum[k] * shrink[a];
                for (uint b = 0; b < SLOTS; b++) {
                    v = fma(s_tile[a * SLOTS + b], kv_tile[b * (E + 1) + c], v);
                }
                sum[k] = v;
            }
        }
    }
    uint queries = rows * group, segments = gl_NumWorkGroups.z;
    [[unroll]] for (uint k = 0; k < SUMS; k++) {
        uint i = thread + k * THREADS, u = first + i / E;
        if (i < QUERIES * E && u < queries) {
            result.at[((m * queries + u) * segments + part) * (E + 2) + i % E] = sum[k];
        }
    }
    if (thread < QUERIES && first + thread < queries) {
        uint to = ((m * queries + first + thread) * segments + part) * (E + 2) + E;
        result.at[to] = maximum[thread];
        result.at[to + 1] = total[thread];
    }
}
