#version 460
// SPDX-License-Identifier: Apache-2.0
//
// The memory's features of a key or a query x: h = silu(w1 y) * (w3 y), y = rms(map rms(x)). For a
// write the heads are the memory heads, for a read the query heads, `group` of which share w1 and
// w3. A workgroup takes a row of a head.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#define THREADS 128
#include "lib/reduce.glsl"

const float RMS_EPS = 1e-6;
const uint MOST = 1024; // MODEL_MAX_HEAD

layout(local_size_x = THREADS) in;
layout(push_constant) uniform Push {
    Floats x;      // row i of head h begins at i * row_stride + h * head_stride
    Floats map;    // [heads][e][e]
    Floats w1, w3; // [heads / group][f][e]
    Floats hidden; // [heads][rows][f]
    uint row_stride, head_stride, rows, heads, group, head_dim, width;
};

shared float from[MOST], to[MOST];

// v is this thread's sum of squares of the vector.
float rms_scale(float v) {
    return inversesqrt(workgroup_sum(v) / float(head_dim) + RMS_EPS);
}

void main() {
    uint thread = gl_LocalInvocationIndex, e = head_dim;
    for (uint work = gl_WorkGroupID.x; work < rows * heads; work += gl_NumWorkGroups.x) {
        uint h = work / rows, i = work % rows, m = h / group;
        float square = 0;
        for (uint c = thread; c < e; c += THREADS) {
            float v = x.at[i * row_stride + h * head_stride + c];
            from[c] = v;
            square += v * v;
        }
        float scale = rms_scale(square);
        square = 0;
        for (uint r = thread; r < e; r += THREADS) {
            float sum = 0;
            for (uint c = 0; c < e; c++) {
                sum = fma(map.at[(h * e + r) * e + c], from[c] * scale, sum);
            }
            to[r] = sum;
            square += sum * sum;
        }
        scale = rms_scale(square);
        for (uint j = thread; j < width; j += THREADS) {
            float g = 0, u = 0;
            for (uint c = 0; c < e; c++) {
                float y = to[c] * scale;
                g = fma(w1.at[(m * width + j) * e + c], y, g);
                u = fma(w3.at[(m * width + j) * e + c], y, u);
            }
            hidden.at[work * width + j] = g / (1 + exp(-g)) * u;
        }
        barrier(); // before the next row's `from`
    }
}
