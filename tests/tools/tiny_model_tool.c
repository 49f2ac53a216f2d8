/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a tiny model for tests of the command line:
 *   tiny_model_tool PATH [NAME=VALUE ...]
 * with NAME a number of struct tiny_model (layers=3 width=256 tied=0 seed=7), or architecture=qwen3
 * or type=Q4_1, or yarn=4 or linear=4 (scaling of positions). adapter=PATH writes a tiny adapter
 * for that model too, adapter_chunk=64 says of which chunk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tools/tiny_adapter.h"
#include "tests/tools/tiny_model.h"

/* What is to be written. */
struct order {
    struct tiny_model model;
    struct tiny_adapter adapter;
    const char *adapter_path; /* or NULL */
};

static bool set_type(struct tiny_model *t, const char *name) {
    for (uint32_t type = 0; type < QUANT_TYPES; type++) {
        if (quant_info(type) && strcmp(quant_info(type)->name, name) == 0) {
            t->type = (enum quant_type)type;
            return true;
        }
    }
    return false;
}

static bool is(const char *name, size_t size, const char *word) {
    return strlen(word) == size && memcmp(name, word, size) == 0;
}

static bool set(struct order *o, const char *name, size_t size, const char *value) {
    struct tiny_model *t = &o->model;
    const struct {
        const char *name;
        uint32_t *number;
        bool *flag;
    } fields[] = {
        {"layers", &t->layers, NULL},     {"width", &t->width, NULL},
        {"heads", &t->heads, NULL},       {"kv_heads", &t->kv_heads, NULL},
        {"head_dim", &t->head_dim, NULL}, {"ffn_width", &t->ffn_width, NULL},
        {"context", &t->context, NULL},   {"adapter_chunk", &o->adapter.chunk, NULL},
        {"expand", NULL, &t->expand},     {"tied", NULL, &t->tied},
        {"biases", NULL, &t->biases},     {"frequencies", NULL, &t->frequencies},
    };
    if (is(name, size, "architecture")) {
        t->architecture = value;
        return true;
    }
    if (is(name, size, "adapter")) {
        o->adapter_path = value;
        return true;
    }
    if (is(name, size, "type")) {
        return set_type(t, value);
    }
    if (is(name, size, "yarn") || is(name, size, "linear")) {
        t->scaling = is(name, size, "yarn") ? ROPE_YARN : ROPE_LINEAR;
        t->rope_factor = strtof(value, NULL);
        return true;
    }
    if (is(name, size, "seed")) {
        t->seed = strtoull(value, NULL, 10);
        return true;
    }
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (is(name, size, fields[i].name)) {
            if (fields[i].number) {
                *fields[i].number = (uint32_t)strtoul(value, NULL, 10);
            } else {
                *fields[i].flag = strtoul(value, NULL, 10) != 0;
            }
            return true;
        }
    }
    return false;
}

static bool write_file(const char *path, const struct bytes *data) {
    FILE *file = fopen(path, "wb");
    bool ok = file && fwrite(data->data, 1, data->size, file) == data->size;
    ok = file && fclose(file) == 0 && ok;
    if (!ok) {
        perror(path);
    }
    return ok;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: tiny_model_tool PATH [NAME=VALUE ...]\n");
        return ERROR_USAGE;
    }
    struct order o = {.model = tiny_model_of("llama"), .adapter = tiny_adapter_of()};
    for (int i = 2; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        if (!equals || !set(&o, argv[i], (size_t)(equals - argv[i]), equals + 1)) {
            fprintf(stderr, "tiny_model_tool: \"%s\" is not understood\n", argv[i]);
            return ERROR_USAGE;
        }
    }
    struct tiny_loaded l;
    struct bytes adapter = {0};
    struct error error;
    if (!tiny_model_load(&o.model, &l, &error) ||
        !tiny_adapter_build(&o.adapter, &l.m, &adapter, &error)) {
        fprintf(stderr, "tiny_model_tool: %s\n", error.text);
        tiny_model_unload(&l);
        return error.code;
    }
    bool ok =
        write_file(argv[1], &l.file) && (!o.adapter_path || write_file(o.adapter_path, &adapter));
    bytes_finish(&adapter);
    tiny_model_unload(&l);
    return ok ? 0 : ERROR_FAILURE;
}
