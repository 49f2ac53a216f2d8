/* SPDX-License-Identifier: Apache-2.0
 *
 * In the place of the Vulkan backend where the build found no glslc or no Vulkan headers.
 */
#include "engine/backend.h"

struct backend *vulkan_backend_create(const struct vulkan_options *o, struct error *error) {
    (void)o;
    error_set(error, ERROR_NOT_FOUND, "this program was built without Vulkan");
    return NULL;
}

size_t vulkan_list_devices(struct engine_device *devices, size_t most, struct error *error) {
    (void)devices, (void)most;
    error_set(error, ERROR_NOT_FOUND, "this program was built without Vulkan");
    return 0;
}

const char *vulkan_device_name(const struct backend *b) {
    (void)b;
    return NULL;
}
