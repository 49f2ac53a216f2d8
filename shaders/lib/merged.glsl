// SPDX-License-Identifier: Apache-2.0
//
// What the five shaders of window_merge share: the points of a head, which are its merged tokens so
// far and then those that leave, and where the ones that are left go.

layout(push_constant) uniform Push {
    Floats merged;       // [M][most][2e]: key, then value
    Floats counts;       // [M][most]
    Floats weights;      // [M][most]
    Words keys, values;  // f16 [M][slots][e], keys turned
    Floats leaving;      // [M][C][2e + 2] of window_drop
    Floats turns;        // merged_gather: the mean turn; merged_place: the one of t + C/2
    Floats points;       // [M][most + C][2e]: key, then value
    Floats sizes;        // [M][1 + most + C]: the head's unit of values, then how many tokens a point
                         // stands for, 0 once it is gone
    Floats costs;        // [M][count][count], symmetric, NO_PAIR where there is no pair
    Words left;          // [M][most]: the points that are left, in order
    uint most, chunk;    // G, C
    uint before, count;  // points merged before, and all of them
    uint slots, first_slot;
    uint dims_and_order; // of RoPE: dims * 2 + interleaved
    uint head_dim;
    float limit;         // of the sizes' sum
    uint after;          // points that are left
};

const float NO_PAIR = 3.0e38, LEAST_COUNT = 1e-3;

uint unit_of(uint m) {
    return m * (1 + most + chunk);
}

uint sizes_of(uint m) {
    return unit_of(m) + 1;
}

uint point_of(uint m, uint i) {
    return (m * (most + chunk) + i) * 2 * head_dim;
}
