/* SPDX-License-Identifier: Apache-2.0
 *
 * The tensor types of GGUF files and the values of their blocks. A block of the simple types holds
 * 32 values under one 16-bit scale; a block of the _K types holds 256 values in groups of 16 or 32,
 * each group with a small integer scale (and minimum) under the block's 16-bit ones.
 */
#include "engine/quant.h"

#include <assert.h>
#include <string.h>

static const struct quant_info infos[QUANT_TYPES] = {
    [QUANT_F32] = {"F32", 1, 4},       [QUANT_F16] = {"F16", 1, 2},
    [QUANT_BF16] = {"BF16", 1, 2},     [QUANT_Q4_0] = {"Q4_0", 32, 18},
    [QUANT_Q4_1] = {"Q4_1", 32, 20},   [QUANT_Q5_0] = {"Q5_0", 32, 22},
    [QUANT_Q5_1] = {"Q5_1", 32, 24},   [QUANT_Q8_0] = {"Q8_0", 32, 34},
    [QUANT_Q2_K] = {"Q2_K", 256, 84},  [QUANT_Q3_K] = {"Q3_K", 256, 110},
    [QUANT_Q4_K] = {"Q4_K", 256, 144}, [QUANT_Q5_K] = {"Q5_K", 256, 176},
    [QUANT_Q6_K] = {"Q6_K", 256, 210},
};

/* Every number that was ever given to a type, so that an error can name it. */
static const char *const names[] = {
    "F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
    "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
    "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
    "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
    "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
    "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",    "NVFP4",    "Q1_0",
    "Q2_0",
};

const struct quant_info *quant_info(uint32_t type) {
    return type < QUANT_TYPES && infos[type].name ? &infos[type] : NULL;
}

const char *quant_name(uint32_t type) {
    return type < sizeof names / sizeof *names ? names[type] : NULL;
}

size_t quant_row_bytes(enum quant_type type, size_t n) {
    const struct quant_info *info = quant_info(type);
    assert(info && n % info->block == 0);
    return n / info->block * info->block_bytes;
}

