#version 460
// SPDX-License-Identifier: Apache-2.0
//
// y = matrix x (+ bias) for one row of activations: decode, which is bound by reading the weights.
// A workgroup takes ROWS rows of the matrix, so that a value of x is read once for all of them; its
// threads share the columns. Compiled with DOT, for types that pack their values, each thread
// rounds the activations to bytes, eight to a scale, and multiplies integers.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/quant.glsl"
#define THREADS 64
#include "lib/reduce.glsl"
#ifdef DOT
#include "lib/dot.glsl"
#endif

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

// sum += the products of unit u of ROWS rows from `first` on.
#ifdef DOT
void add_unit(uint first, uint u, const vec4 x_unit[4], inout vec4 sum) {
    vec2 most = vec2(max(largest(x_unit[0]), largest(x_unit[1])),
                     max(largest(x_unit[2]), largest(x_unit[3])));
    uvec4 q;
    [[unroll]] for (uint i = 0; i < 4; i++) {
        q[i] = rounded(x_unit[i], most[i / 2]);
    }
    vec2 total = vec2(sum_of_bytes(q.x) + sum_of_bytes(q.y), sum_of_bytes(q.z) + sum_of_bytes(q.w));
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        uvec4 w;
        vec2 scale, minimum;
        unpack(weights, min(first + r, rows - 1) * row_words, u, columns, w, scale, minimum);
        vec2 products = vec2(dot_bytes(w.x, q.x) + dot_bytes(w.y, q.y),
                             dot_bytes(w.z, q.z) + dot_bytes(w.w, q.w));
        sum[r] += dot(scale * products - minimum * total, most / 127);
    }
}
#else
void add_unit(uint first, uint u, const vec4 x_unit[4], inout vec4 sum) {
    [[unroll]] for (uint r = 0; r < ROWS; r++) {
        float w[16];
        expand(weights, min(first + r, rows - 1) * row_words, u, columns, w);
        [[unroll]] for (uint i = 0; i < 16; i++) {
            sum[r] = fma(w[i], x_unit[i / 4][i % 4], sum[r]);
        }
    }
}
#endif

void main() {
    uint units = (columns + 15) / 16;
    for (uint first = gl_WorkGroupID.x * ROWS; first < rows; first += gl_NumWorkGroups.x * ROWS) {
        vec4 sum = vec4(0); // of ROWS rows
        for (uint u = gl_LocalInvocationID.x; u < units; u += THREADS) {
            uvec2 c = unit_columns(u) / 4;
            vec4 x_unit[4] = vec4[](x_four(c.x), x_four(c.x + 1), x_four(c.y), x_four(c.y + 1));
            add_unit(first, u, x_unit, sum);
        }
        sum = workgroup_sums(sum);
        uint r = gl_LocalInvocationID.x;
        if (r < ROWS && first + r < rows) {
            y.at[first + r] = has_bias != 0 ? sum[r] + bias.at[first + r] : sum[r];
        }
    }
}
