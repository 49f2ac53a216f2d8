#version 460
// SPDX-License-Identifier: Apache-2.0
//
// What merging points i and j of a head would cost: |x_i - x_j|^2 / (1 / sqrt(n_i) + 1 / sqrt(n_j)),
// where x is the key and, after it, the value in its unit. A workgroup takes a square of SIDE by
// SIDE pairs of head z, a thread one pair.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/merged.glsl"

const uint SIDE = 16, DEPTH = 32;

layout(local_size_x = SIDE, local_size_y = SIDE) in;

shared float rows[SIDE * (DEPTH + 1)], columns[SIDE * (DEPTH + 1)];

void main() {
    uint m = gl_WorkGroupID.z, first_row = gl_WorkGroupID.y * SIDE;
    uint first_column = gl_WorkGroupID.x * SIDE;
    uint a = gl_LocalInvocationID.y, b = gl_LocalInvocationID.x;
    float distance = 0, unit = sizes.at[unit_of(m)];
    for (uint from = 0; from < 2 * head_dim; from += DEPTH) {
        uint depth = min(DEPTH, 2 * head_dim - from);
        barrier();
        for (uint k = gl_LocalInvocationIndex; k < SIDE * depth; k += SIDE * SIDE) {
            uint p = k / depth, c = k % depth, to = p * (DEPTH + 1) + c;
            rows[to] = points.at[point_of(m, min(first_row + p, count - 1)) + from + c];
            columns[to] = points.at[point_of(m, min(first_column + p, count - 1)) + from + c];
        }
        barrier();
        for (uint c = 0; c < depth; c++) {
            float d = rows[a * (DEPTH + 1) + c] - columns[b * (DEPTH + 1) + c];
            d *= from + c < head_dim ? 1 : unit;
            distance = fma(d, d, distance);
        }
    }
    uint i = first_row + a, j = first_column + b;
    if (i < count && j < count) {
        float slack = inversesqrt(sizes.at[sizes_of(m) + i]) +
                      inversesqrt(sizes.at[sizes_of(m) + j]);
        costs.at[(m * count + i) * count + j] = i == j ? NO_PAIR : distance / slack;
    }
}