static uint32_t bits_of(float v) {
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static float of_bits(uint32_t u) {
    float v;
    memcpy(&v, &u, sizeof v);
    return v;
}

uint16_t quant_f16_of(float v) {
    uint32_t sign = bits_of(v) >> 16 & 0x8000, u = bits_of(v) & 0x7fffffff;
    if (u > 0x7f800000) {
        return (uint16_t)(sign | 0x7e00 | (u >> 13 & 0x3ff)); /* not a number, and quiet */
    }
    if (u >= 0x47800000) { /* 2^16: beyond the largest value, which is 65504 */
        return (uint16_t)(sign | 0x7c00);
    }
    if (u < 0x38800000) { /* 2^-14: steps of 2^-24, which are those of floats around 0.5 */
        return (uint16_t)(sign | (bits_of(of_bits(u) + 0.5f) - bits_of(0.5f)));
    }
    u += 0xfff + (u >> 13 & 1);
    return (uint16_t)(sign | ((u >> 13) - (112 << 10))); /* exponent bias 127 -> 15 */
}

float quant_f16_to(uint16_t v) {
    uint32_t sign = (uint32_t)(v & 0x8000) << 16, exponent = v >> 10 & 0x1f, mantissa = v & 0x3ff;
    if (exponent == 0) {
        return of_bits(sign | bits_of((float)mantissa * 0x1p-24f));
    }
    exponent = exponent == 0x1f ? 0xff : exponent + 112;
    return of_bits(sign | exponent << 23 | mantissa << 13);
}

uint16_t quant_bf16_of(float v) {
    uint32_t u = bits_of(v);
    if ((u & 0x7fffffff) > 0x7f800000) {
        return (uint16_t)(u >> 16 | 0x40); /* not a number, and quiet */
    }
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float quant_bf16_to(uint16_t v) {
    return of_bits((uint32_t)v << 16);
}

static uint16_t u16_at(const uint8_t *b) {
    return (uint16_t)(b[0] | b[1] << 8);
}

static uint32_t u32_at(const uint8_t *b) {
    return (uint32_t)u16_at(b) | (uint32_t)u16_at(b + 2) << 16;
}

static float f16_at(const uint8_t *b) {
    return quant_f16_to(u16_at(b));
}

/* Each block_* writes the values of the block at `b`. The comment gives the fields of the block,
 * in order, with their sizes in bytes. */

static void block_f32(const uint8_t *b, float *y) {
    *y = of_bits(u32_at(b));
}

static void block_f16(const uint8_t *b, float *y) {
    *y = f16_at(b);
}

static void block_bf16(const uint8_t *b, float *y) {
    *y = quant_bf16_to(u16_at(b));
}

/* scale 2, nibbles 16: low ones are values 0..15, high ones 16..31; value = (nibble - 8) * scale */
static void block_q4_0(const uint8_t *b, float *y) {
    float d = f16_at(b);
    const uint8_t *q = b + 2;
    for (int i = 0; i < 16; i++) {
        y[i] = (float)((q[i] & 15) - 8) * d;
        y[i + 16] = (float)((q[i] >> 4) - 8) * d;
    }
}

/* scale 2, minimum 2, nibbles 16; value = nibble * scale + minimum */
static void block_q4_1(const uint8_t *b, float *y) {
    float d = f16_at(b), m = f16_at(b + 2);
    const uint8_t *q = b + 4;
    for (int i = 0; i < 16; i++) {
        y[i] = (float)(q[i] & 15) * d + m;
        y[i + 16] = (float)(q[i] >> 4) * d + m;
    }
}

/* The 5-bit value `i` of 32: low four bits as in Q4_0, the fifth in bit `i` of `high`. */
static int five_bits(const uint8_t *q, uint32_t high, int i) {
    int low = i < 16 ? q[i] & 15 : q[i - 16] >> 4;
    return low | (int)(high >> i & 1) << 4;
}

/* scale 2, fifth bits 4, nibbles 16; value = (q - 16) * scale */
static void block_q5_0(const uint8_t *b, float *y) {
    float d = f16_at(b);
    uint32_t high = u32_at(b + 2);
    for (int i = 0; i < 32; i++) {
        y[i] = (float)(five_bits(b + 6, high, i) - 16) * d;
    }
}

/* scale 2, minimum 2, fifth bits 4, nibbles 16; value = q * scale + minimum */
static void block_q5_1(const uint8_t *b, float *y) {
    float d = f16_at(b), m = f16_at(b + 2);
    uint32_t high = u32_at(b + 4);
    for (int i = 0; i < 32; i++) {
        y[i] = (float)five_bits(b + 8, high, i) * d + m;
    }
}

/* scale 2, signed bytes 32 */
static void block_q8_0(const uint8_t *b, float *y) {
    float d = f16_at(b);
    for (int i = 0; i < 32; i++) {
        y[i] = (float)(int8_t)b[2 + i] * d;
    }
}

/* Of the 2-bit values of Q2_K and Q3_K, value i is in byte (i / 128) * 32 + i % 32, at bit
 * 2 * (i / 32 % 4). */
static int two_bits(const uint8_t *q, int i) {
    return q[i / 128 * 32 + i % 32] >> (2 * (i / 32 % 4)) & 3;
}

/* groups of 16: scale and minimum nibbles 16, 2-bit values 64, scale 2, minimum 2 */
static void block_q2_k(const uint8_t *b, float *y) {
    const uint8_t *scales = b, *q = b + 16;
    float d = f16_at(b + 80), m = f16_at(b + 82);
    for (int i = 0; i < 256; i++) {
        int s = scales[i / 16];
        y[i] = d * (float)(s & 15) * (float)two_bits(q, i) - m * (float)(s >> 4);
    }
}

/* groups of 16: third bits 32, 2-bit values 64, 6-bit scales 12, scale 2. Bit i / 32 of third-bit
 * byte i % 32 belongs to value i. */
static void block_q3_k(const uint8_t *b, float *y) {
    const uint8_t *third = b, *q = b + 32, *scales = b + 96;
    float d = f16_at(b + 108);
    for (int g = 0; g < 16; g++) {
        int low = g < 8 ? scales[g] & 15 : scales[g - 8] >> 4;
        int high = scales[8 + g % 4] >> (2 * (g / 4)) & 3;
        float scale = d * (float)((low | high << 4) - 32);
        for (int i = 16 * g; i < 16 * g + 16; i++) {
            int bit = third[i % 32] >> (i / 32) & 1;
            y[i] = scale * (float)(two_bits(q, i) + 4 * bit - 4);
        }
    }
}

/* Scale and minimum (6 bits each) of group `g` of the 8 of Q4_K and Q5_K, packed in 12 bytes: the
 * last four groups have their low bits in bytes 8..11 and their high bits atop bytes 0..7. */
static void six_bit_scales(const uint8_t *packed, int g, int *scale, int *minimum) {
    if (g < 4) {
        *scale = packed[g] & 63;
        *minimum = packed[g + 4] & 63;
    } else {
        *scale = (packed[g + 4] & 15) | packed[g - 4] >> 6 << 4;
        *minimum = packed[g + 4] >> 4 | packed[g] >> 6 << 4;
    }
}

/* Groups of 32. Nibbles: groups 2n and 2n + 1 are the low and high ones of bytes 32n..32n+31.
 * `fifth` has in bit g of byte i the top bit of value i of group g; NULL for 4-bit values. */
static void block_q45_k(const uint8_t *b, const uint8_t *fifth, const uint8_t *nibbles, float *y) {
    for (int g = 0; g < 8; g++) {
        int scale, minimum;
        six_bit_scales(b + 4, g, &scale, &minimum);
        float d = f16_at(b) * (float)scale, m = f16_at(b + 2) * (float)minimum;
        for (int i = 0; i < 32; i++) {
            int q = nibbles[g / 2 * 32 + i] >> (4 * (g % 2)) & 15;
            if (fifth) {
                q |= (fifth[i] >> g & 1) << 4;
            }
            y[32 * g + i] = d * (float)q - m;
        }
    }
}

/* scale 2, minimum 2, 6-bit scales and minima 12, nibbles 128 */
static void block_q4_k(const uint8_t *b, float *y) {
    block_q45_k(b, NULL, b + 16, y);
}

/* scale 2, minimum 2, 6-bit scales and minima 12, fifth bits 32, nibbles 128 */
static void block_q5_k(const uint8_t *b, float *y) {
    block_q45_k(b, b + 16, b + 48, y);
}

/* groups of 16: nibbles 128, upper two bits 64, signed scales 16, scale 2. Each half of 128 values
 * has 64 bytes of nibbles (low ones first) and 32 of upper bits. */
static void block_q6_k(const uint8_t *b, float *y) {
    const int8_t *scales = (const int8_t *)b + 192;
    float d = f16_at(b + 208);
    for (int i = 0; i < 256; i++) {
        int half = i / 128, k = i % 128;
        int low = b[half * 64 + k % 64] >> (4 * (k / 64)) & 15;
        int high = b[128 + half * 32 + k % 32] >> (2 * (k / 32)) & 3;
        y[i] = d * (float)scales[i / 16] * (float)((low | high << 4) - 32);
    }
}

void quant_row(enum quant_type type, const void *row, float *y, size_t n) {
    static void (*const blocks[QUANT_TYPES])(const uint8_t *b, float *y) = {
        [QUANT_F32] = block_f32,   [QUANT_F16] = block_f16,   [QUANT_BF16] = block_bf16,
        [QUANT_Q4_0] = block_q4_0, [QUANT_Q4_1] = block_q4_1, [QUANT_Q5_0] = block_q5_0,
        [QUANT_Q5_1] = block_q5_1, [QUANT_Q8_0] = block_q8_0, [QUANT_Q2_K] = block_q2_k,
        [QUANT_Q3_K] = block_q3_k, [QUANT_Q4_K] = block_q4_k, [QUANT_Q5_K] = block_q5_k,
        [QUANT_Q6_K] = block_q6_k,
    };
    const struct quant_info *info = quant_info(type);
    assert(info && n % info->block == 0);
    const uint8_t *b = row;
    for (size_t i = 0; i < n; i += info->block, b += info->block_bytes) {
        blocks[type](b, y + i);
    }
}
