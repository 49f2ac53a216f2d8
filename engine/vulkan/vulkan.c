/* SPDX-License-Identifier: Apache-2.0
 *
 * The Vulkan backend: its making and end, its buffers, and the table of operations.
 */
#include "engine/vulkan/vulkan_private.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- buffers ---- */

VkDeviceAddress vulkan_address(const struct buffer *buffer, size_t at) {
    return vulkan_span_address(buffer->span) + at;
}

struct buffer *vulkan_buffer_create(struct backend *backend, size_t bytes, struct error *error) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    struct buffer *buffer = malloc(sizeof *buffer);
    if (!buffer) {
        error_set(error, ERROR_NO_SPACE, "no memory for a buffer");
        return NULL;
    }
    *buffer = (struct buffer){vulkan_span_create(&b->allocator, bytes, error), bytes};
    if (!buffer->span) {
        free(buffer);
        return NULL;
    }
    vulkan_clear(&b->commands, buffer->span);
    return buffer;
}

void vulkan_buffer_destroy(struct backend *backend, struct buffer *buffer) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    if (buffer) {
        vulkan_flush(&b->commands); /* what was recorded may use it */
        vulkan_span_destroy(&b->allocator, buffer->span);
        free(buffer);
    }
}

bool vulkan_reserve(struct vulkan_backend *b, struct buffer **buffer, size_t bytes,
                    struct error *error) {
    if (*buffer && (*buffer)->bytes >= bytes) {
        return true;
    }
    vulkan_buffer_destroy(&b->base, *buffer);
    *buffer = vulkan_buffer_create(&b->base, bytes, error);
    return *buffer != NULL;
}

static void buffer_write(struct backend *backend, struct buffer *to, size_t at, const void *data,
                         size_t bytes) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    vulkan_upload(&b->commands, to->span, at, data, bytes);
}

static void buffer_read(struct backend *backend, struct buffer *from, size_t at, void *data,
                        size_t bytes) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    vulkan_download(&b->commands, from->span, at, data, bytes);
}

static void buffer_copy(struct backend *backend, struct buffer *to, struct buffer *from,
                        size_t bytes) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    vulkan_copy(&b->commands, to->span, from->span, bytes);
}

/* ---- the backend ---- */

static bool wait(struct backend *backend, struct error *error) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    if (vulkan_flush(&b->commands)) {
        return true;
    }
    if (error) {
        *error = b->commands.failure;
    }
    return false;
}

static bool prepare(struct backend *backend, const struct window_shape *shape, size_t rows,
                    size_t widest, struct error *error) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    (void)widest; /* products need no room of their own */
    return vulkan_reserve(b, &b->ids, rows * sizeof(int32_t), error) &&
           vulkan_window_prepare(b, shape, rows, error) &&
           vulkan_merged_prepare(b, shape, rows, error) && vulkan_memory_prepare(b, shape, error);
}

static void destroy(struct backend *backend) {
    struct vulkan_backend *b = (struct vulkan_backend *)backend;
    if (b->v.device) {
        if (b->commands.v) {
            vulkan_buffer_destroy(backend, b->ids);
            vulkan_window_finish(b);
            vulkan_merged_finish(b);
            vulkan_memory_finish(b);
        }
        vulkan_commands_finish(&b->commands);
        if (b->pipelines.v) {
            vulkan_pipelines_finish(&b->pipelines);
        }
        if (b->v.DestroyDevice) {
            b->v.DestroyDevice(b->v.device, NULL);
        }
    }
    free(b);
}

static const struct backend_ops vulkan_ops = {
    .name = "vulkan",
    .destroy = destroy,
    .wait = wait,
    .prepare = prepare,
    .buffer_create = vulkan_buffer_create,
    .buffer_destroy = vulkan_buffer_destroy,
    .buffer_write = buffer_write,
    .buffer_read = buffer_read,
    .buffer_copy = buffer_copy,
    .matrix_create = vulkan_matrix_create,
    .matrix_destroy = vulkan_matrix_destroy,
    .memory_load = vulkan_memory_load,
    .embed = vulkan_embed,
    .rms_norm = vulkan_rms_norm,
    .matmul = vulkan_matmul,
    .add = vulkan_add,
    .swiglu = vulkan_swiglu,
    .positions = vulkan_positions,
    .window_retire = vulkan_window_retire,
    .window_merge = vulkan_window_merge,
    .memory_write = vulkan_memory_write,
    .window_store = vulkan_window_store,
    .window_attend = vulkan_window_attend,
    .memory_read = vulkan_memory_read,
};

