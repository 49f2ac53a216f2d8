/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem generate: plain continuation of a prompt.
 */
#include <stdio.h>

#include "app/answer_report.h"
#include "app/commands.h"
#include "app/generation.h"
#include "app/json.h"
#include "app/loading.h"
#include "app/options.h"
#include "app/stdin_text.h"

static bool read_prompt(struct session *session, struct engine *engine, const struct bytes *prompt,
                        const struct options *options, struct error *error) {
    const struct tokenizer *t = engine_tokenizer(engine);
    struct tokens list = {0};
    bool ok = !tokenizer_adds_bos(t) || tokens_push(&list, tokenizer_bos(t)) ||
              error_set(error, ERROR_NO_SPACE, "no memory for the prompt");
    ok = ok && tokenizer_encode(t, (const char *)prompt->data, prompt->size, &list, error);
    if (ok && list.count == 0) {
        ok = error_set(error, ERROR_USAGE, "the prompt is empty, expected at least one token");
    }
    struct reading_watch watch;
    reading_watch_init(&watch, options, list.count);
    ok = ok && session_append(session, list.ids, list.count, &watch.watch, error);
    progress_end(&watch.progress);
    tokens_finish(&list);
    return ok;
}

static int continue_prompt(const struct options *options, const struct bytes *prompt,
                           uint64_t tokens, struct error *error) {
    struct loaded loaded = {0};
    struct session *session = NULL;
    struct generation g = {0};
    bool ok = load_engine(&loaded, options, true, error);
    if (ok) {
        struct session_options o = session_options_of(options, loaded.engine);
        session = session_create(loaded.engine, &o, error);
        struct answer_options a = {.tokens = tokens,
                                   .sampler = sampler_options_of(options),
                                   .show = options->json ? NULL : answer_print_piece};
        ok = session && read_prompt(session, loaded.engine, prompt, options, error) &&
             generate_text(session, loaded.engine, NULL, &a, NULL, &g, error);
    }
    int code = ok ? 0 : error->code;
    if (ok && options->json) {
        double elapsed = g.last_seconds - g.first_seconds;
        code = json_print(json_pack("{s:o, s:I, s:f}", "text", json_text((const char *)g.text.data),
                                    "tokens", (json_int_t)g.tokens, "tokens_per_second",
                                    elapsed > 0 ? (double)g.tokens / elapsed : 0.0),
                          error);
    } else if (ok) {
        putchar('\n');
    }
    if (ok && g.stopped) {
        code = ERROR_INTERRUPTED;
    }
    bytes_finish(&g.text);
    session_destroy(session);
    loaded_finish(&loaded);
    return code;
}

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    uint64_t tokens = 128;
    const struct option table[] = {
        {.name = "tokens", .letter = 'n', .kind = OPTION_COUNT, .value = &tokens, .most = 1e9},
    };
    if (!options_read(table, 1, &argc, argv, error)) {
        return error->code;
    }
    if (argc != 1) {
        error_set(error, ERROR_USAGE, "found %d prompts, expected: allmem %s", argc,
                  command_generate.usage);
        return ERROR_USAGE;
    }
    struct bytes prompt = {0};
    int code = text_or_stdin(argv[0], &prompt, error)
                   ? continue_prompt(options, &prompt, tokens, error)
                   : (int)error->code;
    bytes_finish(&prompt);
    return code;
}

const struct command command_generate = {
    .name = "generate",
    .usage = "generate [-m MODEL] [-n TOKENS] PROMPT|-",
    .summary = "continue a text",
    .help = "  -n, --tokens N     tokens to write at most (128)\n",
    .run = run,
};
