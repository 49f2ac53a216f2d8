// SPDX-License-Identifier: Apache-2.0
//
// Weights of every tensor type, expanded 16 at a time. A row on the device is made of whole words
// (engine/vulkan/weights.c lays it out): blocks as in the file, but
// - F32, F16, BF16: padded with zeroes to a multiple of 16 values;
// - Q4_0, Q5_0, Q8_0: first the blocks without their scales, then all the scales;
// - Q3_K, Q6_K: each block padded to whole words.
// The numbers are those of enum quant_type; the specialised pipeline has one case left.
#include "half.glsl"

layout(constant_id = 0) const uint TYPE = 0;

const uint F32 = 0, F16 = 1, Q4_0 = 2, Q4_1 = 3, Q5_0 = 6, Q5_1 = 7, Q8_0 = 8, Q2_K = 10,
           Q3_K = 11, Q4_K = 12, Q5_K = 13, Q6_K = 14, BF16 = 30;

// Unit u of a row holds the values of eight columns from x and of eight columns from y. Units
// 4t..4t+3 are the columns [64t, 64t + 64).
uvec2 unit_columns(uint u) {
    switch (TYPE) {
    case Q4_0:
    case Q4_1:
    case Q5_0:
    case Q5_1: {
        uint c = u / 2 * 32 + u % 2 * 8;
        return uvec2(c, c + 16);
    }
    case Q2_K:
    case Q3_K:
    case Q4_K:
    case Q5_K: {
        uint c = u / 4 * 64 + u % 4 * 8;
        return uvec2(c, c + 32);
    }
    default:
        return uvec2(16 * u, 16 * u + 8);
    }
}

// The eight bytes that begin at word `at`.
uvec2 eight_bytes(Words w, uint at) {
    return uvec2(w.at[at], w.at[at + 1]);
}

uint byte_of(uint word, uint i) {
    return word >> (8 * i) & 255;
}

// Byte i of the bytes that begin at word `at`.
uint byte_at(Words w, uint at, uint i) {
    return byte_of(w.at[at + i / 4], i % 4);
}

int signed_byte(uint word, uint i) {
    return bitfieldExtract(int(word), int(8 * i), 8);
}

// Scale and minimum of group g of Q4_K and Q5_K, packed in the three words from `at`.
uvec2 six_bit_scales(Words w, uint at, uint g) {
    if (g < 4) {
        return uvec2(byte_at(w, at, g) & 63, byte_at(w, at, g + 4) & 63);
    }
    uint low = byte_at(w, at, g + 4);
    return uvec2((low & 15) | byte_at(w, at, g - 4) >> 6 << 4,
                 low >> 4 | byte_at(w, at, g) >> 6 << 4);
}

// Scale of group g of Q3_K, 6 bits in the three words from `at`.
int third_scale(Words w, uint at, uint g) {
    uint low = g < 8 ? byte_at(w, at, g) & 15 : byte_at(w, at, g - 8) >> 4;
    uint high = byte_at(w, at, 8 + g % 4) >> (2 * (g / 4)) & 3;
    return int(low | high << 4) - 32;
}

