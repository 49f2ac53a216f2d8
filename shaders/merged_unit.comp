#version 460
// SPDX-License-Identifier: Apache-2.0
//
// The unit of a head's values in merging: the root of the keys' variance over the values'. A
// workgroup takes a head, a thread some of the columns.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/merged.glsl"

const uint THREADS = 64;

layout(local_size_x = THREADS) in;

shared float key_spread[THREADS], value_spread[THREADS];

float spread_of(uint m, uint column) {
    float mean = 0, spread = 0;
    for (uint i = 0; i < count; i++) {
        mean += points.at[point_of(m, i) + column];
    }
    mean /= float(count);
    for (uint i = 0; i < count; i++) {
        float d = points.at[point_of(m, i) + column] - mean;
        spread = fma(d, d, spread);
    }
    return spread;
}

void main() {
    uint m = gl_WorkGroupID.x, thread = gl_LocalInvocationIndex;
    key_spread[thread] = value_spread[thread] = 0;
    for (uint c = thread; c < head_dim; c += THREADS) {
        key_spread[thread] += spread_of(m, c);
        value_spread[thread] += spread_of(m, head_dim + c);
    }
    for (uint rest = THREADS / 2; rest > 0; rest /= 2) {
        barrier();
        if (thread < rest) {
            key_spread[thread] += key_spread[thread + rest];
            value_spread[thread] += value_spread[thread + rest];
        }
    }
    if (thread == 0) {
        sizes.at[unit_of(m)] = value_spread[0] > 0 ? sqrt(key_spread[0] / value_spread[0]) : 0;
    }
}
