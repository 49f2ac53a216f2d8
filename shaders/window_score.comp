#version 460
// SPDX-License-Identifier: Apache-2.0
//
// The attention that each kept token got from this step's queries, and each slot of the ring from
// those at least DELAY positions later, is added to its score. A workgroup takes SLOTS slots of a
// key-value head and goes through all queries, so that every sum has one fixed order.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/attention.glsl"

const uint DELAY = 64; // WINDOW_SCORE_DELAY

void score_slots(uint first_slot, uint m, uint end) {
    uint queries = rows * group, j = first_slot + gl_LocalInvocationIndex;
    float sum = 0;
    barrier();
    load_slots(keys, m, first_slot, end);
    for (uint first = 0; first < queries; first += QUERIES) {
        barrier();
        load_queries(m, first);
        barrier();
        score_tile(m, first, first_slot, end);
        barrier();
        if (gl_LocalInvocationIndex < SLOTS && j < end) {
            for (uint a = 0; a < QUERIES && first + a < queries; a++) {
                uint row = (first + a) / group, own = chunk_slot + at + row;
                uint distance = own >= j ? own - j : own + ring - j;
                bool counts = j < ring ? distance >= DELAY : j >= first_kept;
                float s = s_tile[a * SLOTS + gl_LocalInvocationIndex];
                if (counts && s != HIDDEN) {
                    sum += exp(s - lse.at[(row * kv_heads + m) * group + (first + a) % group]);
                }
            }
        }
    }
    if (gl_LocalInvocationIndex < SLOTS && j < end) {
        result.at[m * slots + j] += sum;
    }
}

void main() {
    uint end = min(slots - merged, visible), stride = gl_NumWorkGroups.x * SLOTS;
    for (uint first = gl_WorkGroupID.x * SLOTS; first < end; first += stride) {
        score_slots(first, gl_WorkGroupID.y, end);
    }
}
