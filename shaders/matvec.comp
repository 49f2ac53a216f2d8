#version 460
// SPDX-License-Identifier: Apache-2.0
//
// y = matrix x (+ bias) for one row of activations: decode, which is bound by reading the weights.
// A workgroup takes ROWS rows of the matrix, so that a value of x is read once for all of them; its
// threads share the columns.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/quant.glsl"
#define THREADS 64
#include "lib/reduce.glsl"

const uint ROWS = 4;

layout(local_size_x = THREADS) in;
layout(push_constant) uniform Push {
    Floats y; // [rows]
    Words weights;
    Quads x;     // [columns]
    Floats bias; // [rows], read if has_bias
    uint rows, columns, row_words, has_bias;
};

// Columns 4 i to 4 i + 3 of x, zeroes past the end: room for buffers is made in whole vectors.
vec4 x_four(uint i) {
    vec4 v = 4 * i < columns ? x.at[i] : vec4(0);
    if (4 * i + 3 >= columns) {
        [[unroll]] for (uint j = 0; j < 4; j++) {
            v[j] = 4 * i + j < columns ? v[j] : 0;
        }
    }
    return v;
}

void main() {
    uint units = (columns + 15) / 16;
    for (uint first = gl_WorkGroupID.x * ROWS; first < rows; first += gl_NumWorkGroups.x * ROWS) {
        vec4 sum = vec4(0); // of ROWS rows
        for (uint u = gl_LocalInvocationID.x; u < units; u += THREADS) {
            uvec2 c = unit_columns(u) / 4;
            float values[16];
            [[unroll]] for (uint i = 0; i < 4; i++) {
                vec4 four = x_four(i < 2 ? c.x + i : c.y + i - 2);
                [[unroll]] for (uint j = 0; j < 4; j++) {
                    values[4 * i + j] = four[j];
                }
            }
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                float w[16];
                expand(weights, min(first + r, rows - 1) * row_words, u, columns, w);
                [[unroll]] for (uint i = 0; i < 16; i++) {
                    sum[r] = fma(w[i], values[i], sum[r]);
                }
            }
        }
        sum = workgroup_sums(sum);
        uint r = gl_LocalInvocationID.x;
        if (r < ROWS && first + r < rows) {
            y.at[first + r] = has_bias != 0 ? sum[r] + bias.at[first + r] : sum[r];
        }
    }
}
