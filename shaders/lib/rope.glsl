// SPDX-License-Identifier: Apache-2.0
//
// Rotary positions (engine/rope.h): which values make a pair, and a value turned by its pair's
// angle. A turn is a row of `dims` floats, cosines first, then sines.

struct rope {
    uint dims, interleaved;
};

// The other value of i's pair; i itself beyond the turning ones.
uint rope_partner(rope r, uint i) {
    if (i >= r.dims) {
        return i;
    }
    if (r.interleaved != 0) {
        return i ^ 1;
    }
    return i < r.dims / 2 ? i + r.dims / 2 : i - r.dims / 2;
}

// `own` is value i, `other` its partner's; `turn` is where the row begins. direction: 1 or -1.
float rope_turned(rope r, Floats turns, uint turn, uint i, float own, float other,
                  float direction) {
    if (i >= r.dims) {
        return own;
    }
    uint pairs = r.dims / 2;
    bool second = r.interleaved != 0 ? i % 2 == 1 : i >= pairs;
    uint pair = r.interleaved != 0 ? i / 2 : i % pairs;
    float c = turns.at[turn + pair], s = direction * turns.at[turn + pairs + pair];
    return second ? own * c + other * s : own * c - other * s;
}
