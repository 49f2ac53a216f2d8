/* SPDX-License-Identifier: Apache-2.0
 *
 * What keys do: one table of actions, from which come the bindings, the help screen and the names
 * that [keys] in config.ini may bind anew ("send = C-j").
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/error.h"

/* Where a key counts; these add up. */
enum key_context {
    IN_TYPING = 1, /* the input line has the keys */
    IN_BROWSING = 2,
    IN_ASK = 4, /* these five: browsing, in that view */
    IN_SOURCES = 8,
    IN_READER = 16,
    IN_SESSIONS = 32,
    IN_MODELS = 64,
    IN_HELP = 128,
    IN_WELCOME = 256,
    IN_FIND = 512,
    IN_FILES = 1024,
};

enum action {
    ACTION_NONE,
    /* everywhere */
    ACTION_STOP,
    ACTION_SUSPEND,
    ACTION_REDRAW,
    ACTION_HELP,
    ACTION_QUIT,
    ACTION_ASK,
    ACTION_VIEW_ASK, /* these five in the order of the views */
    ACTION_VIEW_SOURCES,
    ACTION_VIEW_READER,
    ACTION_VIEW_SESSIONS,
    ACTION_VIEW_MODELS,
    /* typing */
    ACTION_SEND,
    ACTION_NEWLINE,
    ACTION_ESCAPE,
    ACTION_LEFT,
    ACTION_RIGHT,
    ACTION_LINE_START,
    ACTION_LINE_END,
    ACTION_WORD_LEFT,
    ACTION_WORD_RIGHT,
    ACTION_ERASE,
    ACTION_DELETE,
    ACTION_ERASE_WORD,
    ACTION_DELETE_WORD,
    ACTION_KILL_START,
    ACTION_KILL_END,
    ACTION_YANK,
    ACTION_COMPLETE,
    ACTION_HISTORY_BACK,
    ACTION_HISTORY_ON,
    ACTION_HISTORY_SEARCH,
    ACTION_EDIT,
    ACTION_BROWSE,
    ACTION_SCROLL_UP,
    ACTION_SCROLL_DOWN,
    /* browsing */
    ACTION_UP,
    ACTION_DOWN,
    ACTION_PAGE_UP,
    ACTION_PAGE_DOWN,
    ACTION_HALF_UP,
    ACTION_HALF_DOWN,
    ACTION_TOP,
    ACTION_BOTTOM,
    ACTION_OPEN,
    ACTION_BACK,
    ACTION_PANE,
    ACTION_TYPE,
    ACTION_COMMAND,
    ACTION_SEARCH,
    ACTION_SEARCH_NEXT,
    ACTION_SEARCH_PREVIOUS,
    ACTION_CITE_NEXT,
    ACTION_CITE_PREVIOUS,
    ACTION_COPY,
    ACTION_COPY_ALL,
    ACTION_ADD,
    ACTION_UPDATE,
    ACTION_FORK,
    ACTION_RENAME,
    ACTION_REMOVE,
    ACTION_VERIFY,
    ACTION_REBUILD,
    ACTION_EDITOR,
    ACTION_PARENT,
    ACTION_HIDDEN,
    ACTIONS,
};

enum { KEYS_EACH = 3 }; /* at most, for one action */

struct key_row {
    enum action action;
    unsigned contexts;
    const char *name;            /* in config.ini */
    const char *keys[KEYS_EACH]; /* by default: "Enter", "C-a", "M-b", "?" */
    const char *help;
};
extern const struct key_row key_table[];
extern const size_t key_table_count;

/* The keys in force; starts by keys_init. */
struct keys {
    int codes[ACTIONS * 2][KEYS_EACH]; /* by the table's rows; 0: none */
};
void keys_init(struct keys *keys);
/* Gives the action `name` the keys of `value` (separated by spaces) instead of its own. ERROR_USAGE
 * names what is wrong: the action, the key, a key that terminals cannot pass on safely, or one that
 * another action of the same place has. */
bool keys_bind(struct keys *keys, const char *name, const char *value, struct error *error);

enum action keys_find(const struct keys *keys, int key, unsigned contexts);
/* "Enter, C-j": the keys of a row; `text` has room for KEY_TEXT bytes. */
enum { KEY_TEXT = 64 };
void keys_text(const struct keys *keys, size_t row, char text[KEY_TEXT]);
/* The first key of an action, for hints; "" when it has none. */
void keys_hint(const struct keys *keys, enum action action, unsigned contexts, char text[KEY_TEXT]);
