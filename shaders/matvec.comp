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
    Floats x;    // [columns]
    Floats bias; // [rows], read if has_bias
    uint rows, columns, row_words, has_bias;
};

void main() {
    uint units = (columns + 15) / 16;
    for (uint first = gl_WorkGroupID.x * ROWS; first < rows; first += gl_NumWorkGroups.x * ROWS) {
        float sum[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            sum[r] = 0;
        }
        for (uint u = gl_LocalInvocationID.x; u < units; u += THREADS) {
            uvec2 c = unit_columns(u);
            float values[16];
            [[unroll]] for (uint i = 0; i < 16; i++) {
                uint column = i < 8 ? c.x + i : c.y + i - 8;
                values[i] = column < columns ? x.at[column] : 0;
            }
            [[unroll]] for (uint r = 0; r < ROWS; r++) {
                float w[16];
                expand(weights, min(first + r, rows - 1) * row_words, u, columns, w);
                [[unroll]] for (uint i = 0; i < 16; i++) {
                    sum[r] = fma(w[i], values[i], sum[r]);
                }
            }
        }
        [[unroll]] for (uint r = 0; r < ROWS; r++) {
            float total = workgroup_sum(sum[r]);
            if (gl_LocalInvocationID.x == 0 && first + r < rows) {
                y.at[first + r] = has_bias != 0 ? total + bias.at[first + r] : total;
            }
        }
    }
}
