/* SPDX-License-Identifier: Apache-2.0
 *
 * One table of the options that are numbers or flags; the others by hand.
 */
#include "tests/tools/tiny_order.h"

#include <stdlib.h>
#include <string.h>

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

struct tiny_order tiny_order_of(void) {
    return (struct tiny_order){.model = tiny_model_of("llama"), .adapter = tiny_adapter_of()};
}

bool tiny_order_set(struct tiny_order *o, const char *name) {
    const char *equals = strchr(name, '=');
    if (!equals) {
        return false;
    }
    size_t size = (size_t)(equals - name);
    const char *value = equals + 1;
    struct tiny_model *t = &o->model;
    const struct {
        const char *name;
        uint32_t *number;
        bool *flag;
    } fields[] = {
        {"layers", &t->layers, NULL},
        {"width", &t->width, NULL},
        {"heads", &t->heads, NULL},
        {"kv_heads", &t->kv_heads, NULL},
        {"head_dim", &t->head_dim, NULL},
        {"ffn_width", &t->ffn_width, NULL},
        {"context", &t->context, NULL},
        {"adapter_chunk", &o->adapter.chunk, NULL},
        {"adapter_width", &o->adapter.width, NULL},
        {"expand", NULL, &t->expand},
        {"tied", NULL, &t->tied},
        {"biases", NULL, &t->biases},
        {"frequencies", NULL, &t->frequencies},
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
    if (is(name, size, "adapter_uneven")) {
        o->adapter.uneven = strtof(value, NULL);
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
