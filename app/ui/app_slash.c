/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines that begin with a slash: what keys do, by words.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/ui/app_private.h"

static void add(struct app *a, const char *rest) {
    app_read(a, &rest, 1, false);
}

static void fork_session(struct app *a, const char *rest) {
    if (!a->session) {
        app_say(a, STYLE_WARN, "no session is open");
        return;
    }
    app_fork(a, a->session, rest);
}

static void get(struct app *a, const char *rest) {
    app_submit(a, JOB_GET, NULL, *rest ? rest : NULL);
    app_show(a, VIEW_MODELS);
}

static void open_session(struct app *a, const char *rest) {
    app_open(a, rest);
}

static void bye(struct app *a, const char *rest) {
    (void)rest;
    a->quit = true;
}

/* `view`: where a word without `run` leads. */
static const struct {
    const char *word;
    bool needs; /* something behind the word */
    void (*run)(struct app *a, const char *rest);
    enum view_id view;
} words[] = {
    {"/add", true, add, 0},
    {"/bye", false, bye, 0},
    {"/fork", true, fork_session, 0},
    {"/get", false, get, 0},
    {"/help", false, NULL, VIEW_HELP},
    {"/models", false, NULL, VIEW_MODELS},
    {"/open", true, open_session, 0},
    {"/sessions", false, NULL, VIEW_SESSIONS},
    {"/sources", false, NULL, VIEW_SOURCES},
};
enum { WORDS = sizeof words / sizeof *words };

const char *const app_slash_words[] = {
    "/add", "/bye", "/fork", "/get", "/help", "/models", "/open", "/sessions", "/sources", NULL,
};

bool app_is_slash(const char *line) {
    size_t size = strcspn(line, " \n");
    for (size_t i = 0; i < WORDS; i++) {
        if (strlen(words[i].word) == size && strncmp(words[i].word, line, size) == 0) {
            return true;
        }
    }
    return false;
}

void app_slash(struct app *a, const char *line) {
    size_t size = strcspn(line, " \n");
    for (size_t i = 0; i < WORDS; i++) {
        if (strlen(words[i].word) == size && strncmp(words[i].word, line, size) == 0) {
            char *rest = strdup(line + size + strspn(line + size, " \n"));
            if (!rest) {
                return;
            }
            for (size_t n = strlen(rest); n > 0 && strchr(" \n", rest[n - 1]); n--) {
                rest[n - 1] = '\0';
            }
            if (words[i].needs && !*rest) {
                app_say(a, STYLE_WARN, "%s what?", words[i].word);
            } else if (words[i].run) {
                words[i].run(a, rest);
            } else {
                app_show(a, words[i].view);
            }
            free(rest);
            return;
        }
    }
    app_say(a, STYLE_WARN, "there is no %.*s; Tab behind / lists the words", (int)size, line);
}
