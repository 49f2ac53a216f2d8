#version 460
// SPDX-License-Identifier: Apache-2.0
//
// Lays out for the memory the tokens that window_choose lists: keys before RoPE, values, rates.
// Workgroup (i, m) takes the i-th of head m.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/retire.glsl"

void main() {
    uint i = gl_WorkGroupID.x, m = gl_WorkGroupID.y, half_dim = head_dim / 2;
    uint who = gone.at[m * (1 + chunk) + 1 + i], to = (m * chunk + i) * (2 * head_dim + 2);
    bool kept = who < before;
    uint token = settled + who - before; // of the block
    uint slot = m * slots + (kept ? ring + sinks + who : block_slot + token);
    for (uint w = gl_LocalInvocationID.x; w < half_dim; w += gl_WorkGroupSize.x) {
        vec2 key = kept ? halves_of(far_keys.at[(m * (sinks + keep) + sinks + who) * half_dim + w])
                        : turned_pair(keys, slot * head_dim, token * (dims_and_order / 2), w, -1);
        vec2 value = halves_of(values.at[slot * half_dim + w]);
        leaving.at[to + 2 * w] = key.x;
        leaving.at[to + 2 * w + 1] = key.y;
        leaving.at[to + head_dim + 2 * w] = value.x;
        leaving.at[to + head_dim + 2 * w + 1] = value.y;
    }
    if (gl_LocalInvocationID.x < 2) {
        uint j = gl_LocalInvocationID.x;
        leaving.at[to + 2 * head_dim + j] = rates.at[2 * slot + j];
    }
}
