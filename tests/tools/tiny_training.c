/* SPDX-License-Identifier: Apache-2.0
 *
 * A short run on three sequences of tiny_tokens.
 */
#include "tests/tools/tiny_training.h"

#include <stdio.h>
#include <stdlib.h>

struct finetune_options tiny_training_options(void) {
    struct finetune_options o = finetune_defaults();
    o.length = TINY_LENGTH;
    o.width = TINY_MEMORY;
    o.chunk = TINY_CHUNK;
    o.sinks = TINY_SINKS;
    o.kept = o.lengths = o.distill = false;
    o.seed = 5;
    return o;
}

struct finetune *tiny_training_start(struct engine **e, const struct finetune_options *o) {
    struct tiny_model model = tiny_model_of("llama");
    struct error error = {0};
    *e = tiny_engine(&model, NULL, &error);
    struct finetune *f = *e ? finetune_create(*e, o, &error) : NULL;
    if (!f) {
        fprintf(stderr, "%s\n", error.text);
        abort();
    }
    return f;
}

struct finetune_sequence tiny_sequence(const token *ids, size_t window) {
    return (struct finetune_sequence){.ids = ids, .length = TINY_LENGTH, .window = window};
}

struct finetune_result tiny_training_step(struct finetune *f, uint64_t step) {
    token ids[TINY_LENGTH];
    tiny_tokens(step % 3, ids, TINY_LENGTH);
    if (step == 0) {
        const struct finetune_sequence first = tiny_sequence(ids, finetune_window(f, 1));
        finetune_calibrate(f, &first);
    }
    const struct finetune_sequence s = tiny_sequence(ids, finetune_window(f, step % 3));
    return finetune_step(f, &s, (double)step / 8);
}
