#version 460
// SPDX-License-Identifier: Apache-2.0
//
// The rows' keys (turned) and values go into the ring as binary16, with their rates. A workgroup
// takes one row of one key-value head, a thread two neighbouring values.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/half.glsl"
#include "lib/rope.glsl"

const float MAX_STEP = 16; // WINDOW_MAX_STEP

layout(local_size_x = 64) in;
layout(push_constant) uniform Push {
    Floats k, v;      // [n][M][e], from this step's first row
    Floats raw;       // [n][2M]: step, then decay; read if has_memory
    Floats turns;     // [rows][dims], from this step's first row
    Words keys, values; // f16 [M][slots][e]
    Floats scores;    // [M][slots]
    Floats rates;     // [M][slots][2]
    uint slots, slot; // of the first row: a step does not run over the ring's end
    uint rows, head_dim, kv_heads, has_memory;
    uint dims, interleaved;
};

void main() {
    rope r = rope(dims, interleaved);
    for (uint work = gl_WorkGroupID.x; work < rows * kv_heads; work += gl_NumWorkGroups.x) {
        uint i = work / kv_heads, m = work % kv_heads;
        uint from = work * head_dim, to = m * slots + slot + i;
        for (uint w = gl_LocalInvocationID.x; w < head_dim / 2; w += gl_WorkGroupSize.x) {
            float turned[2];
            [[unroll]] for (uint j = 0; j < 2; j++) {
                uint at = 2 * w + j;
                turned[j] = rope_turned(r, turns, i * dims, at, k.at[from + at],
                                        k.at[from + rope_partner(r, at)], 1);
            }
            keys.at[to * (head_dim / 2) + w] = pack_halves(turned[0], turned[1]);
            values.at[to * (head_dim / 2) + w] =
                pack_halves(v.at[from + 2 * w], v.at[from + 2 * w + 1]);
        }
        if (gl_LocalInvocationID.x == 0) {
            scores.at[to] = 0;
            if (has_memory != 0) {
                float step_raw = raw.at[i * 2 * kv_heads + m];
                float decay_raw = raw.at[i * 2 * kv_heads + kv_heads + m];
                rates.at[2 * to] =
                    step_raw > MAX_STEP ? MAX_STEP : min(log(1 + exp(step_raw)), MAX_STEP);
                rates.at[2 * to + 1] = 1 / (1 + exp(-decay_raw));
            }
        }
    }
}
