#version 460
// SPDX-License-Identifier: Apache-2.0
//
// y[i] = x[i] / sqrt(mean(x[i]^2) + eps) * weight; y may be x. A workgroup takes a row.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#define THREADS 128
#include "lib/reduce.glsl"

layout(local_size_x = THREADS) in;
layout(push_constant) uniform Push {
    Floats y, x; // [n][width]
    Floats weight;
    uint n, width;
    float eps;
};

void main() {
    for (uint row = gl_WorkGroupID.x; row < n; row += gl_NumWorkGroups.x) {
        uint from = row * width;
        float sum = 0;
        for (uint i = gl_LocalInvocationID.x; i < width; i += THREADS) {
            float v = x.at[from + i];
            sum += v * v;
        }
        float scale = inversesqrt(workgroup_sum(sum) / float(width) + eps);
        for (uint i = gl_LocalInvocationID.x; i < width; i += THREADS) {
            y.at[from + i] = x.at[from + i] * scale * weight.at[i];
        }
    }
}
