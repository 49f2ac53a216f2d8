/* SPDX-License-Identifier: Apache-2.0
 *
 * The pipeline cache's file: SHA-256 of the driver's bytes, then those. Drivers trust what they are
 * given, so nothing reaches them that is damaged or of another device or driver.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/bytes.h"
#include "engine/base/hash.h"
#include "engine/vulkan/pipeline.h"

/* More than any driver makes of our shaders. */
enum { MOST_BYTES = 64 << 20 };

char *vulkan_cache_path(const char *folder, const struct vulkan_device *d) {
    char *path = NULL;
    if (asprintf(&path, "%s/vulkan-%08x-%08x.cache", folder, d->vendor, d->id) < 0) {
        return NULL;
    }
    return path;
}

/* The header that Vulkan prescribes: its size, version 1, vendor, device, UUID of the driver. */
static bool of_this_driver(const void *data, size_t bytes, const struct vulkan_device *d) {
    struct reader r = reader_of(data, bytes);
    uint32_t size = reader_u32(&r), version = reader_u32(&r);
    uint32_t vendor = reader_u32(&r), id = reader_u32(&r);
    const uint8_t *uuid = reader_take(&r, VK_UUID_SIZE);
    return uuid && size >= 32 && size <= bytes && version == 1 && vendor == d->vendor &&
           id == d->id && memcmp(uuid, d->cache_uuid, VK_UUID_SIZE) == 0;
}

void *vulkan_cache_read(const char *path, const struct vulkan_device *d, size_t *bytes) {
    FILE *f = fopen(path, "rbe");
    uint8_t expected[HASH_BYTES], found[HASH_BYTES];
    uint8_t *data = NULL;
    *bytes = 0;
    if (!f) {
        return NULL;
    }
    long end = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    if (end > HASH_BYTES && end <= MOST_BYTES && fseek(f, 0, SEEK_SET) == 0) {
        size_t size = (size_t)end - HASH_BYTES;
        data = malloc(size);
        if (data && fread(expected, 1, HASH_BYTES, f) == HASH_BYTES &&
            fread(data, 1, size, f) == size && hash_of(data, size, found) &&
            memcmp(found, expected, HASH_BYTES) == 0 && of_this_driver(data, size, d)) {
            *bytes = size;
        }
    }
    fclose(f);
    if (*bytes == 0) {
        free(data);
        return NULL;
    }
    return data;
}

/* Through a file of its own, so that a second process or a crash cannot leave half of one. */
void vulkan_cache_write(const char *path, const void *data, size_t bytes) {
    uint8_t hash[HASH_BYTES];
    char *draft = NULL;
    if (bytes > MOST_BYTES || !hash_of(data, bytes, hash) ||
        asprintf(&draft, "%s.%ld", path, (long)getpid()) < 0) {
        return;
    }
    FILE *f = fopen(draft, "wbe");
    if (f) {
        bool ok =
            fwrite(hash, 1, HASH_BYTES, f) == HASH_BYTES && fwrite(data, 1, bytes, f) == bytes;
        ok = fclose(f) == 0 && ok;
        if (!ok || rename(draft, path) != 0) {
            unlink(draft);
        }
    }
    free(draft);
}
