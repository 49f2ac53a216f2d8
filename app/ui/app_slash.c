/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines that begin with a slash: what keys do, by words.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/models.h"
#include "app/ui/app_private.h"
#include "app/ui/complete.h"
#include "app/workspace.h"

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
    struct error error;
    char *path = session_file(rest, true, &error);
    if (path) {
        app_open(a, rest);
    } else {
        app_say(a, STYLE_WARN, "%s", error.text);
    }
    free(path);
}

static void as_of(struct app *a, const char *rest) {
    if (!a->session) {
        app_say(a, STYLE_WARN, "no session is open");
    } else if (*rest || a->mark) {
        app_open_as_of(a, *rest ? rest : NULL);
    } else {
        app_say(a, STYLE_PLAIN,
                "as of which place? Tab behind /as-of lists them; a share (\"50 %%\") will do");
    }
}

static void export(struct app *a, const char *rest) {
    char *path = complete_expand(rest);
    if (!a->session) {
        app_say(a, STYLE_WARN, "no session is open");
    } else if (path) {
        app_submit(a, JOB_EXPORT, a->session, path);
    }
    free(path);
}

static void choose_model(struct app *a, const char *rest) {
    struct model_choice choice = {0};
    struct error error;
    if (!*rest) {
        app_show(a, VIEW_MODELS);
    } else if (model_choose(&choice, rest, &error)) {
        app_use_model(a, rest);
    } else {
        app_say(a, STYLE_WARN, "%s", error.text);
    }
    model_choice_finish(&choice);
}

/* What of the answers can be set while the program runs; the values hold for those that follow. */
static void set(struct app *a, const char *rest) {
    char name[16] = "", more;
    double value;
    int count = sscanf(rest, "%15s %lf %c", name, &value, &more);
    if (count == 2 && strcmp(name, "temp") == 0 && value >= 0 && value <= 10) {
        a->options.temperature = (float)value;
    } else if (count == 2 && strcmp(name, "seed") == 0 && value >= 0 && value < 1e15) {
        a->options.seed = (uint64_t)value;
    } else if (*rest) {
        app_say(a, STYLE_WARN, "/set temp 0..10, or /set seed N");
        return;
    }
    app_say(a, STYLE_PLAIN, "temp %g, seed %llu", (double)a->options.temperature,
            (unsigned long long)a->options.seed);
}

static void bye(struct app *a, const char *rest) {
    (void)rest;
    a->quit = true;
}

/* `view`: where a word without `run` leads. Ends with an empty row. */
static const struct slash {
    const char *word;
    bool needs; /* something behind the word */
    void (*run)(struct app *a, const char *rest);
    enum view_id view;
    const char *help;
} words[] = {
    {"/add PATH", true, add, 0, "read a file or folder too"},
    {"/as-of MARK", false, as_of, 0, "answer as of a place; alone: as of the end"},
    {"/bye", false, bye, 0, "quit"},
    {"/export FILE", true, export, 0, "the session as one file, to hand on"},
    {"/find WORDS", true, find_words, 0, "the passages that hold all of the words"},
    {"/fork NAME", true, fork_session, 0, "go on with a copy of the session"},
    {"/get NAME", false, get, 0, "fetch a model, by name or address"},
    {"/help", false, NULL, VIEW_HELP, "this help"},
    {"/model NAME", false, choose_model, 0, "the model of sessions made from now on"},
    {"/models", false, NULL, VIEW_MODELS, "view Models"},
    {"/open NAME", true, open_session, 0, "go on with a session"},
    {"/sessions", false, NULL, VIEW_SESSIONS, "view Sessions"},
    {"/set NAME N", false, set, 0, "temp (0: always the same) or seed of the answers"},
    {"/sources", false, NULL, VIEW_SOURCES, "view Sources"},
    {0},
};

const char *app_slash_help(size_t i, const char **help) {
    *help = words[i].help;
    return words[i].word;
}

static size_t word_size(const char *line) {
    return strcspn(line, " \n");
}

bool app_slash_is(const char *line, const char *word) {
    return word_size(line) == word_size(word) && strncmp(line, word, word_size(word)) == 0;
}

static const struct slash *find_slash(const char *line) {
    for (const struct slash *s = words; s->word; s++) {
        if (app_slash_is(line, s->word)) {
            return s;
        }
    }
    return NULL;
}

bool app_is_slash(const char *line) {
    return find_slash(line) != NULL;
}

void app_complete_slash(struct app *a) {
    char names[sizeof words / sizeof *words][16];
    const char *list[sizeof words / sizeof *words] = {0};
    for (size_t i = 0; words[i].word; i++) {
        snprintf(names[i], sizeof names[i], "%.*s", (int)word_size(words[i].word), words[i].word);
        list[i] = names[i];
    }
    complete_word(&a->editor, 0, list, &a->status);
}

void app_slash(struct app *a, const char *line) {
    const struct slash *s = find_slash(line);
    if (!s) {
        app_say(a, STYLE_WARN, "there is no %.*s; Tab behind / lists the words",
                (int)word_size(line), line);
        return;
    }
    char *rest = strdup(line + word_size(line) + strspn(line + word_size(line), " \n"));
    if (!rest) {
        return;
    }
    for (size_t n = strlen(rest); n > 0 && strchr(" \n", rest[n - 1]); n--) {
        rest[n - 1] = '\0';
    }
    if (s->needs && !*rest) {
        app_say(a, STYLE_WARN, "%.*s what?", (int)word_size(s->word), s->word);
    } else if (s->run) {
        s->run(a, rest);
    } else {
        app_show(a, s->view);
    }
    free(rest);
}
