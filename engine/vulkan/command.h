/* SPDX-License-Identifier: Apache-2.0
 *
 * Recording what the device shall do, and waiting for it. Everything goes into one command buffer
 * until somebody needs a result; data goes both ways through mapped buffers. After a failure of the
 * device nothing is recorded any more, and every wait says so.
 */
#pragma once

#include "engine/vulkan/allocator.h"
#include "engine/vulkan/pipeline.h"

struct vulkan_commands {
    const struct vulkan *v;
    const struct vulkan_allocator *allocator;
    VkPipelineLayout layout;
    VkQueue queue;
    VkCommandPool pool;
    VkCommandBuffer buffer;
    VkFence fence;
    bool recording;
    struct vulkan_mapped up, down;
    size_t up_used; /* bytes of `up` that recorded copies will read */
    bool failed;
    struct error failure;
};

bool vulkan_commands_init(struct vulkan_commands *c, const struct vulkan_allocator *a,
                          VkPipelineLayout layout, struct error *error);
void vulkan_commands_finish(struct vulkan_commands *c); /* accepts a zeroed struct */

/* What follows sees what was recorded before. */
void vulkan_barrier(struct vulkan_commands *c);
void vulkan_dispatch(struct vulkan_commands *c, const struct vulkan_pipeline *pipeline,
                     const void *push, size_t bytes, uint32_t x, uint32_t y, uint32_t z);
/* Groups for a shader that loops over `n` pieces of work: not more than every device takes. */
uint32_t vulkan_groups(size_t n);

/* Offsets and sizes may be anything, as long as they lie in the span. */
void vulkan_upload(struct vulkan_commands *c, const struct vulkan_span *to, size_t at,
                   const void *data, size_t bytes);
/* The same for rows that are made on the way: the next `bytes` (at most VULKAN_ROOM) of the
 * exchange buffer, to be filled before the next call; NULL after a failure. */
enum { VULKAN_ROOM = 4 << 20 };
void *vulkan_upload_room(struct vulkan_commands *c, const struct vulkan_span *to, size_t at,
                         size_t bytes);
void vulkan_copy(struct vulkan_commands *c, const struct vulkan_span *to,
                 const struct vulkan_span *from, size_t bytes);
void vulkan_clear(struct vulkan_commands *c, const struct vulkan_span *span);
/* Waits for everything; zeroes after a failure. */
void vulkan_download(struct vulkan_commands *c, const struct vulkan_span *from, size_t at,
                     void *data, size_t bytes);

/* Submits what was recorded and waits for it. False after a failure. */
bool vulkan_flush(struct vulkan_commands *c);
