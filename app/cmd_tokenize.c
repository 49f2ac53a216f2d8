/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem tokenize: a text as the ids that the model reads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/json.h"
#include "app/loading.h"
#include "app/options.h"
#include "app/stdin_text.h"
#include "engine/base/map.h"

/* Only the vocabulary is needed, so the weights are not touched. */
static bool encode(const struct options *options, const struct bytes *text, struct tokens *list,
                   struct error *error) {
    struct model_choice choice;
    if (!model_choose(&choice, options->model, error)) {
        return false;
    }
    struct map map = {0};
    struct gguf gguf = {0};
    struct tokenizer *t = NULL;
    bool ok = map_open(&map, choice.path, error);
    if (ok) {
        ok = gguf_parse(&gguf, map.data, map.size, error) && (t = tokenizer_create(&gguf, error));
        if (!ok) {
            error_prefix(error, "%s", choice.path);
        }
    }
    ok = ok && tokenizer_encode(t, (const char *)text->data, text->size, list, error);
    tokenizer_destroy(t);
    gguf_finish(&gguf);
    map_close(&map);
    model_choice_finish(&choice);
    return ok;
}

static int print_tokens(const struct options *options, const struct tokens *list,
                        struct error *error) {
    if (!options->json) {
        for (size_t i = 0; i < list->count; i++) {
            printf(i ? " %d" : "%d", list->ids[i]);
        }
        putchar('\n');
        return 0;
    }
    json_t *ids = json_array();
    for (size_t i = 0; i < list->count; i++) {
        json_array_append_new(ids, json_integer(list->ids[i]));
    }
    return json_print(json_pack("{s:o, s:I}", "ids", ids, "count", (json_int_t)list->count), error);
}

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    if (!options_read(NULL, 0, &argc, argv, error)) {
        return error->code;
    }
    struct bytes text = {0};
    struct tokens list = {0};
    if (argc != 1) {
        error_set(error, ERROR_USAGE, "found %d texts, expected: allmem %s", argc,
                  command_tokenize.usage);
        return ERROR_USAGE;
    }
    int code = 0;
    if (!text_or_stdin(argv[0], &text, error) || !encode(options, &text, &list, error)) {
        code = error->code;
    } else {
        code = print_tokens(options, &list, error);
    }
    tokens_finish(&list);
    bytes_finish(&text);
    return code;
}

const struct command command_tokenize = {
    .name = "tokenize",
    .usage = "tokenize [-m MODEL] TEXT|-",
    .summary = "show the tokens of a text",
    .help = "",
    .run = run,
};
