#version 460
// SPDX-License-Identifier: Apache-2.0
//
// y += x
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"

layout(local_size_x = 128) in;
layout(push_constant) uniform Push {
    Floats y, x;
    uint values;
};

void main() {
    uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < values; i += stride) {
        y.at[i] += x.at[i];
    }
}
