// SPDX-License-Identifier: Apache-2.0
//
// The part of attention that window_attend and window_score share: scores of a tile of QUERIES
// queries by SLOTS slots of one key-value head m. Query u of a step is of row u / group and query
// head m * group + u % group. Shared memory and threads are filled for any head_dim E.
#include "half.glsl"
#include "rope.glsl"

layout(constant_id = 0) const uint E = 64;
layout(constant_id = 1) const uint QUERIES = 16;
layout(constant_id = 2) const uint SLOTS = 32;
const uint THREADS = 128;
const float HIDDEN = -3.0e38;

layout(local_size_x = THREADS) in;
layout(push_constant) uniform Push {
    Words keys, values; // f16 [M][slots][e]
    Floats q;           // [rows][M * group][e], from this step's first row
    Floats turns;       // [rows][dims], likewise
    Floats result;      // window_attend: parts [M][rows * group][segments][e + 2]; else scores
    Floats lse;         // [rows][M * group]: what window_merge found
    Floats weights;     // [M][merged]: add to the scores of the last slots
    Floats gate;        // [rows][M * group], from this step's first row: adds to them too, if gated
    uint slots, visible, ring;
    uint rows, kv_heads, group;
    uint chunk_slot, chunk, at; // where the chunk begins in the ring, C, of the first row in it
    uint dims, interleaved;
    uint segment; // slots of a segment, a multiple of SLOTS
    float scale;
    uint merged; // slots of merged tokens, the last ones
    uint gated;
    uint first_kept; // slot
};

shared float q_tile[QUERIES * E];
shared float kv_tile[SLOTS * (E + 1)];
shared float s_tile[QUERIES * SLOTS];

void load_queries(uint m, uint first) {
    rope r = rope(dims, interleaved);
    for (uint i = gl_LocalInvocationIndex; i < QUERIES * E; i += THREADS) {
        uint u = first + i / E, c = i % E, row = u / group;
        float v = 0;
        if (row < rows) {
            uint from = ((row * kv_heads + m) * group + u % group) * E;
            v = rope_turned(r, turns, row * dims, c, q.at[from + c],
                            q.at[from + rope_partner(r, c)], 1);
        }
        q_tile[i] = v * scale;
    }
}

// Rows [first, first + SLOTS) of head m's keys or values; zeroes from `end` on.
void load_slots(Words from, uint m, uint first, uint end) {
    for (uint i = gl_LocalInvocationIndex; i < SLOTS * E / 2; i += THREADS) {
        uint j = i / (E / 2), w = i % (E / 2);
        vec2 pair = vec2(0);
        if (first + j < end) {
            pair = unpackHalf2x16(from.at[(m * slots + first + j) * (E / 2) + w]);
        }
        kv_tile[j * (E + 1) + 2 * w] = pair.x;
        kv_tile[j * (E + 1) + 2 * w + 1] = pair.y;
    }
}

// Does the query in row `row` not see slot j? Slots of the chunk after its own hold the future.
bool hidden(uint row, uint j) {
    return j >= chunk_slot && j < chunk_slot + chunk && j - chunk_slot > at + row;
}

// A merged token counts as often as it stands for tokens, times what query u's gate makes of it.
float weight_of(uint m, uint u, uint j) {
    uint first = slots - merged;
    if (j < first) {
        return 0;
    }
    float weight = weights.at[m * merged + j - first];
    return gated != 0 ? weight + gate.at[(u / group * kv_heads + m) * group + u % group] : weight;
}

// s_tile = the scores of the tile, HIDDEN where there is nothing to see.
void score_tile(uint m, uint first_query, uint first_slot, uint end) {
    for (uint i = gl_LocalInvocationIndex; i < QUERIES * SLOTS; i += THREADS) {
        uint a = i / SLOTS, b = i % SLOTS, row = (first_query + a) / group;
        float sum = 0;
        for (uint c = 0; c < E; c++) {
            sum = fma(q_tile[a * E + c], kv_tile[b * (E + 1) + c], sum);
        }
        uint j = first_slot + b;
        bool seen = j < end && row < rows && !hidden(row, j);
        s_tile[i] = seen ? sum + weight_of(m, first_query + a, j) : HIDDEN;
    }
}
