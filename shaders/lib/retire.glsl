// SPDX-License-Identifier: Apache-2.0
//
// What window_drop, window_settle and window_clip share: a layer's slots and the keys in them,
// turned one way or the other. Threads take two neighbouring values each.
#include "half.glsl"
#include "rope.glsl"

layout(local_size_x = 64) in;
layout(push_constant) uniform Push {
    Words keys, values;  // f16 [M][slots][e], keys turned
    Words far_keys;      // f16 [M][far][e], unturned: sinks, then kept
    Floats scores;       // [M][slots]
    Floats rates;        // [M][slots][2]
    Words kept_at;       // [M][keep]
    Floats turns;        // rows of dims: of the block that leaves, or of t - D
    Words gone;          // [M][1 + C] of window_choose
    Floats leaving;      // [M][C][2e + 2]: key, value, rates of those that are dropped
    uint slots, ring, sinks, keep, chunk;
    uint block_slot;     // where the block stands in the ring
    uint position;       // of its first token
    uint settled;        // sinks that settle now
    uint before;         // kept tokens so far; window_clip: now
    uint limit;          // window_settle: how many go; window_clip: from here on all is near
    uint dims_and_order; // dims * 2 + interleaved
    uint head_dim;
};

rope rope_here() {
    return rope(dims_and_order / 2, dims_and_order % 2);
}

// Values 2w and 2w + 1 of the f16 key that begins at value `from` (even) of `source`, turned.
vec2 turned_pair(Words source, uint from, uint turn, uint w, float direction) {
    rope r = rope_here();
    vec2 result;
    [[unroll]] for (uint j = 0; j < 2; j++) {
        uint i = 2 * w + j;
        result[j] = rope_turned(r, turns, turn, i, half_at(source, from + i),
                                half_at(source, from + rope_partner(r, i)), direction);
    }
    return result;
}
