/* SPDX-License-Identifier: Apache-2.0
 *
 * Probing, choosing and opening a device.
 */
#include "engine/vulkan/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEVICES = 16, SHARED_BYTES = 32768 };

/* ---- what a device is ---- */

static void probe_extensions(const struct vulkan *v, struct vulkan_device *d) {
    uint32_t count = 0;
    v->EnumerateDeviceExtensionProperties(d->physical, NULL, &count, NULL);
    VkExtensionProperties *extensions = calloc(count ? count : 1, sizeof *extensions);
    if (extensions && v->EnumerateDeviceExtensionProperties(d->physical, NULL, &count,
                                                            extensions) == VK_SUCCESS) {
        for (uint32_t i = 0; i < count; i++) {
            const char *name = extensions[i].extensionName;
            d->has_budget |= strcmp(name, "VK_EXT_memory_budget") == 0;
            d->cooperative_matrix |= strcmp(name, "VK_KHR_cooperative_matrix") == 0;
            d->integer_dot |= strcmp(name, VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME) == 0;
        }
    }
    free(extensions);
}

static void probe_properties(const struct vulkan *v, struct vulkan_device *d) {
    VkPhysicalDeviceMaintenance3Properties limits = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES};
    VkPhysicalDeviceSubgroupProperties subgroup = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &limits};
    VkPhysicalDeviceShaderIntegerDotProductPropertiesKHR dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_PROPERTIES_KHR,
        .pNext = &subgroup};
    VkPhysicalDeviceProperties2 p = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                     .pNext = d->integer_dot ? (void *)&dot : &subgroup};
    v->GetPhysicalDeviceProperties2(d->physical, &p);
    snprintf(d->name, sizeof d->name, "%s", p.properties.deviceName);
    d->type = p.properties.deviceType;
    d->vendor = p.properties.vendorID;
    d->id = p.properties.deviceID;
    memcpy(d->cache_uuid, p.properties.pipelineCacheUUID, sizeof d->cache_uuid);
    d->shared_bytes = p.properties.limits.maxComputeSharedMemorySize;
    d->subgroup_size = subgroup.subgroupSize;
    d->subgroups = (subgroup.supportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT) &&
                   (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT);
    d->fast_dot = dot.integerDotProduct4x8BitPackedSignedAccelerated;
    d->most_in_allocation = limits.maxMemoryAllocationSize;
    if (p.properties.apiVersion < VK_API_VERSION_1_2) {
        d->lacks = "Vulkan 1.2";
    } else if (d->shared_bytes < SHARED_BYTES) {
        d->lacks = "32 KiB of shared memory";
    } else if (p.properties.limits.maxComputeWorkGroupInvocations < 256) {
        d->lacks = "workgroups of 256 threads";
    }
}

static void probe_features(const struct vulkan *v, struct vulkan_device *d) {
    VkPhysicalDeviceShaderIntegerDotProductFeaturesKHR dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES_KHR};
    VkPhysicalDeviceVulkan12Features f12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .pNext = d->integer_dot ? &dot : NULL};
    VkPhysicalDeviceFeatures2 f = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                   .pNext = &f12};
    v->GetPhysicalDeviceFeatures2(d->physical, &f);
    d->fp16 = f12.shaderFloat16;
    d->integer_dot = dot.shaderIntegerDotProduct;
    if (!f12.bufferDeviceAddress) {
        d->lacks = "buffer device addresses";
    }
}

static bool listed(const char *list, const char *word) {
    const size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += n) {
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n])) {
            return true;
        }
    }
    return false;
}

/* ALLMEM_VULKAN lists what to use of what there is, as ALLMEM_KERNELS names a set of kernels:
 * "subgroups", "dot", or "plain" for neither. Without it dot products of bytes are used where the
 * device has instructions for them: they round activations, which nothing else would make up for.
 */
static void choose_variants(struct vulkan_device *d) {
    const char *list = getenv("ALLMEM_VULKAN");
    d->use_subgroups = d->subgroups && (!list || listed(list, "subgroups"));
    d->use_dot = d->integer_dot && (list ? listed(list, "dot") : d->fast_dot);
}

/* The largest heap of the device's own; integrated ones and processors share the machine's. */
static void probe_memory(const struct vulkan *v, struct vulkan_device *d) {
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 m = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
        .pNext = d->has_budget ? &budget : NULL};
    v->GetPhysicalDeviceMemoryProperties2(d->physical, &m);
    d->heaps = m.memoryProperties;
    for (uint32_t i = 0; i < m.memoryProperties.memoryHeapCount; i++) {
        const VkMemoryHeap *heap = &m.memoryProperties.memoryHeaps[i];
        if ((heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) && heap->size > d->memory) {
            d->memory = heap->size;
            d->free = heap->size;
            if (d->has_budget) {
                uint64_t used = budget.heapUsage[i], may = budget.heapBudget[i];
                d->free = may > used ? may - used : 0;
            }
        }
    }
}

