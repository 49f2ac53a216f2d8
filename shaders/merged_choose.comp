#version 460
// SPDX-License-Identifier: Apache-2.0
//
// Merges the cheapest pair of points of a head, the second into the first, until `after` are
// left; then lists those and limits the sum of their sizes. A workgroup takes a head. One merge follows
// another, but what belongs to one merge is done by all threads: what the pair costs with the
// others (as in engine/cpu/merge.c), and the nearest other of each point that
// lost its own. Of equal costs the first pair goes.
#extension GL_GOOGLE_include_directive : require
#define COHERENT coherent
#include "lib/memory.glsl"
#include "lib/merged.glsl"

const uint THREADS = 256, LANES = 32; // LANES threads look for one point's nearest
const uint POINTS = 2048 + 192;       // WINDOW_MAX_MERGE + WINDOW_MAX_CHUNK

layout(local_size_x = THREADS) in;

shared float least[POINTS]; // what merging with the nearest costs
shared uint nearest[POINTS];
shared uint list[POINTS], listed; // points that look for their nearest
shared float best[THREADS];
shared uint best_at[THREADS];

void meet() {
    memoryBarrierBuffer();
    barrier();
}

// Each `span` threads' best becomes that of the first of them: the least, and of equals the first.
void join(uint span) {
    uint thread = gl_LocalInvocationIndex;
    for (uint rest = span / 2; rest > 0; rest /= 2) {
        barrier();
        if (thread % span < rest) {
            float other = best[thread + rest];
            uint at = best_at[thread + rest];
            if (other < best[thread] || (other == best[thread] && at < best_at[thread])) {
                best[thread] = other;
                best_at[thread] = at;
            }
        }
    }
    barrier();
}

void find_nearest_of_listed(uint m) {
    uint thread = gl_LocalInvocationIndex, lane = thread % LANES;
    for (uint first = 0; first < listed; first += THREADS / LANES) {
        uint k = first + thread / LANES;
        float cost = NO_PAIR;
        uint at = 0;
        if (k < listed) {
            uint row = (m * count + list[k]) * count;
            for (uint j = lane; j < count; j += LANES) {
                float other = costs.at[row + j];
                at = other < cost ? j : at;
                cost = min(cost, other);
            }
        }
        best[thread] = cost;
        best_at[thread] = at;
        join(LANES);
        if (k < listed && lane == 0) {
            least[list[k]] = best[thread];
            nearest[list[k]] = best_at[thread];
        }
        barrier();
    }
}

void merge_cheapest(uint m) {
    uint thread = gl_LocalInvocationIndex, size = sizes_of(m);
    best[thread] = NO_PAIR;
    best_at[thread] = 0;
    for (uint l = thread; l < count; l += THREADS) {
        if (least[l] < best[thread]) {
            best[thread] = least[l];
            best_at[thread] = l;
        }
    }
    join(THREADS);
    uint i = min(best_at[0], nearest[best_at[0]]), j = max(best_at[0], nearest[best_at[0]]);
    uint row_i = (m * count + i) * count, row_j = (m * count + j) * count;
    float a = sizes.at[size + i], b = sizes.at[size + j], between = costs.at[row_i + j];
    if (thread == 0) {
        listed = 0;
    }
    meet();
    float share = b / (a + b), slack = inversesqrt(a), other_slack = inversesqrt(b);
    float whole_slack = inversesqrt(a + b);
    between *= share * (1 - share) * (slack + other_slack);
    for (uint c = thread; c < 2 * head_dim; c += THREADS) {
        uint to = point_of(m, i) + c;
        points.at[to] = points.at[to] * (1 - share) + share * points.at[point_of(m, j) + c];
    }
    for (uint l = thread; l < count; l += THREADS) {
        uint row = (m * count + l) * count;
        float n = sizes.at[size + l];
        if (l == i) {
            sizes.at[size + i] = a + b;
            costs.at[row + j] = NO_PAIR;
            list[atomicAdd(listed, 1)] = i;
        } else if (l == j) {
            sizes.at[size + j] = 0;
            least[j] = NO_PAIR;
        } else if (n > 0) {
            float own = inversesqrt(n);
            float cost = (1 - share) * (slack + own) * costs.at[row_i + l] +
                         share * (other_slack + own) * costs.at[row_j + l] - between;
            cost = max(cost, 0) / (whole_slack + own);
            costs.at[row_i + l] = cost;
            costs.at[row + i] = cost;
            costs.at[row + j] = NO_PAIR;
            if (nearest[l] == i || nearest[l] == j) {
                list[atomicAdd(listed, 1)] = l;
            } else if (cost < least[l]) {
                nearest[l] = i;
                least[l] = cost;
            }
        }
    }
    meet();
    find_nearest_of_listed(m);
}

// A thread takes points that follow each other.
void list_left(uint m) {
    uint thread = gl_LocalInvocationIndex, size = sizes_of(m);
    uint each = (count + THREADS - 1) / THREADS;
    uint first = min(thread * each, count), end = min(first + each, count), living = 0;
    float sum = 0;
    for (uint l = first; l < end; l++) {
        float n = sizes.at[size + l];
        living += n > 0 ? 1 : 0;
        sum += n;
    }
    best[thread] = sum;
    best_at[thread] = living;
    for (uint step = 1; step < THREADS; step *= 2) { // sums of all threads up to this one
        barrier();
        float sum_before = thread >= step ? best[thread - step] : 0;
        uint living_before = thread >= step ? best_at[thread - step] : 0;
        barrier();
        best[thread] += sum_before;
        best_at[thread] += living_before;
    }
    barrier();
    float total = best[THREADS - 1];
    uint to = best_at[thread] - living, all = best_at[THREADS - 1];
    for (uint l = first; l < end; l++) {
        float n = sizes.at[size + l];
        if (n > 0 && to < after) {
            n = total > limit ? max(n * (limit / total), LEAST_COUNT) : n;
            left.at[m * most + to] = l;
            counts.at[m * most + to] = n;
            weights.at[m * most + to] = log(n);
            to++;
        }
    }
    // A saved state whose costs are no numbers may leave less.
    for (uint l = all + thread; l < after; l += THREADS) {
        left.at[m * most + l] = 0;
    }
}

void main() {
    uint m = gl_WorkGroupID.x, thread = gl_LocalInvocationIndex;
    if (count > after) {
        for (uint l = thread; l < count; l += THREADS) {
            list[l] = l;
        }
        if (thread == 0) {
            listed = count;
        }
        barrier();
        find_nearest_of_listed(m);
        for (uint points_left = count; points_left > after; points_left--) {
            merge_cheapest(m);
        }
    }
    list_left(m);
}