// v = the values of unit u of the row that begins at word `row`; of `columns` columns.
void expand(Words w, uint row, uint u, uint columns, out float v[16]) {
    switch (TYPE) {
    case F32: {
        [[unroll]] for (uint i = 0; i < 16; i++) {
            v[i] = uintBitsToFloat(w.at[row + 16 * u + i]);
        }
        break;
    }
    case F16: {
        [[unroll]] for (uint i = 0; i < 8; i++) {
            vec2 pair = halves_of(w.at[row + 8 * u + i]);
            v[2 * i] = pair.x;
            v[2 * i + 1] = pair.y;
        }
        break;
    }
    case BF16: {
        [[unroll]] for (uint i = 0; i < 8; i++) {
            uint pair = w.at[row + 8 * u + i];
            v[2 * i] = uintBitsToFloat(pair << 16);
            v[2 * i + 1] = uintBitsToFloat(pair & 0xffff0000);
        }
        break;
    }
    case Q4_0: {
        uint block = u / 2, at = row + 4 * block + 2 * (u % 2);
        float d = half_at(w, 2 * (row + columns / 8) + block);
        uvec2 bytes = eight_bytes(w, at);
        [[unroll]] for (uint i = 0; i < 8; i++) {
            uint q = byte_of(bytes[i / 4], i % 4);
            v[i] = d * float(int(q & 15) - 8);
            v[8 + i] = d * float(int(q >> 4) - 8);
        }
        break;
    }
    case Q4_1: {
        uint block = row + u / 2 * 5, at = block + 1 + 2 * (u % 2);
        vec2 d = halves_of(w.at[block]);
        uvec2 bytes = eight_bytes(w, at);
        [[unroll]] for (uint i = 0; i < 8; i++) {
            uint q = byte_of(bytes[i / 4], i % 4);
            v[i] = d.x * float(q & 15) + d.y;
            v[8 + i] = d.x * float(q >> 4) + d.y;
        }
        break;
    }
    case Q5_0: {
        uint block = u / 2, words = row + 5 * block, at = words + 1 + 2 * (u % 2);
        float d = half_at(w, 2 * (row + columns / 32 * 5) + block);
        uint fifth = w.at[words] >> (8 * (u % 2));
        uvec2 bytes = eight_bytes(w, at);
        [[unroll]] for (uint i = 0; i < 8; i++) {
            uint q = byte_of(bytes[i / 4], i % 4);
            v[i] = d * float(int(q & 15 | (fifth >> i & 1) << 4) - 16);
            v[8 + i] = d * float(int(q >> 4 | (fifth >> (16 + i) & 1) << 4) - 16);
        }
        break;
    }
    case Q5_1: {
        uint block = row + u / 2 * 6, at = block + 2 + 2 * (u % 2);
        vec2 d = halves_of(w.at[block]);
        uint fifth = w.at[block + 1] >> (8 * (u % 2));
        uvec2 bytes = eight_bytes(w, at);
        [[unroll]] for (uint i = 0; i < 8; i++) {
            uint q = byte_of(bytes[i / 4], i % 4);
            v[i] = d.x * float(q & 15 | (fifth >> i & 1) << 4) + d.y;
            v[8 + i] = d.x * float(q >> 4 | (fifth >> (16 + i) & 1) << 4) + d.y;
        }
        break;
    }
    case Q8_0: {
        float d = half_at(w, 2 * (row + columns / 4) + u / 2);
        [[unroll]] for (uint j = 0; j < 4; j++) {
            uint word = w.at[row + 4 * u + j];
            [[unroll]] for (uint i = 0; i < 4; i++) {
                v[4 * j + i] = d * float(signed_byte(word, i));
            }
        }
        break;
    }
    case Q2_K: {
        uint block = row + u / 16 * 21, n = u / 4 % 4, i0 = u % 4;
        vec2 d = halves_of(w.at[block + 20]);
        uint at = block + 4 + n / 2 * 8 + 2 * i0, shift = 4 * (n % 2), g = 4 * n + i0 / 2;
        uint s0 = byte_at(w, block, g), s1 = byte_at(w, block, g + 2);
        uvec2 bytes = eight_bytes(w, at);
        [[unroll]] for (uint i = 0; i < 8; i++) {
            uint q = byte_of(bytes[i / 4], i % 4) >> shift;
            v[i] = d.x * float(s0 & 15) * float(q & 3) - d.y * float(s0 >> 4);
            v[8 + i] = d.x * float(s1 & 15) * float(q >> 2 & 3) - d.y * float(s1 >> 4);
        }
        break;
    }
    case Q3_K: {
        uint block = row + u / 16 * 28, n = u / 4 % 4, i0 = u % 4;
        float d = half_to(w.at[block + 27] & 0xffff);
        uint at = block + 8 + n / 2 * 8 + 2 * i0, shift = 4 * (n % 2), g = 4 * n + i0 / 2;
        float s0 = d * float(third_scale(w, block + 24, g));
        float s1 = d * float(third_scale(w, block + 24, g + 2));
        uvec2 thirds = eight_bytes(w, block + 2 * i0);
        uvec2 bytes = eight_bytes(w, at);
        [[unroll]] for (uint i = 0; i < 8; i++) {
            uint q = byte_of(bytes[i / 4], i % 4) >> shift;
            uint third = byte_of(thirds[i / 4], i % 4) >> (2 * n);
            v[i] = s0 * float(int((q & 3) + 4 * (third & 1)) - 4);
            v[8 + i] = s1 * float(int((q >> 2 & 3) + 4 * (third >> 1 & 1)) - 4);
        }
        break;
    }
    case Q4_K:
    case Q5_K: {
        uint words = TYPE == Q4_K ? 36 : 44, block = row + u / 16 * words;
        uint n = u / 4 % 4, i0 = u % 4;
        uint at = block + (TYPE == Q4_K ? 4 : 12) + 8 * n + 2 * i0;
        vec2 d = halves_of(w.at[block]);
        vec2 s0 = d * vec2(six_bit_scales(w, block + 1, 2 * n));
        vec2 s1 = d * vec2(six_bit_scales(w, block + 1, 2 * n + 1));
        uvec2 bytes = eight_bytes(w, at), fifths = uvec2(0);
        if (TYPE == Q5_K) {
            fifths = eight_bytes(w, block + 4 + 2 * i0);
        }
        [[unroll]] for (uint i = 0; i < 8; i++) {
            uint q = byte_of(bytes[i / 4], i % 4), low = q & 15, high = q >> 4;
            if (TYPE == Q5_K) {
                uint fifth = byte_of(fifths[i / 4], i % 4) >> (2 * n);
                low |= (fifth & 1) << 4;
                high |= (fifth >> 1 & 1) << 4;
            }
            v[i] = s0.x * float(low) - s0.y;
            v[8 + i] = s1.x * float(high) - s1.y;
        }
        break;
    }
    case Q6_K: {
        uint block = row + u / 16 * 53, k = u % 8, upper_half = u / 8 % 2;
        uint low_at = block + 16 * upper_half + 4 * (k % 4), low_shift = k / 4 * 4;
        uint high_at = block + 32 + 8 * upper_half + 4 * (k % 2), high_shift = k / 2 * 2;
        float d = half_to(w.at[block + 52] & 0xffff);
        d *= float(signed_byte(w.at[block + 48 + u % 16 / 4], u % 4));
        [[unroll]] for (uint j = 0; j < 4; j++) {
            uint lows = w.at[low_at + j] >> low_shift, highs = w.at[high_at + j] >> high_shift;
            [[unroll]] for (uint i = 0; i < 4; i++) {
                uint low = byte_of(lows, i) & 15, high = byte_of(highs, i) & 3;
                v[4 * j + i] = d * float(int(low | high << 4) - 32);
            }
        }
        break;
    }
    }
}
