#version 460
// SPDX-License-Identifier: Apache-2.0
//
// y[i] = matrix x[i] (+ bias) for many rows of activations: prefill. A workgroup computes a tile of
// TILE_ROWS rows of the matrix by TILE_N rows of x; both are brought into shared memory TILE_K
// columns at a time, the weights expanded, so that each is expanded once for TILE_N products. A
// thread has a square of 4 by 4 sums.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/quant.glsl"

const uint TILE_ROWS = 64, TILE_N = 32, TILE_K = 64, THREADS = 128;

layout(local_size_x = THREADS) in;
layout(push_constant) uniform Push {
    Floats y; // [n][rows]
    Words weights;
    Floats x;    // [n][columns]
    Floats bias; // [rows], read if has_bias
    uint rows, columns, row_words, has_bias, n;
};

// By column, so that neighbouring threads read neighbouring rows.
shared float w_tile[TILE_K * TILE_ROWS];
shared float x_tile[TILE_K * (TILE_N + 1)];

void load_weights(uint first, uint k) {
    uint units = (columns + 15) / 16;
    for (uint at = gl_LocalInvocationID.x; at < TILE_ROWS * TILE_K / 16; at += THREADS) {
        uint r = at % TILE_ROWS, u = k / 16 + at / TILE_ROWS;
        float v[16];
        if (u < units && first + r < rows) {
            expand(weights, (first + r) * row_words, u, columns, v);
        } else {
            [[unroll]] for (uint i = 0; i < 16; i++) {
                v[i] = 0;
            }
        }
        uvec2 c = unit_columns(u) - k;
        [[unroll]] for (uint i = 0; i < 8; i++) {
            w_tile[(c.x + i) * TILE_ROWS + r] = v[i];
            w_tile[(c.y + i) * TILE_ROWS + r] = v[8 + i];
        }
    }
}

void load_activations(uint first, uint k) {
    for (uint at = gl_LocalInvocationID.x; at < TILE_N * TILE_K; at += THREADS) {
        uint c = at % TILE_K, i = at / TILE_K;
        bool inside = k + c < columns && first + i < n;
        x_tile[c * (TILE_N + 1) + i] = inside ? x.at[(first + i) * columns + k + c] : 0;
    }
}

void main() {
    uint across = (rows + TILE_ROWS - 1) / TILE_ROWS, down = (n + TILE_N - 1) / TILE_N;
    uint r0 = gl_LocalInvocationID.x % (TILE_ROWS / 4) * 4;
    uint i0 = gl_LocalInvocationID.x / (TILE_ROWS / 4) * 4;
    for (uint tile = gl_WorkGroupID.x; tile < across * down; tile += gl_NumWorkGroups.x) {
        uint first_row = tile / down * TILE_ROWS, first = tile % down * TILE_N;
        vec4 sum[4] = vec4[](vec4(0), vec4(0), vec4(0), vec4(0));
        for (uint k = 0; k < columns; k += TILE_K) {
            load_weights(first_row, k);
            load_activations(first, k);
            barrier();
            for (uint c = 0; c < TILE_K; c++) {
                uint at = c * TILE_ROWS + r0;
                vec4 w = vec4(w_tile[at], w_tile[at + 1], w_tile[at + 2], w_tile[at + 3]);
                [[unroll]] for (uint i = 0; i < 4; i++) {
                    sum[i] += w * x_tile[c * (TILE_N + 1) + i0 + i];
                }
            }
            barrier();
        }
        for (uint i = 0; i < 4; i++) {
            for (uint r = 0; r < 4; r++) {
                uint row = first_row + r0 + r;
                if (row < rows && first + i0 + i < n) {
                    float bias_value = has_bias != 0 ? bias.at[row] : 0;
                    y.at[(first + i0 + i) * rows + row] = sum[i][r] + bias_value;
                }
            }
        }
    }
}
