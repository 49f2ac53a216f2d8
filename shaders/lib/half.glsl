// SPDX-License-Identifier: Apache-2.0
//
// IEEE binary16 by integer arithmetic, as engine/quant.c does it: exact on every device, whatever
// it does with subnormal numbers, and rounding to nearest even.

float half_to(uint h) {
    uint exponent = h >> 10 & 0x1f, mantissa = h & 0x3ff, sign = (h & 0x8000) << 16;
    if (exponent == 0) {
        float small = float(mantissa) * 5.9604644775390625e-8; // 2^-24
        return sign != 0 ? -small : small;
    }
    exponent = exponent == 31 ? 255 : exponent + 112;
    return uintBitsToFloat(sign | exponent << 23 | mantissa << 13);
}

uint half_of(float v) {
    uint bits = floatBitsToUint(v), sign = bits >> 16 & 0x8000, u = bits & 0x7fffffff;
    if (u > 0x7f800000) {
        return sign | 0x7e00;
    }
    if (u >= 0x47800000) { // 2^16
        return sign | 0x7c00;
    }
    if (u < 0x38800000) { // 2^-14
        float sum = uintBitsToFloat(u) + 0.5;
        return sign | (floatBitsToUint(sum) - 0x3f000000);
    }
    u += 0xfff + (u >> 13 & 1);
    return sign | ((u >> 13) - (112 << 10));
}

// Value `i` of an array of binary16 that begins at an even index of `w`.
float half_at(Words w, uint i) {
    return half_to(w.at[i / 2] >> (i % 2 * 16) & 0xffff);
}

vec2 halves_of(uint word) {
    return vec2(half_to(word & 0xffff), half_to(word >> 16));
}

uint pack_halves(float a, float b) {
    return half_of(a) | half_of(b) << 16;
}
