#version 460
// SPDX-License-Identifier: Apache-2.0
//
// z = lambda z + the sum over the tokens of [exp(min(a, 15)), exp(min(-a, 15))], a = ev_k k e^-1/4.
// A thread takes one value of a head's a.
#extension GL_GOOGLE_include_directive : require
#include "lib/write.glsl"

const float LIMIT = 15;

layout(local_size_x = 64) in;

void main() {
    uint j = gl_GlobalInvocationID.x, m = gl_WorkGroupID.y, e = head_dim;
    if (j >= e) {
        return;
    }
    float up = 0, down = 0, scale = inversesqrt(sqrt(float(e)));
    for (uint i = 0; i < n; i++) {
        float a = 0;
        for (uint c = 0; c < e; c++) {
            a = fma(map.at[(m * e + j) * e + c], leaving.at[token(m, i) + c], a);
        }
        up += exp(min(a * scale, LIMIT));
        down += exp(min(-a * scale, LIMIT));
    }
    float left = stays(m);
    uint at = m * 2 * e + j;
    sums.at[at] = left * sums.at[at] + up;
    sums.at[at + e] = left * sums.at[at + e] + down;
}
