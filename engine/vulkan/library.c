/* SPDX-License-Identifier: Apache-2.0
 *
 * libvulkan by dlopen, its functions by name.
 */
#include "engine/vulkan/library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

static const uint32_t API_VERSION = VK_API_VERSION_1_2;

static bool find_instance_functions(struct vulkan *v, struct error *error) {
#define FIND(name)                                                                                 \
    v->name = (PFN_vk##name)v->GetInstanceProcAddr(v->instance, "vk" #name);                       \
    if (!v->name) {                                                                                \
        return error_set(error, ERROR_FAILURE, "the Vulkan library lacks vk" #name);               \
    }
    VULKAN_INSTANCE_FUNCTIONS(FIND)
#undef FIND
    return true;
}

bool vulkan_find_device_functions(struct vulkan *v, struct error *error) {
#define FIND(name)                                                                                 \
    v->name = (PFN_vk##name)v->GetDeviceProcAddr(v->device, "vk" #name);                           \
    if (!v->name) {                                                                                \
        return error_set(error, ERROR_FAILURE, "the Vulkan driver lacks vk" #name);                \
    }
    VULKAN_DEVICE_FUNCTIONS(FIND)
#undef FIND
    return true;
}

static bool create_instance(struct vulkan *v, struct error *error) {
    PFN_vkEnumerateInstanceVersion version_of =
        (PFN_vkEnumerateInstanceVersion)v->GetInstanceProcAddr(NULL, "vkEnumerateInstanceVersion");
    PFN_vkCreateInstance create =
        (PFN_vkCreateInstance)v->GetInstanceProcAddr(NULL, "vkCreateInstance");
    uint32_t version = VK_API_VERSION_1_0;
    if (!create || (version_of && version_of(&version) != VK_SUCCESS) || version < API_VERSION) {
        return error_set(error, ERROR_NOT_FOUND,
                         "the Vulkan library is of version %u.%u, expected 1.2 or later",
                         VK_API_VERSION_MAJOR(version), VK_API_VERSION_MINOR(version));
    }
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .pApplicationName = "allmem",
                                           .apiVersion = API_VERSION};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &application};
    VkResult result = create(&info, NULL, &v->instance);
    if (result != VK_SUCCESS) {
        v->instance = NULL;
        return error_set(error, ERROR_NOT_FOUND, "no Vulkan driver: %s", vulkan_result(result));
    }
    return true;
}

static bool load(struct vulkan *v, struct error *error) {
    *v = (struct vulkan){0};
    v->library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!v->library) {
        return error_set(error, ERROR_NOT_FOUND, "no Vulkan library (libvulkan.so.1) here");
    }
    /* A function's address by way of a data pointer, as POSIX allows and ISO C does not. */
    void *found = dlsym(v->library, "vkGetInstanceProcAddr");
    memcpy(&v->GetInstanceProcAddr, &found, sizeof found);
    if (!found) {
        error_set(error, ERROR_FAILURE, "libvulkan.so.1 has no vkGetInstanceProcAddr");
    } else if (create_instance(v, error) && find_instance_functions(v, error)) {
        return true;
    }
    if (v->instance && v->DestroyInstance) {
        v->DestroyInstance(v->instance, NULL);
    }
    dlclose(v->library);
    *v = (struct vulkan){0};
    return false;
}

/* Drivers lose memory each time that they are loaded and let go, so they are loaded once. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct vulkan loaded; /* zeroed until then */

bool vulkan_open(struct vulkan *v, struct error *error) {
    pthread_mutex_lock(&lock);
    bool ok = loaded.instance || load(&loaded, error);
    *v = loaded;
    pthread_mutex_unlock(&lock);
    return ok;
}

const char *vulkan_result(VkResult result) {
    switch (result) {
    case VK_SUCCESS:
        return "VK_SUCCESS";
    case VK_TIMEOUT:
        return "VK_TIMEOUT";
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return "VK_ERROR_OUT_OF_HOST_MEMORY";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return "VK_ERROR_OUT_OF_DEVICE_MEMORY";
    case VK_ERROR_INITIALIZATION_FAILED:
        return "VK_ERROR_INITIALIZATION_FAILED";
    case VK_ERROR_DEVICE_LOST:
        return "VK_ERROR_DEVICE_LOST";
    case VK_ERROR_MEMORY_MAP_FAILED:
        return "VK_ERROR_MEMORY_MAP_FAILED";
    case VK_ERROR_LAYER_NOT_PRESENT:
        return "VK_ERROR_LAYER_NOT_PRESENT";
    case VK_ERROR_INCOMPATIBLE_DRIVER:
        return "VK_ERROR_INCOMPATIBLE_DRIVER";
    case VK_ERROR_TOO_MANY_OBJECTS:
        return "VK_ERROR_TOO_MANY_OBJECTS";
    default:
        return "an error of Vulkan";
    }
}