static bool open_device(struct vulkan_backend *b, const struct vulkan_options *o,
                        struct error *error) {
    struct vulkan_device devices[VULKAN_DEVICES];
    if (!vulkan_open(&b->v, error)) {
        return false;
    }
    size_t count = vulkan_devices(&b->v, devices, VULKAN_DEVICES, error);
    int chosen = count ? vulkan_choose(devices, count, o->device, o->any, o->needed, error) : -1;
    if (chosen < 0) {
        return false;
    }
    b->device = devices[chosen];
    b->allocator = (struct vulkan_allocator){.v = &b->v, .device = &b->device};
    return vulkan_device_open(&b->v, &b->device, error);
}

static bool find_pipelines(struct vulkan_backend *b, struct error *error) {
    const uint32_t none[VULKAN_CONSTANTS] = {0};
    return (b->rms_norm = vulkan_pipeline(&b->pipelines, "rms_norm", none, error)) &&
           (b->add = vulkan_pipeline(&b->pipelines, "add", none, error)) &&
           (b->swiglu = vulkan_pipeline(&b->pipelines, "swiglu", none, error));
}

struct backend *vulkan_backend_create(const struct vulkan_options *o, struct error *error) {
    struct vulkan_backend *b = calloc(1, sizeof *b);
    if (!b) {
        error_set(error, ERROR_NO_SPACE, "no memory for the Vulkan backend");
        return NULL;
    }
    b->base.ops = &vulkan_ops;
    if (open_device(b, o, error) &&
        vulkan_pipelines_init(&b->pipelines, &b->v, &b->device, o->cache, error) &&
        vulkan_commands_init(&b->commands, &b->allocator, b->pipelines.layout, error) &&
        find_pipelines(b, error)) {
        return &b->base;
    }
    destroy(&b->base);
    return NULL;
}

const char *vulkan_device_name(const struct backend *backend) {
    return ((const struct vulkan_backend *)backend)->device.name;
}

/* ---- what the machine has ---- */

static void describe(const struct vulkan_device *d, struct engine_device *to) {
    *to = (struct engine_device){.memory = d->memory,
                                 .free = d->free,
                                 .kind = vulkan_type_name(d->type),
                                 .lacks = d->lacks,
                                 .is_gpu = d->type != VK_PHYSICAL_DEVICE_TYPE_CPU &&
                                           d->type != VK_PHYSICAL_DEVICE_TYPE_OTHER};
    const struct {
        bool has;
        const char *name;
    } features[] = {
        {d->subgroups, "subgroup arithmetic"},
        {d->integer_dot, d->fast_dot ? "integer dot product" : "integer dot product (slow)"},
        {d->fp16, "fp16"},
        {d->cooperative_matrix, "cooperative matrix"},
    };
    size_t at =
        (size_t)snprintf(to->features, sizeof to->features, "subgroups of %u", d->subgroup_size);
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        if (features[i].has && at < sizeof to->features) {
            at += (size_t)snprintf(to->features + at, sizeof to->features - at, ", %s",
                                   features[i].name);
        }
    }
    snprintf(to->name, sizeof to->name, "%s", d->name);
}

size_t vulkan_list_devices(struct engine_device *devices, size_t most, struct error *error) {
    struct vulkan v;
    struct vulkan_device found[VULKAN_DEVICES];
    if (!vulkan_open(&v, error)) {
        return 0;
    }
    size_t count = vulkan_devices(&v, found, VULKAN_DEVICES, error);
    for (size_t i = 0; i < count && i < most; i++) {
        describe(&found[i], &devices[i]);
    }
    return count < most ? count : most;
}
