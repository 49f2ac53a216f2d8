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
#include "app/workspace.h"

/* One question, answered, shown and committed. */
static bool turn(struct workspace *w, const struct options *options, const char *question,
                 struct error *error) {
    struct answer a = {0};
    struct answer_options o = answer_options_of_command(options);
    bool ok = workspace_ask(w, question, &o, &a, error) && workspace_record(w, question, &a, error);
    if (ok) {
        int code = answer_report(&a, options, true, error);
        ok = code == 0 || code == ERROR_NOT_IN_SOURCES || code == ERROR_INTERRUPTED;
    }
    answer_finish(&a);
    return ok;
}

static bool talk(struct workspace *w, const struct options *options, struct error *error) {
    bool prompt = isatty(STDIN_FILENO) && isatty(STDERR_FILENO), ok = true;
    char *line = NULL;
    size_t capacity = 0;
    while (ok && !interrupt_requested()) {
        if (prompt) {
            fputs("> ", stderr);
        }
        ssize_t n = getline(&line, &capacity, stdin);
        if (n < 0) {
            break;
        }
        line[strcspn(line, "\r\n")] = '\0';
        if (strcmp(line, "/bye") == 0) {
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
    .help = "A line is a question; /bye or the end of input ends it.\n",
    .run = run,
};
