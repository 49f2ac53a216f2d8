#version 460
// SPDX-License-Identifier: Apache-2.0
//
// Tokens compete for the kept places of their head: `before` kept ones (contestant = place), then
// the `fresh` ones of the block. The `drops` that go (the lowest worth, score times length of the
// value; of equals the later) are listed in rising order. A workgroup takes a head: it finds the
// highest worth that goes, digit by digit, then goes through the contestants in order.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/half.glsl"

const uint THREADS = 256;

layout(local_size_x = THREADS) in;
layout(push_constant) uniform Push {
    Floats scores; // [M][slots]
    Words values;  // f16 [M][slots][e]
    Floats worth;  // [M][most]: of the contestants
    Words gone;    // [M][1 + C]: how many of the kept ones go, then who goes
    uint slots, kept_slot, fresh_slot, before, fresh, drops, chunk, most, head_dim;
    float stays; // of a kept token's score
};

shared uint counts[THREADS];
shared uint chosen, below; // the digit, and how many contestants go by a smaller one

void weigh(uint m, uint i) {
    uint slot = m * slots + (i < before ? kept_slot + i : fresh_slot + i - before);
    float square = 0;
    for (uint w = 0; w < head_dim / 2; w++) {
        vec2 pair = halves_of(values.at[slot * (head_dim / 2) + w]);
        square += dot(pair, pair);
    }
    float score = i < before ? scores.at[slot] * stays : scores.at[slot];
    scores.at[slot] = score;
    worth.at[m * most + i] = score * sqrt(square);
}

// Orders like the worth, as an unsigned number.
uint key_of(uint m, uint i) {
    float v = worth.at[m * most + i];
    uint bits = floatBitsToUint(v == 0 ? 0 : v);
    return bits ^ ((bits & 0x80000000u) != 0 ? 0xffffffffu : 0x80000000u);
}

// counts[i] = the sum of counts[0..i]
void prefix_sums() {
    uint thread = gl_LocalInvocationID.x;
    for (uint step = 1; step < THREADS; step *= 2) {
        barrier();
        uint left = thread >= step ? counts[thread - step] : 0;
        barrier();
        counts[thread] += left;
    }
    barrier();
}

void main() {
    uint m = gl_WorkGroupID.x, thread = gl_LocalInvocationID.x, total = before + fresh;
    uint list = m * (1 + chunk);
    for (uint i = thread; i < total; i += THREADS) { // each thread reads what it has written
        weigh(m, i);
    }
    if (drops == 0) {
        if (thread == 0) {
            gone.at[list] = 0;
        }
        return;
    }
    uint limit = 0, left = drops; // the left-th smallest of those whose upper digits are limit's
    for (int shift = 24; shift >= 0; shift -= 8) {
        counts[thread] = 0;
        barrier();
        for (uint i = thread; i < total; i += THREADS) {
            uint key = key_of(m, i);
            if (shift == 24 || key >> (shift + 8) == limit >> (shift + 8)) {
                atomicAdd(counts[key >> shift & 255], 1);
            }
        }
        prefix_sums();
        uint under = thread == 0 ? 0 : counts[thread - 1];
        if (under < left && counts[thread] >= left) {
            chosen = thread;
            below = under;
        }
        barrier();
        limit |= chosen << shift;
        left -= below;
        barrier();
    }
    // Of those whose worth equals the limit the last `left` go: all but the first `spared`.
    uint equal = counts[limit & 255] - ((limit & 255) == 0 ? 0 : counts[(limit & 255) - 1]);
    uint spared = equal - left, smaller_seen = 0, equal_seen = 0;
    for (uint first = 0; first < total; first += THREADS) {
        uint i = first + thread, flags = 0; // smaller in the low half, equal in the high one
        if (i < total) {
            uint key = key_of(m, i);
            flags = key < limit ? 1 : key == limit ? 0x10000 : 0;
        }
        barrier();
        counts[thread] = flags;
        prefix_sums();
        uint sums = counts[thread] - flags, all = counts[THREADS - 1];
        uint smaller = smaller_seen + (sums & 0xffff), equals = equal_seen + (sums >> 16);
        uint place = smaller + (equals > spared ? equals - spared : 0);
        if (flags == 1 || (flags != 0 && equals >= spared)) {
            gone.at[list + 1 + place] = i;
        }
        if (i + 1 == before || (before == 0 && i == 0)) { // how many went before the fresh ones
            bool goes = flags == 1 || (flags != 0 && equals >= spared);
            gone.at[list] = before == 0 ? 0 : place + (goes ? 1 : 0);
        }
        smaller_seen += all & 0xffff;
        equal_seen += all >> 16;
    }
}
