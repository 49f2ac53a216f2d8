#version 460
// SPDX-License-Identifier: Apache-2.0
//
// W += the sum over the tokens of y (d h)^T, y what memory_solve found. Threads along a row of W.
#extension GL_GOOGLE_include_directive : require
#include "lib/write.glsl"

const uint THREADS = 128;
layout(local_size_x = THREADS) in;

void main() {
    uint m = gl_WorkGroupID.y, e = head_dim, count = e * width;
    for (uint at = gl_GlobalInvocationID.x; at < count; at += gl_NumWorkGroups.x * THREADS) {
        uint j = at / width, l = at % width;
        float sum = 0;
        for (uint i = 0; i < n; i++) {
            float y = errors.at[(m * n + i) * e + j] * step_of(m, i);
            sum = fma(y, hidden.at[(m * n + i) * width + l], sum);
        }
        weights.at[m * count + at] += sum;
    }
}
