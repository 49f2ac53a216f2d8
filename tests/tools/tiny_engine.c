/* SPDX-License-Identifier: Apache-2.0
 *
 * Temporary files live in memory where the system has such a place.
 */
#include "tests/tools/tiny_engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *tiny_file(const void *data, size_t size) {
    char *path = strdup(access("/dev/shm", W_OK) == 0 ? "/dev/shm/allmem-tiny-XXXXXX"
                                                      : "/tmp/allmem-tiny-XXXXXX");
    int fd = path ? mkstemp(path) : -1;
    FILE *file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    bool ok = file && (size == 0 || fwrite(data, 1, size, file) == size);
    ok = file && fclose(file) == 0 && ok;
    if (!ok) {
        free(path);
        return NULL;
    }
    return path;
}

static void forget(char *path) {
    if (path) {
        unlink(path);
    }
    free(path);
}

struct engine *tiny_engine_on(const char *backend, const struct tiny_model *model,
                              const struct tiny_adapter *adapter, size_t threads,
                              struct error *error) {
    struct tiny_loaded l;
    struct bytes bytes = {0};
    struct engine *e = NULL;
    if (!tiny_model_load(model, &l, error)) {
        return NULL;
    }
    char *model_path = tiny_file(l.file.data, l.file.size), *adapter_path = NULL;
    if (adapter && tiny_adapter_build(adapter, &l.m, &bytes, error)) {
        adapter_path = tiny_file(bytes.data, bytes.size);
    }
    if (model_path && (!adapter || adapter_path)) {
        const struct engine_options options = {
            .model = model_path, .adapter = adapter_path, .backend = backend, .threads = threads};
        e = engine_open(&options, error);
    }
    forget(adapter_path);
    forget(model_path);
    bytes_finish(&bytes);
    tiny_model_unload(&l);
    return e;
}

struct engine *tiny_engine_of(const struct tiny_model *model, const struct tiny_adapter *adapter,
                              size_t threads, struct error *error) {
    return tiny_engine_on("cpu", model, adapter, threads, error);
}

struct engine *tiny_engine(const struct tiny_model *model, const struct tiny_adapter *adapter,
                           struct error *error) {
    return tiny_engine_of(model, adapter, 1, error);
}

void tiny_tokens(uint64_t seed, token *ids, size_t n) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        ids[i] = (token)((seed >> 33) % TINY_ENDOFTEXT);
    }
}
