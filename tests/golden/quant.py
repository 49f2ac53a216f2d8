#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes quant.h: one block of each tensor type and its values, computed by the `gguf` package
(pip install gguf, 0.19). Scales are made finite; all other bytes are random.

    python3 tests/golden/quant.py > tests/golden/quant.h
"""
import gguf
import numpy

SCALES = {  # byte offsets of 16-bit floats in a block
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "F16": [0], "BF16": [], "F32": [],
}


def lines(words, width):
    for i in range(0, len(words), width):
        print("        " + ", ".join(words[i : i + width]) + ",")


random = numpy.random.default_rng(2024)
print("/* SPDX-License-Identifier: Apache-2.0\n *\n * Made by quant.py.\n */\n/* clang-format off */")
print("static const struct golden {\n    enum quant_type type;\n    uint8_t block[256];")
print("    uint32_t values[256]; /* bits of F32 */\n} goldens[] = {")
for name, offsets in SCALES.items():
    kind = gguf.GGMLQuantizationType[name]
    values, size = gguf.GGML_QUANT_SIZES[kind]
    block = random.integers(0, 256, size=size, dtype=numpy.uint8)
    for offset in offsets:
        scale = numpy.array([random.normal()], dtype=numpy.float16)
        block[offset : offset + 2] = scale.view(numpy.uint8)
    if name in ("BF16", "F32"):
        block[-1] = 0x3F
    native = {"F32": numpy.float32, "F16": numpy.float16}.get(name, numpy.uint8)
    result = gguf.dequantize(block.view(native), kind).astype(numpy.float32)
    assert len(result) == values and numpy.isfinite(result).all()
    print("    {\n        QUANT_%s,\n        {" % name)
    lines(["0x%02x" % b for b in block], 16)
    print("        },\n        {")
    lines(["0x%08x" % v for v in result.view(numpy.uint32)], 8)
    print("        },\n    },")
print("};")
