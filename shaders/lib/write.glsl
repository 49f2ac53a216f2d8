// SPDX-License-Identifier: Apache-2.0
//
// What the steps of a memory write share: the tokens that leave, as window_drop laid them out, and
// the buffers between the steps. n tokens leave, the same number in every head.
#include "memory.glsl"

layout(push_constant) uniform Push {
    Floats leaving; // [M][C][2e + 2]: key, value, step, decay
    Floats hidden;  // [M][n][f]
    Floats errors;  // [M][n][e]; after memory_solve what is added to W per token
    Floats gram;    // [M][n][n]
    Floats weights; // [M][e][f]: W, the fast weights
    Floats start;   // [M][e][f]: w2, W before anything was written
    Floats sums;    // [M][2e]: z
    Floats map;     // [M][e][e]: ev_k
    uint n, chunk, head_dim, width, kv_heads;
    float target_scale; // 1 / v_scale
};

uint token(uint m, uint i) {
    return (m * chunk + i) * (2 * head_dim + 2);
}

// How far the write of token i goes: the weight of its error.
float step_of(uint m, uint i) {
    return leaving.at[token(m, i) + 2 * head_dim] * inversesqrt(float(width));
}

// lambda: what the block leaves of the memory.
float stays(uint m) {
    float sum = 0;
    for (uint i = 0; i < n; i++) {
        sum += leaving.at[token(m, i) + 2 * head_dim + 1] / float(n);
    }
    return sum;
}
