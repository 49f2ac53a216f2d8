#version 460
// SPDX-License-Identifier: Apache-2.0
//
// gram = I + (d h) (d h)^T, d the tokens' steps. Workgroup (i, m) takes row i of head m.
#extension GL_GOOGLE_include_directive : require
#include "lib/write.glsl"

const uint THREADS = 64;
layout(local_size_x = THREADS) in;

void main() {
    uint i = gl_WorkGroupID.x, m = gl_WorkGroupID.y;
    uint h = (m * n + i) * width;
    float d = step_of(m, i);
    for (uint j = gl_LocalInvocationIndex; j < n; j += THREADS) {
        float sum = 0;
        for (uint l = 0; l < width; l++) {
            sum = fma(hidden.at[h + l], hidden.at[(m * n + j) * width + l], sum);
        }
        gram.at[(m * n + i) * n + j] = d * step_of(m, j) * sum + (i == j ? 1 : 0);
    }
}
