#version 460
// SPDX-License-Identifier: Apache-2.0
//
// Sinks and kept tokens further away than D are read as if D away: their keys are turned anew.
// A workgroup takes far places of head m, of which `before` are in use.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/retire.glsl"

void clip(uint i, uint m) {
    uint position_of = i < sinks ? i : kept_at.at[m * keep + i - sinks];
    if (position_of >= limit) {
        return;
    }
    uint half_dim = head_dim / 2, far = m * (sinks + keep) + i, to = m * slots + ring + i;
    for (uint w = gl_LocalInvocationID.x; w < half_dim; w += gl_WorkGroupSize.x) {
        vec2 key = turned_pair(far_keys, far * head_dim, 0, w, 1);
        keys.at[to * half_dim + w] = pack_halves(key.x, key.y);
    }
}

void main() {
    for (uint i = gl_WorkGroupID.x; i < sinks + before; i += gl_NumWorkGroups.x) {
        clip(i, gl_WorkGroupID.y);
    }
}
