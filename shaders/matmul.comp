#version 460
// SPDX-License-Identifier: Apache-2.0
//
// y[i] = matrix x[i] (+ bias) for many rows of activations: prefill. A workgroup computes a tile of
// TILE_ROWS rows of the matrix by TILE_N rows of x; both are brought into shared memory TILE_K
// columns at a time, the weights expanded, so that each is expanded once for TILE_N products. A
// thread has a square of 4 by 4 sums. Compiled with DOT, for types that pack their values, the
// tiles are bytes, GROUP columns to a scale, and the products are of integers.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/quant.glsl"
#ifdef DOT
#include "lib/dot.glsl"
#endif

const uint TILE_ROWS = 64, TILE_N = 32, TILE_K = 64, THREADS = 128;

layout(local_size_x = THREADS) in;
layout(push_constant) uniform Push {
    Floats y; // [n][rows]
    Words weights;
    Quads x;     // [n][columns]
    Floats bias; // [rows], read if has_bias
    uint rows, columns, row_words, has_bias, n;
};

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

#ifdef DOT
const uint GROUP = 16; // the fewest that any type gives a scale of their own

// By four columns, four neighbouring rows in a vector; then by group.
shared uvec4 w_tile[TILE_K / 4 * TILE_ROWS / 4];
shared uvec4 x_tile[TILE_K / 4 * TILE_N / 4];
shared vec4 w_scales[TILE_K / GROUP * TILE_ROWS / 4], w_minima[TILE_K / GROUP * TILE_ROWS / 4];
shared vec4 x_scales[TILE_K / GROUP * TILE_N / 4], x_sums[TILE_K / GROUP * TILE_N / 4];

void load_weights(uint first, uint k) {
    uint units = (columns + 15) / 16;
    for (uint at = gl_LocalInvocationID.x; at < TILE_ROWS * TILE_K / 16; at += THREADS) {
        uint r = at % TILE_ROWS, u = k / 16 + at / TILE_ROWS;
        uvec4 bytes = uvec4(0);
        vec2 scale = vec2(0), minimum = vec2(0);
        if (u < units && first + r < rows) {
            unpack(weights, (first + r) * row_words, u, columns, bytes, scale, minimum);
        }
        uvec2 c = unit_columns(u) - k;
        [[unroll]] for (uint i = 0; i < 4; i++) {
            uint column = (i < 2 ? c.x : c.y) / 4 + i % 2;
            w_tile[(column * TILE_ROWS + r) / 4][r % 4] = bytes[i];
        }
        [[unroll]] for (uint i = 0; i < 2; i++) {
            if (c[i] % GROUP == 0) { // else the unit beside this one says the same
                uint to = (c[i] / GROUP * TILE_ROWS + r) / 4;
                w_scales[to][r % 4] = scale[i];
                w_minima[to][r % 4] = minimum[i];
            }
        }
    }
}

void load_activations(uint first, uint k) {
    for (uint at = gl_LocalInvocationID.x; at < TILE_N * TILE_K / GROUP; at += THREADS) {
        uint i = at % TILE_N, g = at / TILE_N;
        vec4 v[GROUP / 4];
        float most = 0;
        [[unroll]] for (uint j = 0; j < GROUP / 4; j++) {
            v[j] = first + i < n ? x_four(first + i, k + g * GROUP + 4 * j) : vec4(0);
            most = max(most, largest(v[j]));
        }
        int total = 0;
        [[unroll]] for (uint j = 0; j < GROUP / 4; j++) {
            uint q = rounded(v[j], most);
            total += sum_of_bytes(q);
            x_tile[((g * GROUP / 4 + j) * TILE_N + i) / 4][i % 4] = q;
        }
        x_scales[(g * TILE_N + i) / 4][i % 4] = most / 127;
        x_sums[(g * TILE_N + i) / 4][i % 4] = most / 127 * float(total);
    }
}

void add_tile(uint r0, uint i0, inout vec4 sum[4]) {
    for (uint g = 0; g < TILE_K / GROUP; g++) {
        ivec4 products[4] = ivec4[](ivec4(0), ivec4(0), ivec4(0), ivec4(0));
        [[unroll]] for (uint j = 0; j < GROUP / 4; j++) {
            uint c = g * GROUP / 4 + j;
            uvec4 w = w_tile[(c * TILE_ROWS + r0) / 4], v = x_tile[(c * TILE_N + i0) / 4];
            [[unroll]] for (uint i = 0; i < 4; i++) {
                [[unroll]] for (uint r = 0; r < 4; r++) {
                    products[i][r] += dot_bytes(w[r], v[i]);
                }
            }
        }
        uint w_at = (g * TILE_ROWS + r0) / 4, x_at = (g * TILE_N + i0) / 4;
        vec4 scale = w_scales[w_at], minimum = w_minima[w_at];
        vec4 x_scale = x_scales[x_at], x_sum = x_sums[x_at];
        [[unroll]] for (uint i = 0; i < 4; i++) {
            sum[i] += scale * x_scale[i] * vec4(products[i]) - minimum * x_sum[i];
        }
    }
}
#else
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

void load_activations(uint first, uint k) {
    for (uint at = gl_LocalInvocationID.x; at < TILE_N * TILE_K / 4; at += THREADS) {
        uint i = at % TILE_N, c = at / TILE_N * 4;
        vec4 v = first + i < n ? x_four(first + i, k + c) : vec4(0);
        [[unroll]] for (uint j = 0; j < 4; j++) {
            x_tile[((c + j) * TILE_N + i) / 4][i % 4] = v[j];
        }
    }
}

void add_tile(uint r0, uint i0, inout vec4 sum[4]) {
    for (uint c = 0; c < TILE_K; c++) {
        vec4 w = w_tile[(c * TILE_ROWS + r0) / 4], v = x_tile[(c * TILE_N + i0) / 4];
        [[unroll]] for (uint i = 0; i < 4; i++) {
            sum[i] += w * v[i];
        }
    }
}
#endif

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
            add_tile(r0, i0, sum);
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
