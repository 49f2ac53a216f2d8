/* SPDX-License-Identifier: Apache-2.0
 *
 * One command buffer, one fence, two mapped buffers.
 */
#include "engine/vulkan/command.h"

#include <assert.h>
#include <string.h>

static void fail(struct vulkan_commands *c, VkResult result) {
    if (!c->failed) {
        c->failed = true;
        c->v->DeviceWaitIdle(c->v->device); /* until then it may use what will be destroyed */
        bool memory =
            result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY;
        error_set(&c->failure, memory ? ERROR_NO_SPACE : ERROR_FAILURE,
                  "the Vulkan device %s failed (%s)", c->allocator->device->name,
                  vulkan_result(result));
    }
}

bool vulkan_commands_init(struct vulkan_commands *c, const struct vulkan_allocator *a,
                          VkPipelineLayout layout, struct error *error) {
    const struct vulkan *v = a->v;
    *c = (struct vulkan_commands){
        .v = v, .allocator = a, .layout = layout, .queue = a->device->queue};
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = a->device->family};
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkResult result = v->CreateCommandPool(v->device, &pool, NULL, &c->pool);
    if (result == VK_SUCCESS) {
        const VkCommandBufferAllocateInfo buffer = {
            .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
            .commandPool = c->pool,
            .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
            .commandBufferCount = 1};
        result = v->AllocateCommandBuffers(v->device, &buffer, &c->buffer);
    }
    if (result == VK_SUCCESS) {
        result = v->CreateFence(v->device, &fence, NULL, &c->fence);
    }
    if (result != VK_SUCCESS) {
        vulkan_commands_finish(c);
        return error_set(error, ERROR_NO_SPACE, "the Vulkan device %s takes no commands: %s",
                         a->device->name, vulkan_result(result));
    }
    if (!vulkan_mapped_init(&c->up, a, VULKAN_ROOM, false, error) ||
        !vulkan_mapped_init(&c->down, a, VULKAN_ROOM, true, error)) {
        vulkan_commands_finish(c);
        return false;
    }
    return true;
}

void vulkan_commands_finish(struct vulkan_commands *c) {
    const struct vulkan *v = c->v;
    if (!v) {
        return;
    }
    v->DeviceWaitIdle(v->device);
    if (c->fence) {
        v->DestroyFence(v->device, c->fence, NULL);
    }
    if (c->pool) {
        v->DestroyCommandPool(v->device, c->pool, NULL);
    }
    vulkan_mapped_finish(&c->up, c->allocator);
    vulkan_mapped_finish(&c->down, c->allocator);
    *c = (struct vulkan_commands){0};
}

/* False after a failure; else the command buffer takes commands. */
static bool record(struct vulkan_commands *c) {
    if (!c->recording && !c->failed) {
        const VkCommandBufferBeginInfo begin = {
            .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
            .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
        VkResult result = c->v->BeginCommandBuffer(c->buffer, &begin);
        c->recording = result == VK_SUCCESS;
        if (!c->recording) {
            fail(c, result);
        }
    }
    return !c->failed;
}

bool vulkan_flush(struct vulkan_commands *c) {
    if (!c->recording || c->failed) {
        return !c->failed;
    }
    const struct vulkan *v = c->v;
    const VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                 .commandBufferCount = 1,
                                 .pCommandBuffers = &c->buffer};
    c->recording = false;
    c->up_used = 0;
    VkResult result = v->EndCommandBuffer(c->buffer);
    if (result == VK_SUCCESS) {
        result = v->QueueSubmit(c->queue, 1, &submit, c->fence);
    }
    if (result == VK_SUCCESS) {
        result = v->WaitForFences(v->device, 1, &c->fence, VK_TRUE, UINT64_MAX);
    }
    if (result == VK_SUCCESS) {
        result = v->ResetFences(v->device, 1, &c->fence);
    }
    if (result == VK_SUCCESS) {
        result = v->ResetCommandPool(v->device, c->pool, 0);
    }
    if (result != VK_SUCCESS) {
        fail(c, result);
    }
    return !c->failed;
}

