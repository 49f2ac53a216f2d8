/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem chat: questions and answers line by line on a saved session. Every turn is committed
 * before the next prompt. No screen control at all: for plain terminals, screen readers and
 * scripts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/answer_report.h"
#include "app/commands.h"
#include "app/interrupt.h"
#include "app/options.h"
#include "app/progress.h"
#include "app/terminal_line.h"
#include "app/workspace.h"

/* One question, answered, shown and committed. */
static bool turn(struct workspace *w, const struct options *options, const char *question,
                 struct error *error) {
    struct answer a = {0};
    struct answer_options o = answer_options_of_command(options);
    bool ok = workspace_record_question(w, question, error) &&
              workspace_ask(w, question, &o, &a, error) && workspace_record_answer(w, &a, error);
    if (ok) {
        int code = answer_report(&a, options, true, error);
        ok = code == 0 || code == ERROR_NOT_IN_SOURCES || code == ERROR_INTERRUPTED;
        if (ok && a.stopped) {
            struct progress p;
            progress_init(&p, options);
            progress_message(&p, "stopped");
        }
    }
    answer_finish(&a);
    return ok;
}

/* Where somebody types, Ctrl-C stops the answer under way and the prompt comes back. */
static bool talk(struct workspace *w, const struct options *options, struct error *error) {
    bool typed = isatty(STDIN_FILENO), prompt = typed && isatty(STDERR_FILENO), ok = true;
    char *line = NULL;
    size_t capacity = 0;
    while (ok && (!interrupt_requested() || (typed && interrupt_forget()))) {
        if (prompt) {
            fputs("> ", stderr);
        }
        enum terminal_line what = terminal_line_read(&line, &capacity, typed);
        if (what == LINE_TAKEN_BACK) {
            if (prompt) {
                fputc('\n', stderr);
            }
            continue;
        }
        if (what != LINE_READ || strcmp(line, "/bye") == 0) {
            break;
        }
        ok = !*line || turn(w, options, line, error);
    }
    if (prompt) {
        fputc('\n', stderr);
    }
    free(line);
    return ok && (!interrupt_requested() || interrupt_error(error));
}

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    if (!options_read(NULL, 0, &argc, argv, error)) {
        return error->code;
    }
    if (!options->session || argc != 0) {
        error_set(error, ERROR_USAGE, "%s, expected: allmem %s",
                  options->session ? "too many words" : "-s NAME is missing", command_chat.usage);
        return ERROR_USAGE;
    }
    struct workspace w;
    bool ok = workspace_open(&w, options, options->session, WORKSPACE_CHAT, NULL, error) &&
              talk(&w, options, error);
    workspace_close(&w);
    return ok ? 0 : (int)error->code;
}

const struct command command_chat = {
    .name = "chat",
    .usage = "chat -s NAME",
    .summary = "ask a session line by line; every turn is saved",
    .help =
        "A line is a question; /bye or the end of input (Ctrl-D) ends it. Ctrl-C stops an answer,\n"
        "takes back a line that is being typed, and ends the talk on an empty one.\n",
    .run = run,
};
