/* SPDX-License-Identifier: Apache-2.0
 *
 * What a GGUF file is, from its header: for `model show`, and for what was just fetched.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/error.h"

struct model_description {
    char architecture[64], name[128], licence[128]; /* as the file says: hostile; "" when absent */
    const char *type;    /* tensor type that most bytes are in: "Q4_1"; static */
    uint64_t bytes;      /* of the file */
    uint64_t parameters; /* values in all tensors */
    uint64_t context;    /* trained context in tokens; 0: not said */
    uint64_t layers, width, vocabulary;
    bool chat_template;
    char refusal[1000]; /* why this program cannot run it; "" when it can */
};

/* False only when the file cannot be read or is no GGUF file. */
bool model_describe(struct model_description *d, const char *path, struct error *error);
