/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiled shaders as pipelines of a device. All have the same layout: no descriptors, 128 bytes of
 * push constants that hold the addresses of what they work on. What a driver makes of them is kept
 * in a file, so that a second start does not compile.
 */
#pragma once

#include "engine/vulkan/device.h"

/* SPIR-V, made at build time (shaders/meson.build). */
struct vulkan_shader {
    const char *name; /* the file's, less ".comp"; NULL ends the table */
    bool subgroups;   /* needs subgroup arithmetic */
    const uint32_t *words;
    size_t bytes;
};
extern const struct vulkan_shader vulkan_shaders[];

enum { VULKAN_CONSTANTS = 4, VULKAN_PUSH_BYTES = 128 };

struct vulkan_pipeline;

struct vulkan_pipelines {
    const struct vulkan *v;
    const struct vulkan_device *device;
    VkPipelineLayout layout;
    VkPipelineCache cache;
    struct vulkan_pipeline *first;
    char *file;   /* of the cache, owned; NULL: not kept */
    bool changed; /* since the file was read */
};

/* `folder` is where the cache is kept, or NULL. A file that is missing, damaged or of another
 * driver is the same as none. */
bool vulkan_pipelines_init(struct vulkan_pipelines *p, const struct vulkan *v,
                           const struct vulkan_device *device, const char *folder,
                           struct error *error);
/* Writes the cache's file if there is something new; that it cannot be written is no error. */
void vulkan_pipelines_finish(struct vulkan_pipelines *p);

/* The pipeline of a shader with these specialisation constants (constant_id 0, 1, ...; the rest 0),
 * compiled at the first call. Outside the token loop. */
const struct vulkan_pipeline *vulkan_pipeline(struct vulkan_pipelines *p, const char *shader,
                                              const uint32_t constants[VULKAN_CONSTANTS],
                                              struct error *error);
VkPipeline vulkan_pipeline_handle(const struct vulkan_pipeline *pipeline);

/* pipeline_cache.c: bytes to the file and back. */
char *vulkan_cache_path(const char *folder, const struct vulkan_device *device);
/* Malloc'ed, NULL if there is nothing that this driver can use. */
void *vulkan_cache_read(const char *path, const struct vulkan_device *device, size_t *bytes);
void vulkan_cache_write(const char *path, const void *data, size_t bytes);
