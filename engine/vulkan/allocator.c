/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks of device memory and the spans in them, first fit.
 */
#include "engine/vulkan/allocator.h"

#include <stdlib.h>

static const VkDeviceSize ALIGNMENT = 256;
static const VkDeviceSize LEAST_BLOCK = 4u << 20, MOST_BLOCK = 128u << 20;

struct vulkan_block {
    VkBuffer buffer;
    VkDeviceMemory memory;
    VkDeviceAddress address;
    VkDeviceSize bytes;
    struct vulkan_span *first;
    struct vulkan_block *next;
};

/* The first memory type of `types` with all of `wanted`; -1 if none. */
static int memory_type(const struct vulkan_device *d, uint32_t types,
                       VkMemoryPropertyFlags wanted) {
    for (uint32_t i = 0; i < d->heaps.memoryTypeCount; i++) {
        if ((types >> i & 1) && (d->heaps.memoryTypes[i].propertyFlags & wanted) == wanted) {
            return (int)i;
        }
    }
    return -1;
}

/* Memory with `wanted` properties, and the `better` ones where there is such a type, behind a
 * new buffer. */
static VkResult buffer_with_memory(const struct vulkan_allocator *a, VkDeviceSize bytes,
                                   VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags better,
                                   VkBuffer *buffer, VkDeviceMemory *memory) {
    const struct vulkan *v = a->v;
    const VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = bytes,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
    VkResult result = v->CreateBuffer(v->device, &info, NULL, buffer);
    if (result != VK_SUCCESS) {
        return result;
    }
    VkMemoryRequirements needs;
    v->GetBufferMemoryRequirements(v->device, *buffer, &needs);
    int type = memory_type(a->device, needs.memoryTypeBits, wanted | better);
    if (type < 0) {
        type = memory_type(a->device, needs.memoryTypeBits, wanted);
    }
    const VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                             .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    const VkMemoryAllocateInfo allocation = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                             .pNext = &flags,
                                             .allocationSize = needs.size,
                                             .memoryTypeIndex = (uint32_t)type};
    result = type < 0 ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                      : v->AllocateMemory(v->device, &allocation, NULL, memory);
    if (result == VK_SUCCESS) {
        result = v->BindBufferMemory(v->device, *buffer, *memory, 0);
        if (result == VK_SUCCESS) {
            return result;
        }
        v->FreeMemory(v->device, *memory, NULL);
    }
    v->DestroyBuffer(v->device, *buffer, NULL);
    return result;
}

static void block_destroy(struct vulkan_allocator *a, struct vulkan_block *block) {
    a->v->DestroyBuffer(a->v->device, block->buffer, NULL);
    a->v->FreeMemory(a->v->device, block->memory, NULL);
    a->total -= block->bytes;
    free(block);
}

/* A block with one free span; as large as all blocks so far, so that there are few of them. */
static struct vulkan_block *block_create(struct vulkan_allocator *a, VkDeviceSize least,
                                         struct error *error) {
    VkDeviceSize bytes = a->total < LEAST_BLOCK ? LEAST_BLOCK : a->total;
    bytes = bytes < MOST_BLOCK ? bytes : MOST_BLOCK;
    bytes = bytes > least ? bytes : least;
    struct vulkan_block *block = calloc(1, sizeof *block);
    struct vulkan_span *span = calloc(1, sizeof *span);
    if (!block || !span) {
        free(block);
        free(span);
        error_set(error, ERROR_NO_SPACE, "no memory for a block of device memory");
        return NULL;
    }
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    if (bytes <= a->device->most_in_allocation) {
        result = buffer_with_memory(a, bytes, 0, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                    &block->buffer, &block->memory);
    }
    if (result != VK_SUCCESS) {
        error_set(error, ERROR_NO_SPACE,
                  "no memory on the Vulkan device %s for %.0f MiB beside %.0f in use (%s)",
                  a->device->name, (double)bytes / (1 << 20), (double)a->total / (1 << 20),
                  vulkan_result(result));
        free(block);
        free(span);
        return NULL;
    }
    const VkBufferDeviceAddressInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                            .buffer = block->buffer};
    block->address = a->v->GetBufferDeviceAddress(a->v->device, &info);
    block->bytes = bytes;
    block->first = span;
    block->next = a->blocks;
    *span = (struct vulkan_span){.block = block, .bytes = bytes, .free = true};
    a->blocks = block;
    a->total += bytes;
    return block;
}

