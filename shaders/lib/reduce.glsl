// SPDX-License-Identifier: Apache-2.0
//
// Sums and maxima over a workgroup of THREADS (a power of two): through subgroups where the device has their
// arithmetic (compiled with SUBGROUPS), else through shared memory alone.
#ifdef SUBGROUPS
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif

shared float reduce_parts[THREADS];

// Parts 0..count-1 of the workgroup, joined by + or by the larger one.
float join_parts(uint count, bool larger) {
    uint thread = gl_LocalInvocationIndex;
    barrier();
    for (uint rest = (count + 1) / 2; count > 1; rest = (count + 1) / 2) {
        if (thread + rest < count) {
            float a = reduce_parts[thread], b = reduce_parts[thread + rest];
            reduce_parts[thread] = larger ? max(a, b) : a + b;
        }
        count = rest;
        barrier();
    }
    float joined = reduce_parts[0];
    barrier();
    return joined;
}

float workgroup_sum(float v) {
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

float workgroup_max(float v) {
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
