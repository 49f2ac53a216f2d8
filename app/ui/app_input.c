/* SPDX-License-Identifier: Apache-2.0
 *
 * From keys to what they do: the prompt or the input line first, then the view, then what counts
 * everywhere.
 */
#include <stdlib.h>
#include <string.h>

#include "app/ui/app_private.h"
#include "app/ui/complete.h"

enum { PASTE_MOST = 4 * 1024 * 1024 };

static struct editor *editor_of(struct app *a) {
    return a->prompt.on ? &a->prompt.editor : &a->editor;
}

/* ---- paste ---- */

/* A paste becomes text, whatever it holds; nothing in it is a key. */
static void take_paste(struct app *a) {
    if (a->paste.size && !a->paste.failed) {
        if (!a->typing && !a->prompt.on) {
            app_show(a, a->view == VIEW_WELCOME ? VIEW_WELCOME : VIEW_ASK);
            a->typing = true;
        }
        editor_insert(editor_of(a), (const char *)a->paste.data, a->paste.size);
    }
    bytes_finish(&a->paste);
}

static void paste_key(struct app *a, int key) {
    struct editor piece = {0};
    if (key & KEY_ALT) {
        paste_key(a, KEY_ESCAPE);
        key &= ~KEY_ALT;
    }
    if (key == '\r' || key == '\n') {
        bytes_put_u8(&a->paste, '\n');
    } else if (!(key & KEY_OF_TERMINAL) && a->paste.size < PASTE_MOST) {
        editor_insert_key(&piece, key);
        bytes_put(&a->paste, piece.text.data, piece.text.size);
    }
    editor_finish(&piece);
}

/* ---- prompts ---- */

static void end_prompt(struct app *a, bool give) {
    a->prompt.on = false;
    if (give) {
        char *text = strdup(editor_text(&a->prompt.editor));
        if (text) {
            a->prompt.done(a, text);
        }
        free(text);
    }
}

static void prompt_key(struct app *a, int key, enum action action) {
    if (action == ACTION_ESCAPE || action == ACTION_STOP || key == KEY_ESCAPE) {
        end_prompt(a, false);
    } else if (a->prompt.yes_no) {
        end_prompt(a, key == 'y' || key == 'Y');
    } else if (action == ACTION_SEND) {
        end_prompt(a, *editor_text(&a->prompt.editor) != '\0');
    } else if (action == ACTION_COMPLETE && a->prompt.path) {
        complete_path(&a->prompt.editor, 0, &a->status);
    } else if (action == ACTION_DELETE && !*editor_text(&a->prompt.editor)) {
        end_prompt(a, false);
    } else {
        app_act(a, action);
    }
}

/* ---- what actions do ---- */

static void send(struct app *a) {
    char *text = strdup(editor_text(&a->editor));
    if (!text || text[strspn(text, " \n")] == '\0') {
        if (a->view == VIEW_WELCOME) {
            app_views[VIEW_WELCOME]->act(a, a->states[VIEW_WELCOME], ACTION_SEND);
        }
    } else if (text[0] == '/' && (a->view != VIEW_WELCOME || app_is_slash(text))) {
        editor_remember(&a->editor, text);
        editor_set(&a->editor, "");
        app_slash(a, text);
    } else if (a->view == VIEW_WELCOME) {
        app_views[VIEW_WELCOME]->act(a, a->states[VIEW_WELCOME], ACTION_SEND);
    } else {
        if (a->view != VIEW_ASK && !(a->view == VIEW_READER && app_wide())) {
            app_show(a, VIEW_ASK);
        }
        if (app_views[VIEW_ASK]->act(a, a->states[VIEW_ASK], ACTION_SEND)) {
            editor_remember(&a->editor, text);
            editor_set(&a->editor, "");
        }
    }
    free(text);
}

static void complete(struct app *a) {
    const char *text = editor_text(&a->editor);
    size_t space = strcspn(text, " ");
    if (a->view == VIEW_WELCOME) {
        complete_path(&a->editor, 0, &a->status);
    } else if (text[0] == '/' && a->editor.at <= space) {
        complete_word(&a->editor, 0, app_slash_words, &a->status);
    } else if (text[0] == '/') {
        complete_path(&a->editor, space + strspn(text + space, " "), &a->status);
    }
}

/* An answer stops at once; a reading only where it is looked at, for it may be hours of work. */
static void escape(struct app *a) {
    bool answer = a->reading.on && (a->reading.job == JOB_ASK || a->resume);
    bool reading = a->reading.on && a->reading.job == JOB_INGEST &&
                   (a->view == VIEW_SOURCES || a->view == VIEW_WELCOME);
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
    if (a->view == VIEW_READER || a->view == VIEW_SOURCES || a->view == VIEW_SESSIONS ||
        a->view == VIEW_MODELS) {
        app_show(a, a->session ? VIEW_ASK : VIEW_WELCOME);
    } else {
        a->typing = true;
    }
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

static bool act_typing(struct app *a, enum action action) {
    switch (action) {
    case ACTION_SEND:
        send(a);
        return true;
    case ACTION_COMPLETE:
        complete(a);
        return true;
    case ACTION_ESCAPE:
        escape(a);
        return true;
    case ACTION_SCROLL_UP:
    case ACTION_SCROLL_DOWN:
        app_views[a->view]->act(a, a->states[a->view], action);
        return true;
    case ACTION_DELETE:
        if (!*editor_text(&a->editor)) {
            a->quit = true;
            return true;
        }
        return editor_act(&a->editor, action);
    default:
        return editor_act(&a->editor, action);
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
        editor_act(&a->prompt.editor, action);
    } else if (!act_anywhere(a, action)) {
        if (a->typing) {
            act_typing(a, action);
        } else if (!app_views[a->view]->act(a, a->states[a->view], action)) {
            act_browsing(a, action);
        }
    }
}

void app_key(struct app *a, int key) {
    a->dirty = true;
    if (a->pasting) {
        if (key == KEY_IS_PASTE_END) {
            a->pasting = false;
            take_paste(a);
        } else {
            paste_key(a, key);
        }
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
        escape(a);
    } else if (a->prompt.on && action != ACTION_NONE) {
        prompt_key(a, key, action);
    } else if (a->prompt.on && a->prompt.yes_no) {
        prompt_key(a, key, action);
    } else if (action != ACTION_NONE) {
        app_act(a, action);
    } else if (typing && key >= ' ' && !(key & (KEY_OF_TERMINAL | KEY_ALT))) {
        editor_insert_key(editor_of(a), key);
    }
}
