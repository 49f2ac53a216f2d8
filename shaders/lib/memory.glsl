// SPDX-License-Identifier: Apache-2.0
//
// What every shader begins with. There are no descriptors: a dispatch gets the addresses of its
// buffers in the push constants, as references to these.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_control_flow_attributes : require

layout(buffer_reference, std430, buffer_reference_align = 4) buffer Floats {
    float at[];
};
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Words {
    uint at[];
};
