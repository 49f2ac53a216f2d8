/* SPDX-License-Identifier: Apache-2.0
 *
 * The help: all keys, from the table that binds them, those of the view one came from first.
 */
#include <stdlib.h>

#include "app/ui/app.h"
#include "app/ui/list.h"

static void *create(struct app *a) {
    (void)a;
    return calloc(1, sizeof(struct list));
}

static void destroy(void *state) {
    if (state) {
        list_finish(state);
        free(state);
    }
}

/* The rows that count in all of `contexts` and in none of `without`. */
static void put_part(struct app *a, struct list *l, const char *title, unsigned contexts,
                     unsigned without) {
    styled_puts(&l->styled, title, STYLE_BOLD | STYLE_ACCENT);
    list_end(l, -1);
    for (size_t i = 0; i < key_table_count; i++) {
        char keys[KEY_TEXT];
        keys_text(&a->keys, i, keys);
        unsigned here = key_table[i].contexts;
        if (*keys && (here & contexts) == contexts && !(here & without)) {
            styled_printf(&l->styled, STYLE_BOLD, "  %s", keys);
            list_pad(l, 20);
            styled_printf(&l->styled, STYLE_PLAIN, " %s", key_table[i].help);
            list_pad(l, 59);
            styled_printf(&l->styled, STYLE_DIM, " %s", key_table[i].name);
            list_end(l, (long)i);
        }
    }
}

static void show(struct app *a, void *state) {
    static const struct {
        const char *title;
        unsigned context;
    } parts[] = {
        {"Ask", IN_ASK},           {"Sources", IN_SOURCES}, {"Reader", IN_READER},
        {"Sessions", IN_SESSIONS}, {"Models", IN_MODELS},   {"Welcome", IN_WELCOME},
        {"Find", IN_FIND},         {"Files", IN_FILES},
    };
    struct list *l = state;
    list_clear(l);
    l->top = l->chosen = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].context == app_context(a, a->before)) {
            put_part(a, l, parts[i].title, parts[i].context, 0);
        }
    }
    put_part(a, l, "Everywhere", IN_TYPING | IN_BROWSING, 0);
    put_part(a, l, "While browsing (Esc leads here)", IN_BROWSING, IN_TYPING);
    put_part(a, l, "While typing", IN_TYPING, IN_BROWSING);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].context != app_context(a, a->before)) {
            put_part(a, l, parts[i].title, parts[i].context, 0);
        }
    }
    styled_puts(&l->styled, "Words to type in front of a line", STYLE_BOLD | STYLE_ACCENT);
    list_end(l, -1);
    const char *help, *word;
    for (size_t i = 0; (word = app_slash_help(i, &help)); i++) {
        styled_printf(&l->styled, STYLE_BOLD, "  %s", word);
        list_pad(l, 20);
        styled_printf(&l->styled, STYLE_PLAIN, " %s", help);
        list_end(l, (long)(key_table_count + i));
    }
    styled_puts(&l->styled,
                "Names at the right bind keys anew in config.ini, for example:", STYLE_DIM);
    list_end(l, -1);
    styled_puts(&l->styled, "  [keys]", STYLE_DIM);
    list_end(l, -1);
    styled_puts(&l->styled, "  newline = M-n C-x", STYLE_DIM);
    list_end(l, -1);
}

static void draw(struct app *a, void *state, struct area area) {
    (void)a;
    list_draw(state, area, true);
}

static bool act(struct app *a, void *state, enum action action) {
    struct list *l = state;
    if (action == ACTION_BACK || action == ACTION_HELP) {
        app_show(a, a->before);
        return true;
    }
    return app_list_act(a, l, action);
}

const struct view_ops view_help = {
    .name = "Help",
    .context = IN_HELP,
    .create = create,
    .destroy = destroy,
    .show = show,
    .draw = draw,
    .act = act,
};
