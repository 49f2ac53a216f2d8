/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem ask: reads files into a throw-away session, answers one question, cites.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/answer.h"
#include "app/commands.h"
#include "app/interrupt.h"
#include "app/json.h"
#include "app/library.h"
#include "app/loading.h"
#include "app/memory_index.h"
#include "app/options.h"
#include "app/reading.h"
#include "app/safe_text.h"
#include "app/stdin_text.h"

struct ask {
    const char *question;
    uint64_t tokens;
    bool citations;
};

/* All that a throw-away session holds; starts as {0}. */
struct desk {
    struct library library;
    struct passages *passages; /* [library.count] */
    struct words *words;
    struct memory_index *index;
    struct loaded loaded;
    struct session *session;
};

static void desk_finish(struct desk *d) {
    memory_index_destroy(d->index);
    words_destroy(d->words);
    for (size_t i = 0; d->passages && i < d->library.count; i++) {
        passages_finish(&d->passages[i]);
    }
    free(d->passages);
    library_finish(&d->library);
    session_destroy(d->session);
    loaded_finish(&d->loaded);
}

static bool stop(void *context) {
    (void)context;
    return interrupt_requested();
}

static bool index_library(struct desk *d, struct error *error) {
    d->words = words_create();
    d->passages = calloc(d->library.count, sizeof *d->passages);
    if (!d->words || !d->passages) {
        return error_set(error, ERROR_NO_SPACE, "no memory for an index of the text");
    }
    d->index = memory_index_create(d->words, error);
    bool ok = d->index != NULL;
    for (size_t i = 0; ok && i < d->library.count; i++) {
        const struct document *document = &d->library.documents[i];
        ok = passages_cut(document, &d->passages[i], error) &&
             memory_index_add(d->index, document, &d->passages[i], error);
    }
    return ok;
}

static bool gather(struct desk *d, char **paths, size_t count, const struct options *options,
                   struct error *error) {
    struct walk_options walk = walk_options_default();
    walk.stop = stop;
    if (!library_read(&d->library, (const char *const *)paths, count, &walk, error)) {
        return false;
    }
    reading_report_skips(&d->library.skips, options);
    if (d->library.count == 0) {
        return error_set(error, ERROR_FAILURE, "nothing to read: %zu items were skipped",
                         d->library.skips.count);
    }
    return index_library(d, error);
}

static bool print_piece(void *context, const char *text, size_t size) {
    (void)context;
    return fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0;
}

static int report_unsupported(const struct options *options, struct error *error) {
    if (options->json) {
        int code = json_print(json_pack("{s:s, s:b, s:[], s:i}", "answer", answer_unsupported,
                                        "supported", 0, "citations", "prefill_tokens", 0),
                              error);
        return code ? code : ERROR_NOT_IN_SOURCES;
    }
    printf("%s\n", answer_unsupported);
    return ERROR_NOT_IN_SOURCES;
}

static int report(const struct answer *a, const struct options *options, const struct ask *ask,
                  struct error *error) {
    if (options->json) {
        json_t *citations = ask->citations ? citations_json(&a->citations) : json_array();
        return json_print(
            json_pack("{s:o, s:b, s:o, s:I, s:I, s:f, s:f}", "answer",
                      json_text((const char *)a->text.data), "supported", 1, "citations", citations,
                      "prefill_tokens", (json_int_t)a->prefill_tokens, "answer_tokens",
                      (json_int_t)a->answer_tokens, "first_token_seconds", a->first_token_seconds,
                      "tokens_per_second", a->tokens_per_second),
            error);
    }
    struct bytes text = {0};
    putchar('\n');
    bool ok = !ask->citations || a->citations.count == 0 ||
              (putchar('\n') && citations_text(&a->citations, &text, error));
    if (ok && text.size) {
        fwrite(text.data, 1, text.size, stdout);
    }
    bytes_finish(&text);
    return ok ? 0 : (int)error->code;
}

static bool answer_here(struct desk *d, const struct options *options, const struct ask *ask,
                        const struct retrieval *retrieval, struct answer *a, struct error *error) {
    struct passage_index index = memory_index_view(d->index);
    struct answer_options o = {.tokens = ask->tokens,
                               .sampler = sampler_options_of(options),
                               .show = options->json ? NULL : print_piece};
    return reading_append_library(d->session, d->loaded.engine, &d->library, options, error) &&
           answer_question(a, d->session, d->loaded.engine, ask->question, retrieval, &index,
                           d->words, &o, error);
}

/* Passages are looked up before the long read: a question that the text has nothing on needs none.
 */
static int ask_desk(struct desk *d, const struct options *options, const struct ask *ask,
                    struct error *error) {
    if (!load_engine(&d->loaded, options, true, error)) {
        return error->code;
    }
    struct engine *engine = d->loaded.engine;
    struct session_options so = session_options_of(options, engine);
    struct retrieve_options ro = retrieve_options_default();
    ro.budget = answer_passage_budget(so.window);
    ro.cost = answer_token_cost;
    ro.cost_context = (void *)engine_tokenizer(engine);
    struct passage_index index = memory_index_view(d->index);
    struct retrieval retrieval = {0};
    struct answer a = {0};
    int code;
    if (!retrieve(&index, d->words, ask->question, &ro, &retrieval, error)) {
        code = error->code;
    } else if (!retrieval.supported) {
        code = report_unsupported(options, error);
    } else if (!(d->session = session_create(engine, &so, error)) ||
               !answer_here(d, options, ask, &retrieval, &a, error)) {
        code = error->code;
    } else {
        code = report(&a, options, ask, error);
        code = a.stopped && code == 0 ? ERROR_INTERRUPTED : code;
    }
    answer_finish(&a);
    retrieval_finish(&retrieval);
    return code;
}

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    struct ask ask = {.tokens = 160, .citations = true};
    const struct option table[] = {
        {.name = "tokens", .letter = 'n', .kind = OPTION_COUNT, .value = &ask.tokens, .most = 1e6},
        {.name = "cite", .kind = OPTION_FLAG, .value = &ask.citations},
    };
    if (!options_read(table, sizeof table / sizeof *table, &argc, argv, error)) {
        return error->code;
    }
    if (argc < 2) {
        error_set(error, ERROR_USAGE, "found %d words, expected a path and a question: allmem %s",
                  argc, command_ask.usage);
        return ERROR_USAGE;
    }
    struct bytes question = {0};
    struct desk desk = {0};
    int code;
    if (!text_or_stdin(argv[argc - 1], &question, error) ||
        !gather(&desk, argv, (size_t)argc - 1, options, error)) {
        code = error->code;
    } else {
        ask.question = (const char *)question.data;
        code = ask_desk(&desk, options, &ask, error);
    }
    desk_finish(&desk);
    bytes_finish(&question);
    return code;
}

const struct command command_ask = {
    .name = "ask",
    .usage = "ask [-m MODEL] [-n TOKENS] [--no-cite] PATH... QUESTION|-",
    .summary = "read files and answer a question about them",
    .help = "  -n, --tokens N     tokens of the answer at most (160)\n"
            "  --no-cite          only the answer\n"
            "Exit status 3: the text says nothing about it.\n",
    .run = run,
};
