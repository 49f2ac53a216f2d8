/* SPDX-License-Identifier: Apache-2.0
 *
 * A Vulkan layer under which a device fails: with ALLMEM_FAULT=submit:N the device is lost at the
 * submission after the N-th, with wait:N at the wait after the N-th, with memory:N there is none
 * after the N-th allocation. For one instance and one device at a time.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define VK_NO_PROTOTYPES
#include <vulkan/vk_layer.h>

static PFN_vkGetInstanceProcAddr next_instance_function;
static PFN_vkGetDeviceProcAddr next_device_function;
static PFN_vkQueueSubmit next_submit;
static PFN_vkWaitForFences next_wait;
static PFN_vkAllocateMemory next_allocate;
static VkInstance instance;

/* Is this call of its kind to fail? */
static bool fails(const char *kind, atomic_long *calls) {
    const char *fault = getenv("ALLMEM_FAULT");
    const size_t n = strlen(kind);
    return fault && strncmp(fault, kind, n) == 0 && fault[n] == ':' &&
           atomic_fetch_add(calls, 1) >= atol(fault + n + 1);
}

static VKAPI_ATTR VkResult VKAPI_CALL submit(VkQueue queue, uint32_t count,
                                             const VkSubmitInfo *submits, VkFence fence) {
    static atomic_long calls;
    return fails("submit", &calls) ? VK_ERROR_DEVICE_LOST
                                   : next_submit(queue, count, submits, fence);
}

static VKAPI_ATTR VkResult VKAPI_CALL wait_for(VkDevice device, uint32_t count,
                                               const VkFence *fences, VkBool32 all,
                                               uint64_t timeout) {
    static atomic_long calls;
    const VkResult result = next_wait(device, count, fences, all, timeout);
    return fails("wait", &calls) ? VK_ERROR_DEVICE_LOST : result;
}

static VKAPI_ATTR VkResult VKAPI_CALL allocate(VkDevice device, const VkMemoryAllocateInfo *info,
                                               const VkAllocationCallbacks *callbacks,
                                               VkDeviceMemory *memory) {
    static atomic_long calls;
    return fails("memory", &calls) ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                                   : next_allocate(device, info, callbacks, memory);
}

/* The loader's link to the layer below, in the chain of what a create function gets. */
static void *chain_link(const void *chain, VkStructureType type) {
    for (const VkBaseInStructure *at = chain; at; at = at->pNext) {
        /* Both chain structs begin alike. */
        if (at->sType == type &&
            ((const VkLayerInstanceCreateInfo *)at)->function == VK_LAYER_LINK_INFO) {
            return (void *)at;
        }
    }
    return NULL;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
                                                      const VkAllocationCallbacks *callbacks,
                                                      VkInstance *made) {
    VkLayerInstanceCreateInfo *link =
        chain_link(info->pNext, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
    if (!link) {
        return VK_ERROR_INITIALIZATION_FAILED;
    }
    next_instance_function = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    PFN_vkCreateInstance create =
        (PFN_vkCreateInstance)next_instance_function(NULL, "vkCreateInstance");
    const VkResult result = create(info, callbacks, made);
    instance = result == VK_SUCCESS ? *made : NULL;
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL create_device(VkPhysicalDevice physical,
                                                    const VkDeviceCreateInfo *info,
                                                    const VkAllocationCallbacks *callbacks,
                                                    VkDevice *device) {
    VkLayerDeviceCreateInfo *link =
        chain_link(info->pNext, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
    if (!link) {
        return VK_ERROR_INITIALIZATION_FAILED;
    }
    next_device_function = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    PFN_vkGetInstanceProcAddr find = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    PFN_vkCreateDevice create = (PFN_vkCreateDevice)find(instance, "vkCreateDevice");
    const VkResult result = create(physical, info, callbacks, device);
    if (result == VK_SUCCESS) {
        next_submit = (PFN_vkQueueSubmit)next_device_function(*device, "vkQueueSubmit");
        next_wait = (PFN_vkWaitForFences)next_device_function(*device, "vkWaitForFences");
        next_allocate = (PFN_vkAllocateMemory)next_device_function(*device, "vkAllocateMemory");
    }
    return result;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_function(VkDevice device, const char *name);
static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL instance_function(VkInstance of, const char *name);

static PFN_vkVoidFunction own(const char *name) {
    const struct {
        const char *name;
        PFN_vkVoidFunction function;
    } functions[] = {
        {"vkCreateInstance", (PFN_vkVoidFunction)create_instance},
        {"vkGetInstanceProcAddr", (PFN_vkVoidFunction)instance_function},
        {"vkCreateDevice", (PFN_vkVoidFunction)create_device},
        {"vkGetDeviceProcAddr", (PFN_vkVoidFunction)device_function},
        {"vkQueueSubmit", (PFN_vkVoidFunction)submit},
        {"vkWaitForFences", (PFN_vkVoidFunction)wait_for},
        {"vkAllocateMemory", (PFN_vkVoidFunction)allocate},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strcmp(name, functions[i].name) == 0) {
            return functions[i].function;
        }
    }
    return NULL;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL device_function(VkDevice device, const char *name) {
    PFN_vkVoidFunction found = own(name);
    return found ? found : next_device_function(device, name);
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL instance_function(VkInstance of, const char *name) {
    PFN_vkVoidFunction found = own(name);
    return found ? found : next_instance_function(of, name);
}

VK_LAYER_EXPORT VKAPI_ATTR VkResult VKAPI_CALL
vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *version) {
    version->loaderLayerInterfaceVersion = 2;
    version->pfnGetInstanceProcAddr = instance_function;
    version->pfnGetDeviceProcAddr = device_function;
    version->pfnGetPhysicalDeviceProcAddr = NULL;
    return VK_SUCCESS;
}
