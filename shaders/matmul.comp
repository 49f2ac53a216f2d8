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
    Quads x;     // [n][columns]
    Floats bias; // [rows], read if has_bias
    uint rows, columns, row_words, has_bias, n;
};

// By column, four neighbouring rows in a vector.
shared vec4 w_tile[TILE_K * TILE_ROWS / 4];
shared vec4 x_tile[TILE_K * TILE_N / 4];

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
            w_tile[((c.x + i) * TILE_ROWS + r) / 4][r % 4] = v[i];
            w_tile[((c.y + i) * TILE_ROWS + r) / 4][r % 4] = v[8 + i];
        }
    }
}

// Four columns of a row of x.
vec4 x_four(uint i, uint k) {
    uint from = i * columns + k;
    if (columns % 4 == 0) {
        return k < columns ? x.at[from / 4] : vec4(0);
    }
    vec4 v;
    [[unroll]] for (uint j = 0; j < 4; j++) {
        v[j] = k + j < columns ? x.at[(from + j) / 4][(from + j) % 4] : 0;
    }
    return v;
}

void load_activations(uint first, uint k) {
    for (uint at = gl_LocalInvocationID.x; at < TILE_N * TILE_K / 4; at += THREADS) {
        uint i = at % TILE_N, c = at / TILE_N * 4;
        vec4 v = first + i < n ? x_four(first + i, k + c) : vec4(0);
        [[unroll]] for (uint j = 0; j < 4; j++) {
            x_tile[((c + j) * TILE_N + i) / 4][i % 4] = v[j];
        }
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
                vec4 w = w_tile[(c * TILE_ROWS + r0) / 4], v = x_tile[(c * TILE_N + i0) / 4];
                [[unroll]] for (uint i = 0; i < 4; i++) {
                    sum[i] += w * v[i];
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
