/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem ask: answers one question from a saved session, or from files that are read for it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/answer_report.h"
#include "app/commands.h"
#include "app/interrupt.h"
#include "app/library.h"
#include "app/loading.h"
#include "app/memory_index.h"
#include "app/options.h"
#include "app/reading.h"
#include "app/stdin_text.h"
#include "app/workspace.h"

struct ask {
    const char *question;
    uint64_t tokens;
    bool citations;
    const char *mark; /* --as-of, or NULL */
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

static struct answer_options answer_options_of(const struct options *options,
                                               const struct ask *ask) {
    struct answer_options o = answer_options_of_command(options);
    o.tokens = ask->tokens;
    return o;
}

/* Passages are looked up before the long read: a question that the text has nothing on needs none.
 */
static bool answer_at_desk(struct desk *d, const struct options *options, const struct ask *ask,
                           struct answer *a, struct error *error) {
    struct engine *engine = d->loaded.engine;
    struct session_options so = session_options_of(options, engine);
    struct answer_options o = answer_options_of(options, ask);
    struct retrieve_options ro = retrieve_options_default();
    ro.budget = answer_passage_budget(so.window);
    ro.cost = answer_token_cost;
    ro.cost_context = (void *)engine_tokenizer(engine);
    struct passage_index index = memory_index_view(d->index);
    struct retrieval retrieval = {0};
    bool ok = retrieve(&index, d->words, ask->question, &ro, &retrieval, error) &&
              (d->session = session_create(engine, &so, error)) &&
              (!retrieval.supported ||
               reading_append_library(d->session, engine, &d->library, options, error)) &&
              answer_question(a, d->session, engine, ask->question, &retrieval, &index, d->words,
                              &o, error);
    retrieval_finish(&retrieval);
    return ok;
}

static int ask_paths(char **paths, size_t count, const struct options *options,
                     const struct ask *ask, struct error *error) {
    struct desk desk = {0};
    struct answer a = {0};
    bool ok = gather(&desk, paths, count, options, error) &&
              load_engine(&desk.loaded, options, true, error) &&
              answer_at_desk(&desk, options, ask, &a, error);
    int code = ok ? answer_report(&a, options, ask->citations, error) : (int)error->code;
    answer_finish(&a);
    desk_finish(&desk);
    return code;
}

static int ask_session(const struct options *options, const struct ask *ask, struct error *error) {
    struct workspace w;
    struct answer a = {0};
    struct answer_options o = answer_options_of(options, ask);
    bool ok = workspace_open(&w, options, options->session, WORKSPACE_ASK, ask->mark, error) &&
              workspace_ask(&w, ask->question, &o, &a, error);
    int code = ok ? answer_report(&a, options, ask->citations, error) : (int)error->code;
    answer_finish(&a);
    workspace_close(&w);
    return code;
}

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    struct ask ask = {.tokens = answer_options_default().tokens, .citations = true};
    const struct option table[] = {
        {.name = "tokens", .letter = 'n', .kind = OPTION_COUNT, .value = &ask.tokens, .most = 1e6},
        {.name = "cite", .kind = OPTION_FLAG, .value = &ask.citations},
        {.name = "as-of", .kind = OPTION_TEXT, .value = &ask.mark},
    };
    if (!options_read(table, sizeof table / sizeof *table, &argc, argv, error)) {
        return error->code;
    }
    if (options->session ? argc != 1 : argc < 2) {
        error_set(error, ERROR_USAGE, "found %d words, expected %s: allmem %s", argc,
                  options->session ? "a question" : "a path and a question", command_ask.usage);
        return ERROR_USAGE;
    }
    if (ask.mark && !options->session) {
        error_set(error, ERROR_USAGE, "--as-of needs a saved session (-s NAME)");
        return ERROR_USAGE;
    }
    struct bytes question = {0};
    int code;
    if (!text_or_stdin(argv[argc - 1], &question, error)) {
        code = error->code;
    } else {
        while (question.size > 0 && strchr(" \t\r\n", question.data[question.size - 1])) {
            question.data[--question.size] = '\0'; /* the newline of echo is no part of it */
        }
        ask.question = (const char *)question.data;
        code = options->session ? ask_session(options, &ask, error)
                                : ask_paths(argv, (size_t)argc - 1, options, &ask, error);
    }
    bytes_finish(&question);
    return code;
}

const struct command command_ask = {
    .name = "ask",
    .usage = "ask [-m MODEL] [-n TOKENS] (-s NAME [--as-of MARK] | PATH...) QUESTION|-",
    .summary = "answer a question about a session, or about files",
    .help =
        "  -s, --session NAME a saved session; it stays as it was\n"
        "  --as-of MARK       from the memory as it was at a mark (allmem session show), named\n"
        "                     by a part of it, or at a share of what was read (\"50 %\")\n"
        "  -n, --tokens N     tokens of the answer at most (120)\n"
        "  --no-cite          only the answer\n"
        "Without -s the files are read first, and forgotten afterwards.\n"
        "Exit status 3: the text says nothing about it.\n",
    .run = run,
};
