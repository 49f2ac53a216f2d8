// SPDX-License-Identifier: Apache-2.0
//
// What every shader begins with. There are no descriptors: a dispatch gets the addresses of its
// buffers in the push constants, as references to these.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_control_flow_attributes : require

// A shader whose threads read what others of their workgroup wrote defines COHERENT as coherent.
#ifndef COHERENT
#define COHERENT
#endif

layout(buffer_reference, std430, buffer_reference_align = 4) COHERENT buffer Floats {
    float at[];
};
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Words {
    uint at[];
};
// Activations, four at a time: what they are in begins at a multiple of 16 bytes.
layout(buffer_reference, std430, buffer_reference_align = 16) readonly buffer Quads {
    vec4 at[];
};
