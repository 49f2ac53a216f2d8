#version 460
// SPDX-License-Identifier: Apache-2.0
//
// Lays out the points of a head: merged tokens as they are, leaving ones with their keys turned
// back by the mean turn, a size of 1. Workgroup (i, m) takes point i of head m.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/merged.glsl"
#include "lib/rope.glsl"

layout(local_size_x = 64) in;

void main() {
    uint i = gl_WorkGroupID.x, m = gl_WorkGroupID.y, thread = gl_LocalInvocationIndex;
    uint to = point_of(m, i), width = 2 * head_dim;
    if (thread == 0) { // a saved state may say anything
        sizes.at[sizes_of(m) + i] =
            i < before ? max(counts.at[m * most + i], LEAST_COUNT) : 1;
    }
    if (i < before) {
        uint from = (m * most + i) * width;
        for (uint c = thread; c < width; c += gl_WorkGroupSize.x) {
            points.at[to + c] = merged.at[from + c];
        }
        return;
    }
    rope r = rope(dims_and_order / 2, dims_and_order % 2);
    uint from = (m * chunk + i - before) * (width + 2);
    for (uint c = thread; c < head_dim; c += gl_WorkGroupSize.x) {
        points.at[to + c] = rope_turned(r, turns, 0, c, leaving.at[from + c],
                                        leaving.at[from + rope_partner(r, c)], -1);
        points.at[to + head_dim + c] = leaving.at[from + head_dim + c];
    }
}
