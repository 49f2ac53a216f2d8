/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of the device, in spans of a few large blocks: drivers limit the number of allocations. A
 * block is one VkBuffer with one address; its spans are a list in order of their offsets, free ones
 * among them.
 */
#pragma once

#include "engine/vulkan/device.h"

struct vulkan_block;

struct vulkan_span {
    struct vulkan_block *block;
    VkDeviceSize offset, bytes; /* in the block's buffer; multiples of 256 */
    bool free;
    struct vulkan_span *before, *after;
};

struct vulkan_allocator {
    const struct vulkan *v;
    const struct vulkan_device *device;
    struct vulkan_block *blocks;
    VkDeviceSize total; /* of the blocks */
};

/* ERROR_NO_SPACE when the device is out of memory. */
struct vulkan_span *vulkan_span_create(struct vulkan_allocator *a, VkDeviceSize bytes,
                                       struct error *error);
void vulkan_span_destroy(struct vulkan_allocator *a, struct vulkan_span *span); /* accepts NULL */
VkBuffer vulkan_span_buffer(const struct vulkan_span *span);
VkDeviceAddress vulkan_span_address(const struct vulkan_span *span);

/* A buffer of its own that the processor sees, mapped for good. */
struct vulkan_mapped {
    VkBuffer buffer;
    VkDeviceMemory memory;
    uint8_t *data;
    size_t bytes;
};
/* `cached`: the processor will read it. */
bool vulkan_mapped_init(struct vulkan_mapped *m, const struct vulkan_allocator *a, size_t bytes,
                        bool cached, struct error *error);
void vulkan_mapped_finish(struct vulkan_mapped *m, const struct vulkan_allocator *a);