static void probe_queues(const struct vulkan *v, struct vulkan_device *d) {
    VkQueueFamilyProperties families[16];
    uint32_t count = sizeof families / sizeof *families;
    v->GetPhysicalDeviceQueueFamilyProperties(d->physical, &count, families);
    for (uint32_t i = 0; i < count; i++) {
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            d->family = i;
            return;
        }
    }
    d->lacks = "a queue that computes";
}

size_t vulkan_devices(const struct vulkan *v, struct vulkan_device *devices, size_t most,
                      struct error *error) {
    VkPhysicalDevice physical[MOST_DEVICES];
    uint32_t count = most < MOST_DEVICES ? (uint32_t)most : MOST_DEVICES;
    VkResult result = v->EnumeratePhysicalDevices(v->instance, &count, physical);
    if ((result != VK_SUCCESS && result != VK_INCOMPLETE) || count == 0) {
        error_set(error, ERROR_NOT_FOUND, "no Vulkan device here%s%s",
                  result == VK_SUCCESS ? "" : ": ",
                  result == VK_SUCCESS ? "" : vulkan_result(result));
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        devices[i] = (struct vulkan_device){.physical = physical[i]};
        probe_extensions(v, &devices[i]);
        probe_properties(v, &devices[i]);
        if (!devices[i].lacks) {
            probe_features(v, &devices[i]);
        }
        probe_queues(v, &devices[i]);
        probe_memory(v, &devices[i]);
        choose_variants(&devices[i]);
    }
    return count;
}

const char *vulkan_type_name(VkPhysicalDeviceType type) {
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return "discrete GPU";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return "integrated GPU";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return "virtual GPU";
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return "processor";
    default:
        return "other device";
    }
}

/* ---- choosing ---- */

static int worth(VkPhysicalDeviceType type) {
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return 4;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return 3;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return 2;
    default:
        return 1;
    }
}

static double mib(uint64_t bytes) {
    return (double)bytes / (1024 * 1024);
}

int vulkan_choose(const struct vulkan_device *devices, size_t count, unsigned wanted, bool any,
                  uint64_t needed, struct error *error) {
    if (wanted > count) {
        error_set(error, ERROR_USAGE,
                  "option --device: found %u, expected 1 to %zu (allmem doctor lists them)", wanted,
                  count);
        return -1;
    }
    int best = -1;
    error_set(error, ERROR_NOT_FOUND, "no Vulkan device here is a GPU");
    for (size_t i = 0; i < count; i++) {
        const struct vulkan_device *d = &devices[i];
        if (wanted ? wanted != i + 1 : !any && worth(d->type) < 2) {
            continue;
        }
        if (d->lacks) {
            error_set(error, ERROR_FAILURE, "the Vulkan device %s lacks %s", d->name, d->lacks);
        } else if (d->free < needed) {
            error_set(error, ERROR_NO_SPACE,
                      "the Vulkan device %s has %.0f MiB free, this model needs %.0f", d->name,
                      mib(d->free), mib(needed));
        } else if (best < 0 || worth(d->type) > worth(devices[best].type)) {
            best = (int)i;
        }
    }
    return best;
}

/* ---- opening ---- */

bool vulkan_device_open(struct vulkan *v, struct vulkan_device *d, struct error *error) {
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = d->family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const char *const extension = VK_KHR_SHADER_INTEGER_DOT_PRODUCT_EXTENSION_NAME;
    VkPhysicalDeviceShaderIntegerDotProductFeaturesKHR dot = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES_KHR,
        .shaderIntegerDotProduct = VK_TRUE};
    const VkPhysicalDeviceVulkan12Features features = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .pNext = d->use_dot ? &dot : NULL,
        .bufferDeviceAddress = VK_TRUE};
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = &features,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = d->use_dot ? 1 : 0,
                                     .ppEnabledExtensionNames = &extension};
    VkResult result = v->CreateDevice(d->physical, &info, NULL, &v->device);
    if (result != VK_SUCCESS) {
        v->device = NULL;
        return error_set(error, ERROR_FAILURE, "the Vulkan device %s does not open: %s", d->name,
                         vulkan_result(result));
    }
    if (!vulkan_find_device_functions(v, error)) {
        return false;
    }
    v->GetDeviceQueue(v->device, d->family, 0, &d->queue);
    return true;
}
