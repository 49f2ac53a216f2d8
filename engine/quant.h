/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensor types: how many values a block holds, how many bytes it takes, and what its values are.
 * quant_row is the definition of every type; each faster kernel is compared with it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers as in GGUF files. */
enum quant_type {
    QUANT_F32 = 0,
    QUANT_F16 = 1,
    QUANT_Q4_0 = 2,
    QUANT_Q4_1 = 3,
    QUANT_Q5_0 = 6,
    QUANT_Q5_1 = 7,
    QUANT_Q8_0 = 8,
    QUANT_Q2_K = 10,
    QUANT_Q3_K = 11,
    QUANT_Q4_K = 12,
    QUANT_Q5_K = 13,
    QUANT_Q6_K = 14,
    QUANT_BF16 = 30,
    QUANT_TYPES = 31, /* one more than the largest number: size of tables indexed by type */
};

struct quant_info {
    const char *name;     /* as in GGUF tools: "Q4_1"; NULL for a number that we do not read */
    uint32_t block;       /* values in a block */
    uint32_t block_bytes; /* bytes of a block */
};

/* NULL for a type that we cannot read. */
const struct quant_info *quant_info(uint32_t type);
/* The name of any type ever used in GGUF files, readable by us or not ("IQ2_XXS"); NULL if never
 * used. */
const char *quant_name(uint32_t type);
/* Bytes of a row of `n` values; `n` must be a multiple of the block. */
size_t quant_row_bytes(enum quant_type type, size_t n);

/* y[0..n) = the values of a row at `row` (any alignment); `n` must be a multiple of the block. */
void quant_row(enum quant_type type, const void *row, float *y, size_t n);

/* Rounds to nearest even, as IEEE 754 does; overflow gives infinity. */
uint16_t quant_f16_of(float v);
float quant_f16_to(uint16_t v);
uint16_t quant_bf16_of(float v);
float quant_bf16_to(uint16_t v);
