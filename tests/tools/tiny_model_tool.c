/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a tiny model for tests of the command line:
 *   tiny_model_tool PATH [NAME=VALUE ...]
 * tiny_order.h has the options; adapter=PATH writes a fitting adapter too.
 */
#include <stdio.h>

#include "tests/tools/tiny_order.h"

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
    struct tiny_order o = tiny_order_of();
    for (int i = 2; i < argc; i++) {
        if (!tiny_order_set(&o, argv[i])) {
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
