#version 460
// SPDX-License-Identifier: Apache-2.0
//
// Joins the segments that window_attend computed: out, and the log-sum-exp of every query. A
// workgroup takes a query.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"

layout(local_size_x = 64) in;
layout(push_constant) uniform Push {
    Floats parts; // [M][rows * group][segments][e + 2]
    Floats result; // [rows][M * group][e], from this step's first row
    Floats lse;   // [rows][M * group]
    uint rows, kv_heads, group, head_dim, segments;
};

void main() {
    uint queries = rows * group, stride = head_dim + 2;
    for (uint work = gl_WorkGroupID.x; work < queries * kv_heads; work += gl_NumWorkGroups.x) {
        uint m = work / queries, u = work % queries, from = work * segments * stride;
        uint to = (u / group * kv_heads + m) * group + u % group;
        float most = parts.at[from + head_dim];
        for (uint i = 1; i < segments; i++) {
            most = max(most, parts.at[from + i * stride + head_dim]);
        }
        float total = 0;
        for (uint i = 0; i < segments; i++) {
            uint at = from + i * stride + head_dim;
            total += exp(parts.at[at] - most) * parts.at[at + 1];
        }
        for (uint c = gl_LocalInvocationID.x; c < head_dim; c += gl_WorkGroupSize.x) {
            float sum = 0;
            for (uint i = 0; i < segments; i++) {
                uint at = from + i * stride;
                sum += exp(parts.at[at + head_dim] - most) * parts.at[at + c];
            }
            result.at[to * head_dim + c] = sum / total;
        }
        if (gl_LocalInvocationID.x == 0) {
            lse.at[to] = most + log(total);
        }
    }
}