void vulkan_barrier(struct vulkan_commands *c) {
    if (!record(c)) {
        return;
    }
    const VkPipelineStageFlags stages =
        VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
    const VkAccessFlags writes = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = writes,
                                     .dstAccessMask = writes | VK_ACCESS_SHADER_READ_BIT |
                                                      VK_ACCESS_TRANSFER_READ_BIT};
    c->v->CmdPipelineBarrier(c->buffer, stages, stages, 0, 1, &barrier, 0, NULL, 0, NULL);
}

void vulkan_dispatch(struct vulkan_commands *c, const struct vulkan_pipeline *pipeline,
                     const void *push, size_t bytes, uint32_t x, uint32_t y, uint32_t z) {
    assert(bytes <= VULKAN_PUSH_BYTES && x && y && z);
    if (!record(c)) {
        return;
    }
    c->v->CmdBindPipeline(c->buffer, VK_PIPELINE_BIND_POINT_COMPUTE,
                          vulkan_pipeline_handle(pipeline));
    c->v->CmdPushConstants(c->buffer, c->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, (uint32_t)bytes,
                           push);
    c->v->CmdDispatch(c->buffer, x, y, z);
}

uint32_t vulkan_groups(size_t n) {
    return n > 65535 ? 65535 : n ? (uint32_t)n : 1;
}

/* ---- data to the device and back ---- */

void *vulkan_upload_room(struct vulkan_commands *c, const struct vulkan_span *to, size_t at,
                         size_t bytes) {
    assert(bytes <= VULKAN_ROOM && at + bytes <= to->bytes);
    if (c->up.bytes - c->up_used < bytes) {
        vulkan_flush(c);
    }
    if (!record(c) || bytes == 0) {
        return NULL;
    }
    const VkBufferCopy copy = {c->up_used, to->offset + at, bytes};
    vulkan_barrier(c);
    c->v->CmdCopyBuffer(c->buffer, c->up.buffer, vulkan_span_buffer(to), 1, &copy);
    void *room = c->up.data + c->up_used;
    c->up_used += (bytes + 15) / 16 * 16;
    c->up_used = c->up_used < c->up.bytes ? c->up_used : c->up.bytes;
    return room;
}

void vulkan_upload(struct vulkan_commands *c, const struct vulkan_span *to, size_t at,
                   const void *data, size_t bytes) {
    for (size_t done = 0; done < bytes;) {
        size_t n = bytes - done < VULKAN_ROOM ? bytes - done : VULKAN_ROOM;
        void *room = vulkan_upload_room(c, to, at + done, n);
        if (!room) {
            return;
        }
        memcpy(room, (const char *)data + done, n);
        done += n;
    }
}

void vulkan_copy(struct vulkan_commands *c, const struct vulkan_span *to,
                 const struct vulkan_span *from, size_t bytes) {
    assert(bytes <= to->bytes && bytes <= from->bytes);
    if (bytes && record(c)) {
        const VkBufferCopy copy = {from->offset, to->offset, bytes};
        vulkan_barrier(c);
        c->v->CmdCopyBuffer(c->buffer, vulkan_span_buffer(from), vulkan_span_buffer(to), 1, &copy);
    }
}

void vulkan_clear(struct vulkan_commands *c, const struct vulkan_span *span) {
    if (record(c)) {
        vulkan_barrier(c);
        c->v->CmdFillBuffer(c->buffer, vulkan_span_buffer(span), span->offset, span->bytes, 0);
    }
}

/* The processor sees what was copied to `down`. */
static void barrier_for_host(struct vulkan_commands *c) {
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    c->v->CmdPipelineBarrier(c->buffer, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT,
                             0, 1, &barrier, 0, NULL, 0, NULL);
}

void vulkan_download(struct vulkan_commands *c, const struct vulkan_span *from, size_t at,
                     void *data, size_t bytes) {
    assert(at + bytes <= from->bytes);
    for (size_t done = 0; done < bytes;) {
        size_t n = bytes - done < c->down.bytes ? bytes - done : c->down.bytes;
        char *to = (char *)data + done;
        if (record(c)) {
            const VkBufferCopy copy = {from->offset + at + done, 0, n};
            vulkan_barrier(c);
            c->v->CmdCopyBuffer(c->buffer, vulkan_span_buffer(from), c->down.buffer, 1, &copy);
            barrier_for_host(c);
        }
        if (vulkan_flush(c)) {
            memcpy(to, c->down.data, n);
        } else {
            memset(to, 0, n);
        }
        done += n;
    }
}
