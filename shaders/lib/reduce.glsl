// SPDX-License-Identifier: Apache-2.0
//
// Sums and maxima, four at a time, over a workgroup of THREADS (a power of two): through subgroups where the device has their
// arithmetic (compiled with SUBGROUPS), else through shared memory alone.
#ifdef SUBGROUPS
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif

shared vec4 reduce_parts[THREADS];

// Parts 0..count-1 of the workgroup, joined by + or by the larger one.
vec4 join_parts(uint count, bool larger) {
    uint thread = gl_LocalInvocationIndex;
    barrier();
    for (uint rest = (count + 1) / 2; count > 1; rest = (count + 1) / 2) {
        if (thread + rest < count) {
            vec4 a = reduce_parts[thread], b = reduce_parts[thread + rest];
            reduce_parts[thread] = larger ? max(a, b) : a + b;
        }
        count = rest;
        barrier();
    }
    vec4 joined = reduce_parts[0];
    barrier();
    return joined;
}

vec4 workgroup_sums(vec4 v) {
#ifdef SUBGROUPS
    v = subgroupAdd(v);
    if (subgroupElect()) {
        reduce_parts[gl_SubgroupID] = v;
    }
    return join_parts(gl_NumSubgroups, false);
#else
    reduce_parts[gl_LocalInvocationIndex] = v;
    return join_parts(THREADS, false);
#endif
}

vec4 workgroup_maxima(vec4 v) {
#ifdef SUBGROUPS
    v = subgroupMax(v);
    if (subgroupElect()) {
        reduce_parts[gl_SubgroupID] = v;
    }
    return join_parts(gl_NumSubgroups, true);
#else
    reduce_parts[gl_LocalInvocationIndex] = v;
    return join_parts(THREADS, true);
#endif
}

float workgroup_sum(float v) {
    return workgroup_sums(vec4(v, 0, 0, 0)).x;
}
