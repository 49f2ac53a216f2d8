// SPDX-License-Identifier: Apache-2.0
//
// Products of packed bytes, four at a time (SPV_KHR_integer_dot_product), and activations rounded
// to bytes for them.
#extension GL_EXT_spirv_intrinsics : require

// OpSDotKHR with capabilities DotProduct and DotProductInput4x8BitPacked. `form` 0: four bytes in a
// word.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019],
                  id = 4450) int packed_dot(uint a, uint b, spirv_literal int form);

int dot_bytes(uint a, uint b) {
    return packed_dot(a, b, 0);
}

int sum_of_bytes(uint a) {
    return packed_dot(a, 0x01010101, 0);
}

float largest(vec4 v) {
    v = abs(v);
    return max(max(v.x, v.y), max(v.z, v.w));
}

// Values of which none is larger than `most` are most / 127 times these bytes.
uint rounded(vec4 v, float most) {
    return packSnorm4x8(most > 0 ? v / most : vec4(0));
}
