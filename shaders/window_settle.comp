#version 460
// SPDX-License-Identifier: Apache-2.0
//
// Tokens of the leaving block that stay take their far places: the first ones as sinks, the winners
// among the kept, in places that losers left or in new ones. Workgroup (i, m) takes token i of the
// block in head m.
#extension GL_GOOGLE_include_directive : require
#include "lib/memory.glsl"
#include "lib/retire.glsl"

const uint NONE = 0xffffffffu;

// The far place of the block's token i, or NONE. `drops` ones go.
uint place_of(uint m, uint i, uint drops) {
    if (i < settled) {
        return i;
    }
    uint list = m * (1 + chunk), kept_gone = gone.at[list], who = before + i - settled, lost = 0;
    for (uint j = kept_gone; j < drops; j++) {
        uint other = gone.at[list + 1 + j];
        if (other == who) {
            return NONE;
        }
        lost += other < who ? 1 : 0;
    }
    uint rank = i - settled - lost; // among the block's winners
    return sinks + (rank < kept_gone ? gone.at[list + 1 + rank] : before + rank - kept_gone);
}

void main() {
    uint i = gl_WorkGroupID.x, m = gl_WorkGroupID.y, half_dim = head_dim / 2;
    uint place = place_of(m, i, limit);
    if (place == NONE) {
        return;
    }
    uint from = m * slots + block_slot + i, to = m * slots + ring + place;
    uint far = m * (sinks + keep) + place;
    for (uint w = gl_LocalInvocationID.x; w < half_dim; w += gl_WorkGroupSize.x) {
        keys.at[to * half_dim + w] = keys.at[from * half_dim + w];
        values.at[to * half_dim + w] = values.at[from * half_dim + w];
        vec2 key = turned_pair(keys, from * head_dim, i * (dims_and_order / 2), w, -1);
        far_keys.at[far * half_dim + w] = pack_halves(key.x, key.y);
    }
    if (gl_LocalInvocationID.x == 0) {
        scores.at[to] = scores.at[from];
        rates.at[2 * to] = rates.at[2 * from];
        rates.at[2 * to + 1] = rates.at[2 * from + 1];
        if (place >= sinks) {
            kept_at.at[m * keep + place - sinks] = position + i;
        }
    }
}
