/* SPDX-License-Identifier: Apache-2.0
 *
 * The welcome view: from an empty machine to the first question in three steps. Each step says what
 * to press; Enter does the next one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/catalogue.h"
#include "app/models.h"
#include "app/progress.h"
#include "app/ui/app.h"
#include "app/ui/complete.h"

struct welcome {
    bool model;       /* there is one to use */
    char *model_name; /* filtered; of that, or of the one to fetch */
    char size[PROGRESS_SIZE];
    char trouble[400]; /* why the last step failed, filtered */
};

static void *create(struct app *a) {
    (void)a;
    return calloc(1, sizeof(struct welcome));
}

static void destroy(void *state) {
    struct welcome *v = state;
    if (v) {
        free(v->model_name);
        free(v);
    }
}

static void look(struct app *a, void *state) {
    struct welcome *v = state;
    struct model_choice choice = {0};
    struct catalogue catalogue = {0};
    struct error error;
    free(v->model_name);
    v->model_name = NULL;
    app_choose_model(a);
    v->model = model_choose(&choice, a->new_model ? a->new_model : a->options.model, &error);
    if (v->model) {
        v->model_name = app_safe(choice.name, strlen(choice.name));
    } else if (catalogue_open(&catalogue, &error)) {
        v->model_name = app_safe(catalogue.standard->name, strlen(catalogue.standard->name));
        progress_bytes(catalogue.standard->bytes, v->size);
    }
    model_choice_finish(&choice);
    catalogue_finish(&catalogue);
}

static void message(struct app *a, void *state, const struct message *m) {
    struct welcome *v = state;
    if (m->kind == MESSAGE_BEGIN) {
        v->trouble[0] = '\0';
    } else if (m->kind == MESSAGE_END) {
        look(a, v);
        if (m->code && a->view == VIEW_WELCOME) {
            char *safe = app_safe(m->text ? m->text : "", m->text ? strlen(m->text) : 0);
            snprintf(v->trouble, sizeof v->trouble, "%s", safe);
            free(safe);
        } else if (m->job == JOB_INGEST && a->view == VIEW_WELCOME) {
            app_show(a, VIEW_ASK);
            app_say(a, STYLE_PLAIN, "It has read all of it. Ask!");
        }
    }
}

/* ---- drawing ---- */

static void put_model(struct app *a, const struct welcome *v, struct styled *s) {
    char progress[100];
    styled_puts(s, v->model ? "[done] " : "[    ] ", STYLE_BOLD);
    styled_puts(s, "1. A model. ", STYLE_BOLD);
    if (v->model) {
        styled_puts(s, v->model_name, STYLE_PLAIN);
        styled_puts(s, " is here.\n", STYLE_PLAIN);
    } else if (a->fetching.on) {
        app_progress(&a->fetching, progress, sizeof progress);
        styled_puts(s, "fetching ", STYLE_PLAIN);
        styled_puts(s, v->model_name ? v->model_name : "", STYLE_PLAIN);
        styled_printf(s, STYLE_BOLD, ": %s\n", progress);
    } else {
        styled_puts(s, "Press Enter to download ", STYLE_PLAIN);
        styled_puts(s, v->model_name ? v->model_name : "the default model", STYLE_PLAIN);
        styled_printf(s, STYLE_PLAIN,
                      " (%s).\n          M-5 shows others, and takes a file of yours.\n", v->size);
    }
}

static void put_text(struct app *a, const struct welcome *v, struct styled *s) {
    char progress[100];
    bool reading = app_reads(a);
    styled_puts(s, "[    ] ", STYLE_BOLD);
    styled_puts(s, "2. A text. ", STYLE_BOLD);
    if (reading) {
        app_progress(&a->reading, progress, sizeof progress);
        styled_puts(s, "Reading ", STYLE_PLAIN);
        styled_printf(s, STYLE_BOLD, "%s\n", progress);
        styled_puts(s,
                    "          Esc stops, and nothing is lost; M-1 lets you ask before the end.\n",
                    STYLE_DIM);
    } else if (v->model) {
        styled_puts(s,
                    "Type the path of a file or folder below and press Enter.\n"
                    "          Tab completes the path, C-o shows a list.\n",
                    STYLE_PLAIN);
    } else {
        styled_puts(s, "A book, a manual, a folder of code: it is read once and kept.\n",
                    STYLE_DIM);
    }
}

static void draw(struct app *a, void *state, struct area area) {
    struct welcome *v = state;
    struct styled s = {0};
    struct rows rows = {0};
    styled_puts(&s, "AllMem reads a whole book or codebase once and answers questions about it.\n",
                STYLE_BOLD);
    styled_puts(&s, "Everything stays on this machine.\n\n", STYLE_PLAIN);
    put_model(a, v, &s);
    put_text(a, v, &s);
    styled_puts(&s, "[    ] ", STYLE_BOLD);
    styled_puts(&s, "3. Ask. ", STYLE_BOLD);
    styled_puts(&s, "Answers cite the places that they come from.\n\n", STYLE_DIM);
    if (*v->trouble) {
        styled_puts(&s, v->trouble, STYLE_WARN);
        styled_puts(&s, "\n\n", STYLE_PLAIN);
    }
    styled_puts(&s, "F1 shows all keys; C-d on the empty line quits.", STYLE_DIM);
    if (!s.text.failed && text_wrap(&s, area.w, WRAP_WORDS, &rows)) {
        for (size_t i = 0; i < rows.count; i++) {
            screen_row(area, (int)i, &s, &rows.items[i], STYLE_PLAIN);
        }
    }
    rows_finish(&rows);
    styled_finish(&s);
}

/* ---- keys ---- */

static void next_step(struct app *a, struct welcome *v) {
    char *path = complete_expand(editor_text(&a->editor));
    const char *one = path;
    if (path && *path && v->model) {
        app_read(a, &one, 1, true);
        editor_set(&a->editor, "");
    } else if (path && *path) {
        app_say(a, STYLE_PLAIN, "the model comes first: clear the line and press Enter");
    } else if (!v->model && !a->fetching.on) {
        app_submit(a, JOB_GET, NULL, NULL);
    } else if (v->model) {
        app_say(a, STYLE_PLAIN, "type the path of a file or folder");
    }
    free(path);
}

static bool act(struct app *a, void *state, enum action action) {
    switch (action) {
    case ACTION_SEND:
    case ACTION_OPEN:
        next_step(a, state);
        return true;
    default:
        return false;
    }
}

const struct view_ops view_welcome = {
    .name = "Welcome",
    .context = IN_WELCOME,
    .create = create,
    .destroy = destroy,
    .show = look,
    .message = message,
    .draw = draw,
    .act = act,
};