static struct vulkan_span *first_fit(const struct vulkan_allocator *a, VkDeviceSize bytes) {
    for (struct vulkan_block *b = a->blocks; b; b = b->next) {
        for (struct vulkan_span *s = b->first; s; s = s->after) {
            if (s->free && s->bytes >= bytes) {
                return s;
            }
        }
    }
    return NULL;
}

struct vulkan_span *vulkan_span_create(struct vulkan_allocator *a, VkDeviceSize bytes,
                                       struct error *error) {
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    bytes = bytes ? bytes : ALIGNMENT;
    struct vulkan_span *span = first_fit(a, bytes);
    if (!span) {
        struct vulkan_block *block = block_create(a, bytes, error);
        if (!block) {
            return NULL;
        }
        span = block->first;
    }
    if (span->bytes > bytes) {
        struct vulkan_span *rest = malloc(sizeof *rest);
        if (!rest) {
            error_set(error, ERROR_NO_SPACE, "no memory for a span of device memory");
            return NULL;
        }
        *rest = (struct vulkan_span){.block = span->block,
                                     .offset = span->offset + bytes,
                                     .bytes = span->bytes - bytes,
                                     .free = true,
                                     .before = span,
                                     .after = span->after};
        if (rest->after) {
            rest->after->before = rest;
        }
        span->after = rest;
        span->bytes = bytes;
    }
    span->free = false;
    return span;
}

/* Joins a free span with the free one after it. */
static void join_after(struct vulkan_span *span) {
    struct vulkan_span *gone = span->after;
    if (gone && gone->free) {
        span->bytes += gone->bytes;
        span->after = gone->after;
        if (span->after) {
            span->after->before = span;
        }
        free(gone);
    }
}

void vulkan_span_destroy(struct vulkan_allocator *a, struct vulkan_span *span) {
    if (!span) {
        return;
    }
    span->free = true;
    join_after(span);
    if (span->before && span->before->free) {
        span = span->before;
        join_after(span);
    }
    struct vulkan_block *block = span->block;
    if (span->bytes == block->bytes) { /* nothing is left in it */
        struct vulkan_block **link = &a->blocks;
        while (*link != block) {
            link = &(*link)->next;
        }
        *link = block->next;
        free(span);
        block_destroy(a, block);
    }
}

VkBuffer vulkan_span_buffer(const struct vulkan_span *span) {
    return span->block->buffer;
}

VkDeviceAddress vulkan_span_address(const struct vulkan_span *span) {
    return span->block->address + span->offset;
}

bool vulkan_mapped_init(struct vulkan_mapped *m, const struct vulkan_allocator *a, size_t bytes,
                        bool cached, struct error *error) {
    const VkMemoryPropertyFlags wanted =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    *m = (struct vulkan_mapped){.bytes = bytes};
    VkResult result = buffer_with_memory(
        a, bytes, wanted, cached ? VK_MEMORY_PROPERTY_HOST_CACHED_BIT : 0, &m->buffer, &m->memory);
    if (result == VK_SUCCESS) {
        void *data;
        result = a->v->MapMemory(a->v->device, m->memory, 0, VK_WHOLE_SIZE, 0, &data);
        m->data = data;
    } else {
        m->buffer = VK_NULL_HANDLE;
    }
    if (result != VK_SUCCESS) {
        vulkan_mapped_finish(m, a);
        return error_set(error, ERROR_NO_SPACE,
                         "no memory to exchange data with the Vulkan device %s (%s)",
                         a->device->name, vulkan_result(result));
    }
    return true;
}

void vulkan_mapped_finish(struct vulkan_mapped *m, const struct vulkan_allocator *a) {
    if (m->buffer) {
        a->v->DestroyBuffer(a->v->device, m->buffer, NULL);
        a->v->FreeMemory(a->v->device, m->memory, NULL);
    }
    *m = (struct vulkan_mapped){0};
}
