/* SPDX-License-Identifier: Apache-2.0
 *
 * The set for AVX-512 with VNNI and BF16 (Intel since Sapphire Rapids, AMD since Zen 4).
 */
#include "engine/cpu/kernels_sets.h"
#include "engine/cpu/simd_avx512.h"

#include "engine/cpu/simd_batch_bf16.h"

#include "engine/cpu/simd_set.h"

static bool runs_here(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("avx2") &&
           __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

const struct kernels kernels_avx512bf16 = {
    .name = "avx512bf16",
    .runs_here = runs_here,
    .batch = {batch_packed_bytes, batch_pack, batch_multiply, product_scratch_bytes},
    .single = {single_packed_bytes, single_pack, single_multiply, product_scratch_bytes},
    .scores = scores,
    .mix = mix,
    .attention_scratch_bytes = attention_scratch_bytes,
    .softmax = softmax,
    .gemm = gemm,
    .rms_norm = rms_norm,
    .silu_mul = silu_mul,
    .swiglu_back = swiglu_back,
    .exp = exp_limited,
    .add = add,
    .add_scaled = add_scaled,
    .scale = scale,
    .square_sum = square_sum,
    .least = least,
    .pair_costs = pair_costs,
    .merged_costs = merged_costs,
    .now_nearer = now_nearer,
    .to_f16 = to_f16,
    .from_f16 = from_f16,
};
