#version 460
// SPDX-License-Identifier: Apache-2.0
//
// What W does not know yet: errors = step (v / v_scale - W h). Workgroup (i, m) takes token i of
// head m, a thread one of its values.
#extension GL_GOOGLE_include_directive : require
#include "lib/write.glsl"

const uint THREADS = 64;
layout(local_size_x = THREADS) in;

void main() {
    uint i = gl_WorkGroupID.x, m = gl_WorkGroupID.y, e = head_dim;
    uint h = (m * n + i) * width;
    float d = step_of(m, i);
    for (uint j = gl_LocalInvocationIndex; j < e; j += THREADS) {
        float sum = 0;
        for (uint l = 0; l < width; l++) {
            sum = fma(weights.at[(m * e + j) * width + l], hidden.at[h + l], sum);
        }
        float v = leaving.at[token(m, i) + e + j] * target_scale;
        errors.at[(m * n + i) * e + j] = d * (v - sum);
    }
}
