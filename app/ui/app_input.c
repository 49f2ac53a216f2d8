/* SPDX-License-Identifier: Apache-2.0
 *
 * From keys to what they do: the prompt or the input line first, then the view, then what counts
 * everywhere.
 */
#include <stdlib.h>
#include <string.h>

#include "app/ui/app_private.h"

/* ---- what actions do ---- */

/* An answer stops at once; a reading only where it is looked at, for it may be hours of work. */
void app_escape(struct app *a) {
    bool answer = a->reading.on && (a->reading.job == JOB_ASK || a->resume);
    bool reading = app_reads(a) && (a->view == VIEW_SOURCES || a->view == VIEW_WELCOME);
    bool fetching = a->fetching.on && (a->view == VIEW_MODELS || a->view == VIEW_WELCOME);
    if (answer || reading || fetching) {
        app_stop(a, !answer);
    } else {
        a->typing = false;
    }
}

static void stop(struct app *a) {
    if (a->reading.on || a->fetching.on) {
        app_stop(a, true);
    } else if (a->typing && *editor_text(&a->editor)) {
        editor_remember(&a->editor, editor_text(&a->editor));
        editor_set(&a->editor, "");
    } else {
        app_say(a, STYLE_PLAIN, "nothing runs; Q while browsing, or C-d on the empty line, quits");
    }
}

static void search_for(struct app *a, const char *words) {
    free(a->search);
    a->search = strdup(words);
    app_act(a, ACTION_SEARCH_NEXT);
}

static void back(struct app *a) {
    if (a->view == VIEW_ASK || a->view == VIEW_WELCOME) {
        a->typing = true;
    } else {
        app_show(a, a->session ? VIEW_ASK : VIEW_WELCOME);
    }
}

/* Searching and moving are the same in all lists. */
bool app_list_act(struct app *a, struct list *l, enum action action) {
    bool back = action == ACTION_SEARCH_PREVIOUS;
    if (action != ACTION_SEARCH_NEXT && !back) {
        return list_act(l, action);
    }
    if (a->search && !list_find(l, a->search, back)) {
        app_say(a, STYLE_PLAIN, "not found: %s", a->search);
    }
    return true;
}

static bool act_anywhere(struct app *a, enum action action) {
    switch (action) {
    case ACTION_STOP:
        stop(a);
        return true;
    case ACTION_SUSPEND:
        screen_suspend();
        return true;
    case ACTION_REDRAW:
        screen_repaint();
        return true;
    case ACTION_HELP:
        app_show(a, a->view == VIEW_HELP ? a->before : VIEW_HELP);
        return true;
    case ACTION_QUIT:
        a->quit = true;
        return true;
    case ACTION_ASK:
        app_show(a, VIEW_ASK);
        a->typing = true;
        return true;
    case ACTION_VIEW_ASK:
    case ACTION_VIEW_SOURCES:
    case ACTION_VIEW_READER:
    case ACTION_VIEW_SESSIONS:
    case ACTION_VIEW_MODELS:
        app_show(a, VIEW_ASK + (action - ACTION_VIEW_ASK));
        return true;
    default:
        return false;
    }
}

static bool act_browsing(struct app *a, enum action action) {
    switch (action) {
    case ACTION_TYPE:
        a->typing = true;
        return true;
    case ACTION_COMMAND:
        a->typing = true;
        editor_set(&a->editor, "/");
        return true;
    case ACTION_SEARCH:
        app_prompt(a, "search: ", a->search ? a->search : "", false, search_for);
        return true;
    case ACTION_PANE:
        app_show(a, a->view == VIEW_ASK ? VIEW_READER : VIEW_ASK);
        return true;
    case ACTION_BACK:
        back(a);
        return true;
    default:
        return false;
    }
}

void app_act(struct app *a, enum action action) {
    if (a->prompt.on) {
        bool here = editor_act(&a->prompt.editor, action);
        if (!here && (action == ACTION_SUSPEND || action == ACTION_REDRAW)) {
            act_anywhere(a, action);
        }
    } else if (!act_anywhere(a, action)) {
        if (a->typing) {
            app_act_typing(a, action);
        } else if (!app_views[a->view]->act(a, a->states[a->view], action)) {
            act_browsing(a, action);
        }
    }
}

void app_key(struct app *a, int key) {
    if ((key & ~KEY_ALT) == KEY_OF_TERMINAL) {
        return; /* none that we know, or that the size has changed */
    }
    a->dirty = true;
    if (a->pasting) {
        app_paste(a, key);
        return;
    }
    styled_clear(&a->status);
    if (key == KEY_IS_PASTE_BEGIN) {
        a->pasting = true;
        return;
    }
    bool typing = a->typing || a->prompt.on;
    enum action action =
        keys_find(&a->keys, key, typing ? IN_TYPING : IN_BROWSING | app_context(a, a->view));
    if (!typing && action == ACTION_BACK && key == KEY_ESCAPE &&
        (a->reading.on || a->fetching.on)) {
        app_escape(a);
    } else if (a->prompt.on && action != ACTION_NONE) {
        app_prompt_key(a, key, action);
    } else if (a->prompt.on && a->prompt.yes_no) {
        app_prompt_key(a, key, action);
    } else if (action != ACTION_NONE) {
        app_act(a, action);
    } else if (typing && key >= ' ' && !(key & (KEY_OF_TERMINAL | KEY_ALT))) {
        editor_insert_key(app_editor(a), key);
    }
    if (action != ACTION_HISTORY_SEARCH) {
        app_prompt_changed(a);
    }
}
