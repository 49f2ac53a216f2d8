#version 460
// SPDX-License-Identifier: Apache-2.0
//
// gate = silu(gate) * up
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"

layout(local_size_x = 128) in;
layout(push_constant) uniform Push {
    Floats gate, up;
    uint values;
};

void main() {
    uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint i = gl_GlobalInvocationID.x; i < values; i += stride) {
        float g = gate.at[i];
        gate.at[i] = g / (1 + exp(-g)) * up.at[i];
    }
}
