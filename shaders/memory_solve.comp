#version 460
// SPDX-License-Identifier: Apache-2.0
//
// errors <- gram^-1 errors, by Cholesky's factors gram = L L^T; its eigenvalues are 1 and more. One
// workgroup takes a head: it factors in shared memory where that is large enough (FITS 1), else in
// place, and then each thread solves for columns of its own.
#extension GL_GOOGLE_include_directive : require
#define COHERENT coherent
#include "lib/write.glsl"

layout(constant_id = 0) const uint FITS = 0;
const uint THREADS = 256, MOST = 64; // the largest n that fits

layout(local_size_x = THREADS) in;

shared float tile[FITS == 1 ? MOST * MOST : 1];

float get(uint at) {
    return FITS == 1 ? tile[at] : gram.at[gl_WorkGroupID.x * n * n + at];
}

void set(uint at, float v) {
    if (FITS == 1) {
        tile[at] = v;
    } else {
        gram.at[gl_WorkGroupID.x * n * n + at] = v;
    }
}

void meet() {
    memoryBarrierBuffer();
    barrier();
}

// The lower triangle becomes L, column by column.
void factor() {
    uint thread = gl_LocalInvocationIndex;
    for (uint j = 0; j < n; j++) {
        float pivot = inversesqrt(get(j * n + j));
        meet();
        for (uint i = j + thread; i < n; i += THREADS) {
            set(i * n + j, get(i * n + j) * pivot);
        }
        meet();
        uint rest = n - j - 1;
        for (uint k = thread; k < rest * rest; k += THREADS) {
            uint r = j + 1 + k / rest, c = j + 1 + k % rest;
            if (c <= r) {
                set(r * n + c, get(r * n + c) - get(r * n + j) * get(c * n + j));
            }
        }
        meet();
    }
}

void main() {
    uint m = gl_WorkGroupID.x, thread = gl_LocalInvocationIndex, e = head_dim;
    if (FITS == 1) {
        for (uint i = thread; i < n * n; i += THREADS) {
            tile[i] = gram.at[m * n * n + i];
        }
    }
    meet();
    factor();
    for (uint c = thread; c < e; c += THREADS) {
        uint column = m * n * e + c;
        for (uint i = 0; i < n; i++) { // L z = b
            float sum = errors.at[column + i * e];
            for (uint j = 0; j < i; j++) {
                sum -= get(i * n + j) * errors.at[column + j * e];
            }
            errors.at[column + i * e] = sum / get(i * n + i);
        }
        for (uint i = n; i-- > 0;) { // L^T x = z
            float sum = errors.at[column + i * e];
            for (uint j = i + 1; j < n; j++) {
                sum -= get(j * n + i) * errors.at[column + j * e];
            }
            errors.at[column + i * e] = sum / get(i * n + i);
        }
    }
}
