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

const bool PACKED = TYPE != F32 && TYPE != F16 && TYPE != BF16;

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

// Bits 0 to 7 as the lowest ones of eight bytes.
uvec2 spread(uint bits) {
    return (uvec2(bits & 15, bits >> 4 & 15) * 0x00204081) & 0x01010101;
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

// The values of unit u of a row, for a type that packs them: the unit's halves are
// scale.x * q - minimum.x for the eight signed bytes q of bytes.xy, and likewise y and bytes.zw.
// The row begins at word `row` and has `columns` columns.
void unpack(Words w, uint row, uint u, uint columns, out uvec4 bytes, out vec2 scale,
            out vec2 minimum) {
    switch (TYPE) {
    case Q4_0: {
        uint block = u / 2;
        uvec2 four = eight_bytes(w, row + 4 * block + 2 * (u % 2));
        bytes = uvec4(four, four >> 4) & 0x0f0f0f0f;
        scale = vec2(half_at(w, 2 * (row + columns / 8) + block));
        minimum = 8 * scale;
        break;
    }
    case Q4_1: {
        uint block = row + u / 2 * 5;
        uvec2 four = eight_bytes(w, block + 1 + 2 * (u % 2));
        vec2 d = halves_of(w.at[block]);
        bytes = uvec4(four, four >> 4) & 0x0f0f0f0f;
        scale = d.xx;
        minimum = -d.yy;
        break;
    }
    case Q5_0: {
        uint block = u / 2, words = row + 5 * block;
        uint fifth = w.at[words] >> (8 * (u % 2));
        uvec2 four = eight_bytes(w, words + 1 + 2 * (u % 2));
        bytes = (uvec4(four, four >> 4) & 0x0f0f0f0f) |
                uvec4(spread(fifth), spread(fifth >> 16)) << 4;
        scale = vec2(half_at(w, 2 * (row + columns / 32 * 5) + block));
        minimum = 16 * scale;
        break;
    }
    case Q5_1: {
        uint block = row + u / 2 * 6;
        uint fifth = w.at[block + 1] >> (8 * (u % 2));
        uvec2 four = eight_bytes(w, block + 2 + 2 * (u % 2));
        vec2 d = halves_of(w.at[block]);
        bytes = (uvec4(four, four >> 4) & 0x0f0f0f0f) |
                uvec4(spread(fifth), spread(fifth >> 16)) << 4;
        scale = d.xx;
        minimum = -d.yy;
        break;
    }
    case Q8_0: {
        bytes = uvec4(eight_bytes(w, row + 4 * u), eight_bytes(w, row + 4 * u + 2));
        scale = vec2(half_at(w, 2 * (row + columns / 4) + u / 2));
        minimum = vec2(0);
        break;
    }
    case Q2_K: {
        uint block = row + u / 16 * 21, n = u / 4 % 4, i0 = u % 4, g = 4 * n + i0 / 2;
        uvec2 two = eight_bytes(w, block + 4 + n / 2 * 8 + 2 * i0) >> (4 * (n % 2));
        uvec2 s = uvec2(byte_at(w, block, g), byte_at(w, block, g + 2));
        vec2 d = halves_of(w.at[block + 20]);
        bytes = uvec4(two, two >> 2) & 0x03030303;
        scale = d.x * vec2(s & 15);
        minimum = d.y * vec2(s >> 4);
        break;
    }
    case Q3_K: {
        uint block = row + u / 16 * 28, n = u / 4 % 4, i0 = u % 4, g = 4 * n + i0 / 2;
        uvec2 two = eight_bytes(w, block + 8 + n / 2 * 8 + 2 * i0) >> (4 * (n % 2));
        uvec2 third = eight_bytes(w, block + 2 * i0) >> (2 * n);
        bytes = (uvec4(two, two >> 2) & 0x03030303) |
                (uvec4(third, third >> 1) & 0x01010101) << 2;
        scale = half_to(w.at[block + 27] & 0xffff) *
                vec2(third_scale(w, block + 24, g), third_scale(w, block + 24, g + 2));
        minimum = 4 * scale;
        break;
    }
    case Q4_K:
    case Q5_K: {
        uint block = row + u / 16 * (TYPE == Q4_K ? 36 : 44), n = u / 4 % 4, i0 = u % 4;
        uvec2 four = eight_bytes(w, block + (TYPE == Q4_K ? 4 : 12) + 8 * n + 2 * i0);
        vec2 d = halves_of(w.at[block]);
        vec2 first = d * vec2(six_bit_scales(w, block + 1, 2 * n));
        vec2 second = d * vec2(six_bit_scales(w, block + 1, 2 * n + 1));
        bytes = uvec4(four, four >> 4) & 0x0f0f0f0f;
        if (TYPE == Q5_K) {
            uvec2 fifth = eight_bytes(w, block + 4 + 2 * i0) >> (2 * n);
            bytes |= (uvec4(fifth, fifth >> 1) & 0x01010101) << 4;
        }
        scale = vec2(first.x, second.x);
        minimum = vec2(first.y, second.y);
        break;
    }
    case Q6_K: {
        uint block = row + u / 16 * 53, k = u % 8, upper_half = u / 8 % 2;
        uint low = block + 16 * upper_half + 4 * (k % 4);
        uint high = block + 32 + 8 * upper_half + 4 * (k % 2);
        uvec4 four = uvec4(eight_bytes(w, low), eight_bytes(w, low + 2)) >> (k / 4 * 4);
        uvec4 two = uvec4(eight_bytes(w, high), eight_bytes(w, high + 2)) >> (k / 2 * 2);
        bytes = (four & 0x0f0f0f0f) | (two & 0x03030303) << 4;
        scale = vec2(half_to(w.at[block + 52] & 0xffff) *
                     float(signed_byte(w.at[block + 48 + u % 16 / 4], u % 4)));
        minimum = 32 * scale;
        break;
    }
    default: // not packed
        bytes = uvec4(0);
        scale = minimum = vec2(0);
        break;
    }
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
    default: {
        uvec4 bytes;
        vec2 scale, minimum;
        unpack(w, row, u, columns, bytes, scale, minimum);
        [[unroll]] for (uint i = 0; i < 16; i++) {
            v[i] = scale[i / 8] * float(signed_byte(bytes[i / 4], i % 4)) - minimum[i / 8];
        }
        break;
    }
    }
}
