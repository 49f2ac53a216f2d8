// SPDX-License-Identifier: Apache-2.0
//
// Sums over a workgroup of THREADS (a power of two): through subgroups where the device has their
// arithmetic (compiled with SUBGROUPS), else through shared memory alone.
#ifdef SUBGROUPS
#extension GL_KHR_shader_subgroup_arithmetic : require
#endif

shared float reduce_parts[THREADS];

float workgroup_sum(float v) {
    uint count = THREADS;
    uint thread = gl_LocalInvocationIndex;
#ifdef SUBGROUPS
    v = subgroupAdd(v);
    count = gl_NumSubgroups;
    if (subgroupElect()) {
        reduce_parts[gl_SubgroupID] = v;
    }
    barrier();
    if (count <= 8) { // few: everybody adds them
        float sum = 0;
        for (uint i = 0; i < count; i++) {
            sum += reduce_parts[i];
        }
        barrier();
        return sum;
    }
#else
    reduce_parts[thread] = v;
    barrier();
#endif
    for (uint half_count = (count + 1) / 2; count > 1; half_count = (count + 1) / 2) {
        if (thread + half_count < count) {
            reduce_parts[thread] += reduce_parts[thread + half_count];
        }
        count = half_count;
        barrier();
    }
    float sum = reduce_parts[0];
    barrier();
    return sum;
}
