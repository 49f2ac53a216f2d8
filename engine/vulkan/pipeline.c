/* SPDX-License-Identifier: Apache-2.0
 *
 * Pipelines, made when first asked for and kept until the end.
 */
#include "engine/vulkan/pipeline.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct vulkan_pipeline {
    const char *shader;
    uint32_t constants[VULKAN_CONSTANTS];
    VkPipeline handle;
    struct vulkan_pipeline *next;
};

bool vulkan_pipelines_init(struct vulkan_pipelines *p, const struct vulkan *v,
                           const struct vulkan_device *device, const char *folder,
                           struct error *error) {
    *p = (struct vulkan_pipelines){.v = v, .device = device};
    const VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                       .size = VULKAN_PUSH_BYTES};
    const VkPipelineLayoutCreateInfo layout = {.sType =
                                                   VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                               .pushConstantRangeCount = 1,
                                               .pPushConstantRanges = &range};
    VkResult result = v->CreatePipelineLayout(v->device, &layout, NULL, &p->layout);
    if (result == VK_SUCCESS) {
        size_t bytes = 0;
        p->file = folder ? vulkan_cache_path(folder, device) : NULL;
        void *data = p->file ? vulkan_cache_read(p->file, device, &bytes) : NULL;
        const VkPipelineCacheCreateInfo cache = {.sType =
                                                     VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                                 .initialDataSize = bytes,
                                                 .pInitialData = data};
        result = v->CreatePipelineCache(v->device, &cache, NULL, &p->cache);
        free(data);
    }
    if (result != VK_SUCCESS) {
        vulkan_pipelines_finish(p);
        return error_set(error, ERROR_NO_SPACE, "the Vulkan device %s takes no pipelines: %s",
                         device->name, vulkan_result(result));
    }
    return true;
}

static void save_cache(struct vulkan_pipelines *p) {
    size_t bytes = 0;
    if (p->v->GetPipelineCacheData(p->v->device, p->cache, &bytes, NULL) != VK_SUCCESS) {
        return;
    }
    void *data = malloc(bytes ? bytes : 1);
    if (data && bytes &&
        p->v->GetPipelineCacheData(p->v->device, p->cache, &bytes, data) == VK_SUCCESS) {
        vulkan_cache_write(p->file, data, bytes);
    }
    free(data);
}

void vulkan_pipelines_finish(struct vulkan_pipelines *p) {
    if (p->file && p->changed) {
        save_cache(p);
    }
    while (p->first) {
        struct vulkan_pipeline *gone = p->first;
        p->first = gone->next;
        p->v->DestroyPipeline(p->v->device, gone->handle, NULL);
        free(gone);
    }
    if (p->cache) {
        p->v->DestroyPipelineCache(p->v->device, p->cache, NULL);
    }
    if (p->layout) {
        p->v->DestroyPipelineLayout(p->v->device, p->layout, NULL);
    }
    free(p->file);
    *p = (struct vulkan_pipelines){0};
}

/* The form of a shader that the device can run; with subgroups if there is one. */
static const struct vulkan_shader *find_shader(const struct vulkan_device *d, const char *name) {
    const struct vulkan_shader *found = NULL;
    for (const struct vulkan_shader *s = vulkan_shaders; s->name; s++) {
        if (strcmp(s->name, name) == 0 && (!s->subgroups || d->use_subgroups) &&
            (!found || s->subgroups)) {
            found = s;
        }
    }
    assert(found);
    return found;
}

static VkResult compile(struct vulkan_pipelines *p, const struct vulkan_shader *shader,
                        struct vulkan_pipeline *made) {
    const struct vulkan *v = p->v;
    const VkShaderModuleCreateInfo module = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                             .codeSize = shader->bytes,
                                             .pCode = shader->words};
    VkShaderModule code;
    VkResult result = v->CreateShaderModule(v->device, &module, NULL, &code);
    if (result != VK_SUCCESS) {
        return result;
    }
    VkSpecializationMapEntry entries[VULKAN_CONSTANTS];
    for (uint32_t i = 0; i < VULKAN_CONSTANTS; i++) {
        entries[i] = (VkSpecializationMapEntry){i, i * 4, 4};
    }
    const VkSpecializationInfo constants = {VULKAN_CONSTANTS, entries, sizeof made->constants,
                                            made->constants};
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = code,
                  .pName = "main",
                  .pSpecializationInfo = &constants},
        .layout = p->layout};
    result = v->CreateComputePipelines(v->device, p->cache, 1, &info, NULL, &made->handle);
    v->DestroyShaderModule(v->device, code, NULL);
    return result;
}

const struct vulkan_pipeline *vulkan_pipeline(struct vulkan_pipelines *p, const char *shader,
                                              const uint32_t constants[VULKAN_CONSTANTS],
                                              struct error *error) {
    for (struct vulkan_pipeline *at = p->first; at; at = at->next) {
        if (strcmp(at->shader, shader) == 0 &&
            memcmp(at->constants, constants, sizeof at->constants) == 0) {
            return at;
        }
    }
    struct vulkan_pipeline *made = calloc(1, sizeof *made);
    if (!made) {
        error_set(error, ERROR_NO_SPACE, "no memory for a pipeline");
        return NULL;
    }
    *made = (struct vulkan_pipeline){.shader = shader, .next = p->first};
    memcpy(made->constants, constants, sizeof made->constants);
    VkResult result = compile(p, find_shader(p->device, shader), made);
    if (result != VK_SUCCESS) {
        free(made);
        error_set(error, ERROR_FAILURE, "the Vulkan device %s does not compile %s: %s",
                  p->device->name, shader, vulkan_result(result));
        return NULL;
    }
    p->first = made;
    p->changed = true;
    return made;
}

VkPipeline vulkan_pipeline_handle(const struct vulkan_pipeline *pipeline) {
    return pipeline->handle;
}
