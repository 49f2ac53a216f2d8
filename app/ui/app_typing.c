/* SPDX-License-Identifier: Apache-2.0
 *
 * The input line and the prompts in its place: pastes, completion, the questions of before, and
 * what Enter does with the line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/ui/app_private.h"
#include "app/ui/complete.h"
#include "app/ui/external.h"
#include "storage/snapshots.h"

enum { PASTE_MOST = 4 * 1024 * 1024 };

struct editor *app_editor(struct app *a) {
    return a->prompt.on ? &a->prompt.editor : &a->editor;
}

/* ---- paste ---- */

/* A paste becomes text, whatever it holds; nothing in it is a key. */
static void end_paste(struct app *a) {
    if (a->paste.size && !a->paste.failed) {
        if (!a->typing && !a->prompt.on) {
            app_show(a, a->view == VIEW_WELCOME ? VIEW_WELCOME : VIEW_ASK);
            a->typing = true;
        }
        editor_insert(app_editor(a), (const char *)a->paste.data, a->paste.size);
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

void app_paste(struct app *a, int key) {
    if (key == KEY_IS_PASTE_END) {
        a->pasting = false;
        end_paste(a);
    } else {
        paste_key(a, key);
    }
}

/* ---- prompts ---- */

static void show_past(struct app *a, bool further);

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

void app_prompt_key(struct app *a, int key, enum action action) {
    if (action == ACTION_ESCAPE || action == ACTION_STOP || key == KEY_ESCAPE) {
        end_prompt(a, false);
    } else if (a->prompt.yes_no) {
        end_prompt(a, key == 'y' || key == 'Y');
    } else if (action == ACTION_SEND) {
        end_prompt(a, *editor_text(&a->prompt.editor) != '\0');
    } else if (action == ACTION_COMPLETE && a->prompt.path) {
        complete_path(&a->prompt.editor, 0, &a->status);
    } else if (action == ACTION_BROWSE && a->prompt.path) {
        files_browse(a, editor_text(&a->prompt.editor), a->prompt.done);
    } else if (action == ACTION_HISTORY_SEARCH && a->prompt.past) {
        show_past(a, true);
    } else if (action == ACTION_DELETE && !*editor_text(&a->prompt.editor)) {
        end_prompt(a, false);
    } else {
        app_act(a, action);
    }
}

void app_prompt_changed(struct app *a) {
    if (a->prompt.on && a->prompt.past) {
        show_past(a, false);
    }
}

/* ---- the questions of before ---- */

static void take_past(struct app *a, const char *words) {
    (void)words;
    if (a->past < a->editor.history_count) {
        editor_set(&a->editor, a->editor.history[a->past]);
    }
}

/* The newest with the words in it; `further`: the next older one. */
static void show_past(struct app *a, bool further) {
    const struct editor *e = &a->editor;
    const char *words = editor_text(&a->prompt.editor);
    size_t from = further && a->past < e->history_count ? a->past : e->history_count;
    a->past = e->history_count;
    for (size_t i = from; *words && i-- > 0;) {
        if (text_search(e->history[i], strlen(e->history[i]), 0, words) != TEXT_NOWHERE) {
            a->past = i;
            break;
        }
    }
    if (a->past < e->history_count) {
        app_say(a, STYLE_PLAIN, "> %s", e->history[a->past]);
    } else {
        app_say(a, STYLE_PLAIN,
                !*words ? "type words of an earlier question" : "no more with these words");
    }
}

static void look_for_past(struct app *a) {
    app_prompt(a, "earlier question: ", "", false, take_past);
    a->prompt.past = true;
    show_past(a, false);
}

/* ---- the question in an editor ---- */

static void edit(struct app *a) {
    struct error error;
    char *text = external_write(editor_text(&a->editor), &error);
    if (text) {
        editor_set(&a->editor, text);
    } else {
        app_say(a, STYLE_WARN, "%s", error.text);
    }
    free(text);
}

/* ---- what actions do ---- */

static void read_more(struct app *a, const char *path) {
    app_read(a, &path, 1, false);
}

static void read_first(struct app *a, const char *path) {
    app_read(a, &path, 1, true);
}

static void browse(struct app *a) {
    bool first = a->view == VIEW_WELCOME;
    files_browse(a, first ? editor_text(&a->editor) : "", first ? read_first : read_more);
}

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

/* Among the marks of the session's saved memories. */
static void complete_mark(struct app *a, size_t begin) {
    struct store_snapshots states;
    struct error none;
    if (!a->store || !store_snapshots_list(a->store, &states, &none)) {
        return;
    }
    const char **marks = calloc(states.count + 1, sizeof *marks);
    size_t count = 0;
    for (size_t i = 0; marks && i < states.count; i++) {
        if (states.rows[i].mark.data) {
            marks[count++] = states.rows[i].mark.data;
        }
    }
    if (marks) {
        complete_word(&a->editor, begin, marks, &a->status);
    }
    free(marks);
    store_snapshots_finish(&states);
}

static void complete(struct app *a) {
    const char *text = editor_text(&a->editor);
    size_t space = strcspn(text, " ");
    if (a->view == VIEW_WELCOME) {
        complete_path(&a->editor, 0, &a->status);
    } else if (text[0] == '/' && a->editor.at <= space) {
        app_complete_slash(a);
    } else if (app_slash_is(text, "/as-of")) {
        complete_mark(a, space + strspn(text + space, " "));
    } else if (text[0] == '/') {
        complete_path(&a->editor, space + strspn(text + space, " "), &a->status);
    }
}

bool app_act_typing(struct app *a, enum action action) {
    switch (action) {
    case ACTION_SEND:
        send(a);
        return true;
    case ACTION_COMPLETE:
        complete(a);
        return true;
    case ACTION_ESCAPE:
        app_escape(a);
        return true;
    case ACTION_HISTORY_SEARCH:
        look_for_past(a);
        return true;
    case ACTION_EDIT:
        edit(a);
        return true;
    case ACTION_BROWSE:
        browse(a);
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
