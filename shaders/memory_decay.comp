#version 460
// SPDX-License-Identifier: Apache-2.0
//
// W = w2 + lambda (W - w2)
#extension GL_GOOGLE_include_directive : require
#include "lib/write.glsl"

const uint THREADS = 128;
layout(local_size_x = THREADS) in;

shared float left;

void main() {
    uint m = gl_WorkGroupID.y, count = head_dim * width;
    if (gl_LocalInvocationIndex == 0) {
        left = stays(m);
    }
    barrier();
    for (uint i = gl_GlobalInvocationID.x; i < count; i += gl_NumWorkGroups.x * THREADS) {
        uint at = m * count + i;
        weights.at[at] = left * weights.at[at] + (1 - left) * start.at[at];
    }
}
