/* SPDX-License-Identifier: Apache-2.0
 *
 * View Models: what is on this machine and what the catalogue offers; fetching with progress.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/catalogue.h"
#include "app/models.h"
#include "app/progress.h"
#include "app/ui/app.h"
#include "app/ui/complete.h"
#include "app/ui/list.h"

/* Values of the list: index of an installed model, or count + index of a catalogue entry. */
struct models {
    struct installed_models installed;
    struct catalogue catalogue;
    struct list list;
    struct styled told; /* what the last job said */
};

static void forget(struct models *v) {
    installed_models_finish(&v->installed);
    catalogue_finish(&v->catalogue);
    v->installed = (struct installed_models){0};
    v->catalogue = (struct catalogue){0};
}

static void *create(struct app *a) {
    (void)a;
    return calloc(1, sizeof(struct models));
}

static void destroy(void *state) {
    struct models *v = state;
    if (v) {
        forget(v);
        list_finish(&v->list);
        styled_finish(&v->told);
        free(v);
    }
}

static bool is_installed(const struct models *v, const char *name) {
    for (size_t i = 0; i < v->installed.count; i++) {
        if (strcmp(v->installed.models[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_standard(const struct models *v, const char *name) {
    return v->catalogue.standard && strcmp(v->catalogue.standard->name, name) == 0;
}

static void put_installed(struct app *a, struct models *v, size_t i) {
    const struct installed_model *m = &v->installed.models[i];
    struct styled *s = &v->list.styled;
    char size[PROGRESS_SIZE];
    const char *chosen = a->new_model ? a->new_model : a->options.model;
    bool used = chosen ? strcmp(chosen, m->name) == 0 : is_standard(v, m->name);
    styled_puts(s, used ? "* " : "  ", STYLE_BOLD);
    styled_put_safe(s, m->name, strlen(m->name), SAFE_NAME, STYLE_PLAIN);
    list_pad(&v->list, 34);
    styled_printf(s, m->there ? STYLE_PLAIN : STYLE_WARN, " %9s",
                  m->there ? progress_bytes(m->bytes, size) : "! gone");
    styled_puts(s, used ? "  for new sessions" : "", STYLE_PLAIN);
    if (m->linked) {
        styled_puts(s, "  at ", STYLE_DIM);
        list_name(&v->list, m->path, strlen(m->path), STYLE_DIM);
    }
    if (*m->record.sha256) {
        styled_puts(s, m->record.pinned ? "  hash known" : "  hash first seen", STYLE_DIM);
    }
    list_end(&v->list, (long)i);
}

static void put_offered(struct models *v, size_t i) {
    const struct catalogue_entry *e = &v->catalogue.entries[i];
    struct styled *s = &v->list.styled;
    char size[PROGRESS_SIZE];
    styled_puts(s, "  ", STYLE_PLAIN);
    styled_put_safe(s, e->name, strlen(e->name), SAFE_NAME, STYLE_PLAIN);
    list_pad(&v->list, 34);
    styled_printf(s, STYLE_PLAIN, " %9s%s", progress_bytes(e->bytes, size),
                  is_standard(v, e->name) ? "  default" : "");
    styled_printf(s, STYLE_DIM, "%s%s  ", e->adapter ? "  with adapter" : "",
                  e->sha256 ? "" : "  hash not known");
    styled_put_safe(s, e->licence, strlen(e->licence), SAFE_NAME, STYLE_PLAIN);
    list_end(&v->list, (long)(v->installed.count + i));
}

static void show(struct app *a, void *state) {
    struct models *v = state;
    struct error error;
    forget(v);
    app_choose_model(a);
    if (!installed_models_read(&v->installed, &error) || !catalogue_open(&v->catalogue, &error)) {
        app_say(a, STYLE_WARN, "%s", error.text);
    }
    list_clear(&v->list);
    styled_puts(&v->list.styled, "On this machine", STYLE_BOLD);
    list_end(&v->list, -1);
    for (size_t i = 0; i < v->installed.count; i++) {
        put_installed(a, v, i);
    }
    if (v->installed.count == 0) {
        styled_puts(&v->list.styled, "  none yet", STYLE_DIM);
        list_end(&v->list, -1);
    }
    styled_puts(&v->list.styled,
                "To fetch with Enter; a hash that is not known is trusted on first use",
                STYLE_BOLD);
    list_end(&v->list, -1);
    for (size_t i = 0; i < v->catalogue.count; i++) {
        if (!is_installed(v, v->catalogue.entries[i].name)) {
            put_offered(v, i);
        }
    }
}

static void message(struct app *a, void *state, const struct message *m) {
    struct models *v = state;
    if (m->job < JOB_GET) {
        return;
    }
    if (m->kind == MESSAGE_BEGIN) {
        styled_clear(&v->told);
    } else if (m->kind == MESSAGE_NOTE || (m->kind == MESSAGE_END && m->code)) {
        styled_clear(&v->told);
        styled_put_safe(&v->told, m->text ? m->text : "", m->text ? strlen(m->text) : 0, SAFE_NAME,
                        m->kind == MESSAGE_END ? STYLE_WARN : STYLE_PLAIN);
    }
    if (m->kind == MESSAGE_END) {
        show(a, v);
    }
}

static void draw(struct app *a, void *state, struct area area) {
    struct models *v = state;
    struct area list = area;
    if (a->fetching.on) {
        char text[200], progress[100];
        app_progress(&a->fetching, progress, sizeof progress);
        snprintf(text, sizeof text, "%s %s", a->fetching.job == JOB_GET ? "fetching" : "checking",
                 progress);
        screen_puts(area, 0, 0, STYLE_BOLD, text);
        list.y++;
        list.h--;
    }
    if (v->told.text.size && !v->told.text.failed && area.h > 4) {
        struct rows rows = {0};
        struct area told = {area.y + area.h - 3, area.x, 3, area.w};
        if (text_wrap(&v->told, area.w, WRAP_WORDS, &rows)) {
            for (size_t i = 0; i < rows.count && i < 3; i++) {
                screen_row(told, (int)i, &v->told, &rows.items[i], STYLE_PLAIN);
            }
        }
        rows_finish(&rows);
        list.h -= 3;
    }
    list_draw(&v->list, list, true);
}

/* ---- keys ---- */

static void add(struct app *a, const char *typed) {
    if (strstr(typed, "://")) {
        app_submit(a, JOB_GET, NULL, typed);
        return;
    }
    char *path = complete_expand(typed);
    if (path) {
        app_submit(a, JOB_ADD, NULL, path);
    }
    free(path);
}

static void discard(struct app *a, const char *yes) {
    (void)yes;
    app_submit(a, JOB_DISCARD, a->subject, NULL);
}

static void open_chosen(struct app *a, struct models *v, size_t i) {
    if (i >= v->installed.count) {
        app_submit(a, JOB_GET, NULL, v->catalogue.entries[i - v->installed.count].name);
        return;
    }
    app_use_model(a, v->installed.models[i].name);
    show(a, v);
}

static bool act_on_installed(struct app *a, struct models *v, enum action action, size_t i) {
    char text[300];
    if (i >= v->installed.count) {
        app_say(a, STYLE_PLAIN, "it is not on this machine; Enter fetches it");
        return true;
    }
    const struct installed_model *m = &v->installed.models[i];
    if (action == ACTION_VERIFY) {
        app_submit(a, JOB_VERIFY, m->name, NULL);
        return true;
    }
    char *safe = app_safe(m->name, strlen(m->name));
    snprintf(text, sizeof text, "%s %s? y/n ",
             m->linked ? "Forget (the file stays) model" : "Delete model", safe);
    free(safe);
    app_about(a, m->name);
    app_question(a, text, discard);
    return true;
}

static bool act(struct app *a, void *state, enum action action) {
    struct models *v = state;
    long chosen = list_chosen(&v->list);
    switch (action) {
    case ACTION_OPEN:
        if (chosen >= 0) {
            open_chosen(a, v, (size_t)chosen);
        }
        return true;
    case ACTION_ADD:
        app_prompt(a, "URL, or path of a GGUF file: ", "", true, add);
        return true;
    case ACTION_VERIFY:
    case ACTION_REMOVE:
        return chosen < 0 || act_on_installed(a, v, action, (size_t)chosen);
    default:
        return app_list_act(a, &v->list, action);
    }
}

const struct view_ops view_models = {
    .name = "Models",
    .context = IN_MODELS,
    .create = create,
    .destroy = destroy,
    .show = show,
    .message = message,
    .draw = draw,
    .act = act,
};
