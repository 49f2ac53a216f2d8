#version 460
// SPDX-License-Identifier: Apache-2.0
//
// y[i] = row ids[i] of the matrix. A thread expands one unit of one row.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/quant.glsl"

layout(local_size_x = 64) in;
layout(push_constant) uniform Push {
    Floats y; // [n][columns]
    Words weights;
    Words ids; // [n]
    uint columns, row_words, n;
};

void main() {
    uint units = (columns + 15) / 16, total = n * units;
    uint stride = gl_NumWorkGroups.x * gl_WorkGroupSize.x;
    for (uint at = gl_GlobalInvocationID.x; at < total; at += stride) {
        uint i = at / units, u = at % units;
        float v[16];
        expand(weights, ids.at[i] * row_words, u, columns, v);
        uvec2 c = unit_columns(u);
        for (uint j = 0; j < 16; j++) {
            uint column = j < 8 ? c.x + j : c.y + j - 8;
            if (column < columns) {
                y.at[i * columns + column] = v[j];
            }
        }
    }
}
