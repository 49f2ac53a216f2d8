/* SPDX-License-Identifier: Apache-2.0
 *
 * The Vulkan devices of the machine: what they are, which one to take, and the one queue on it.
 */
#pragma once

#include "engine/vulkan/library.h"

struct vulkan_device {
    VkPhysicalDevice physical;
    uint32_t family; /* of queues that compute */
    VkQueue queue;
    char name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];
    VkPhysicalDeviceType type;
    uint32_t vendor, id;
    uint8_t cache_uuid[VK_UUID_SIZE]; /* changes with the driver */
    uint64_t memory, free;            /* bytes of its own heap; free = memory where not known */
    const char *lacks;                /* what we need and it has not, or NULL */
    /* What it offers beyond that. The last two are only told to the user. */
    bool has_budget, subgroups, integer_dot, fast_dot, fp16, cooperative_matrix;
    bool use_subgroups, use_dot; /* which variants of shaders run: see choose_variants */
    uint32_t subgroup_size, shared_bytes;
    VkDeviceSize most_in_allocation;
    VkPhysicalDeviceMemoryProperties heaps;
};

/* Describes up to `most` devices in the driver's order, which is that of --device; returns how many
 * there are (at most `most`), 0 with an error if none. */
size_t vulkan_devices(const struct vulkan *v, struct vulkan_device *devices, size_t most,
                      struct error *error);

/* The index of the device to take: number `wanted` from 1, or for 0 the best of those with `needed`
 * bytes free: discrete before integrated before virtual ones, and one that is a processor only with
 * `any`. -1 with an error if there is none. */
int vulkan_choose(const struct vulkan_device *devices, size_t count, unsigned wanted, bool any,
                  uint64_t needed, struct error *error);

/* Makes v->device and its queue. */
bool vulkan_device_open(struct vulkan *v, struct vulkan_device *d, struct error *error);

const char *vulkan_type_name(VkPhysicalDeviceType type); /* "discrete GPU" */
