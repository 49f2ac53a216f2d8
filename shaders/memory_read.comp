#version 460
// SPDX-License-Identifier: Apache-2.0
//
// out = (1 - gate) out + gate alpha * o, o = W h the memory's answer to a query; the gate opens with
// the evidence that keys like this query were written. A workgroup takes a row of a query head.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#define THREADS 64
#include "lib/reduce.glsl"

const float EVIDENCE_EPS = 1e-9;
const uint MOST = 1024; // MODEL_MAX_HEAD

layout(local_size_x = THREADS) in;
layout(push_constant) uniform Push {
    Floats q, result;  // [rows][H][e], from this step's first row
    Floats hidden;     // [H][rows][f]
    Floats weights;    // [M][e][f]
    Floats sums;       // [M][2e]: z
    Floats map;        // [H][e][e]: ev_q
    Floats gate;       // [rows][H], from this step's first row
    Floats lse;        // [rows][H]
    Floats parameters; // gate_lse [H], then alpha [H][e]
    uint rows, heads, group, head_dim, width;
};

shared float a[MOST];

// log(phi . z + eps), phi = [softmax(a), softmax(-a)]
float evidence(uint m) {
    uint thread = gl_LocalInvocationIndex, e = head_dim;
    float most = -3.0e38, least = 3.0e38;
    for (uint j = thread; j < e; j += THREADS) {
        most = max(most, a[j]);
        least = min(least, a[j]);
    }
    vec4 both = workgroup_maxima(vec4(most, -least, 0, 0));
    most = both.x;
    least = -both.y;
    vec4 parts = vec4(0); // sums of exp(a), exp(-a), and of both times z
    for (uint j = thread; j < e; j += THREADS) {
        float p = exp(a[j] - most), r = exp(least - a[j]);
        parts += vec4(p, r, p * sums.at[m * 2 * e + j], r * sums.at[m * 2 * e + e + j]);
    }
    parts = workgroup_sums(parts);
    return log(parts.z / parts.x + parts.w / parts.y + EVIDENCE_EPS);
}

void main() {
    uint thread = gl_LocalInvocationIndex, e = head_dim;
    float scale = inversesqrt(sqrt(float(e)));
    for (uint work = gl_WorkGroupID.x; work < rows * heads; work += gl_NumWorkGroups.x) {
        uint i = work / heads, h = work % heads, m = h / group;
        for (uint j = thread; j < e; j += THREADS) {
            float sum = 0;
            for (uint c = 0; c < e; c++) {
                sum = fma(map.at[(h * e + j) * e + c], q.at[work * e + c], sum);
            }
            a[j] = sum * scale;
        }
        barrier();
        float logit = gate.at[work] + parameters.at[h] * lse.at[work] + evidence(m);
        float opens = 1 / (1 + exp(-logit));
        uint from = (h * rows + i) * width;
        for (uint j = thread; j < e; j += THREADS) {
            float o = 0;
            for (uint l = 0; l < width; l++) {
                o = fma(weights.at[(m * e + j) * width + l], hidden.at[from + l], o);
            }
            float alpha = parameters.at[heads + h * e + j];
            result.at[work * e + j] = (1 - opens) * result.at[work * e + j] + opens * alpha * o;
        }
        barrier();
    }
}
