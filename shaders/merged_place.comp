#version 460
// SPDX-License-Identifier: Apache-2.0
//
// The points that are left go into the state, and into the slots as the chunk sees them: keys as if
// at position t + C/2. Workgroup (i, m) takes the i-th of head m.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/half.glsl"
#include "lib/merged.glsl"
#include "lib/rope.glsl"

layout(local_size_x = 64) in;

void main() {
    uint i = gl_WorkGroupID.x, m = gl_WorkGroupID.y, half_dim = head_dim / 2;
    uint from = point_of(m, left.at[m * most + i]), to = (m * most + i) * 2 * head_dim;
    uint slot = (m * slots + first_slot + i) * half_dim;
    rope r = rope(dims_and_order / 2, dims_and_order % 2);
    for (uint w = gl_LocalInvocationID.x; w < half_dim; w += gl_WorkGroupSize.x) {
        float key[2], value[2];
        [[unroll]] for (uint j = 0; j < 2; j++) {
            uint c = 2 * w + j;
            float own = points.at[from + c];
            value[j] = points.at[from + head_dim + c];
            merged.at[to + c] = own;
            merged.at[to + head_dim + c] = value[j];
            key[j] = rope_turned(r, turns, 0, c, own, points.at[from + rope_partner(r, c)], 1);
        }
        keys.at[slot + w] = pack_halves(key[0], key[1]);
        values.at[slot + w] = pack_halves(value[0], value[1]);
    }
}
