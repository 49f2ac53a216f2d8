/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of keys, the names of keys, and rebinding.
 */
#include "app/ui/keys.h"

#include <stdio.h>
#include <string.h>

#include "app/ui/screen.h"

#define EVERYWHERE (IN_TYPING | IN_BROWSING)
#define LISTS (IN_SOURCES | IN_SESSIONS | IN_MODELS | IN_FIND | IN_FILES)

/* Never bound: C-s and C-q (flow control), C-b (tmux), C-h, C-i and C-m (they are Backspace, Tab
 * and Enter); Shift-Enter does not reach a program. C-c stops, and does not quit. */
const struct key_row key_table[] = {
    {ACTION_STOP, EVERYWHERE, "stop", {"C-c"}, "stop reading, answering or fetching"},
    {ACTION_HELP, EVERYWHERE, "go-help", {"F1"}, "this help"},
    {ACTION_HELP, IN_BROWSING, "help", {"?"}, "this help"},
    {ACTION_ASK, EVERYWHERE, "go-ask", {"M-1"}, "view Ask, to type a question"},
    {ACTION_VIEW_SOURCES, EVERYWHERE, "go-sources", {"M-2"}, "view Sources"},
    {ACTION_VIEW_READER, EVERYWHERE, "go-reader", {"M-3"}, "view Reader"},
    {ACTION_VIEW_SESSIONS, EVERYWHERE, "go-sessions", {"M-4"}, "view Sessions"},
    {ACTION_VIEW_MODELS, EVERYWHERE, "go-models", {"M-5"}, "view Models"},
    {ACTION_VIEW_ASK, IN_BROWSING, "ask", {"1"}, "view Ask"},
    {ACTION_VIEW_SOURCES, IN_BROWSING, "sources", {"2"}, "view Sources"},
    {ACTION_VIEW_READER, IN_BROWSING, "reader", {"3"}, "view Reader"},
    {ACTION_VIEW_SESSIONS, IN_BROWSING, "sessions", {"4"}, "view Sessions"},
    {ACTION_VIEW_MODELS, IN_BROWSING, "models", {"5"}, "view Models"},
    {ACTION_REDRAW, EVERYWHERE, "redraw", {"C-l"}, "draw the screen again"},
    {ACTION_SUSPEND, EVERYWHERE, "suspend", {"C-z"}, "back to the shell; fg returns"},
    {ACTION_QUIT, IN_BROWSING, "quit", {"Q"}, "quit"},

    {ACTION_SEND, IN_TYPING, "send", {"Enter"}, "send"},
    {ACTION_NEWLINE, IN_TYPING, "newline", {"M-Enter", "C-j"}, "a new line in the question"},
    {ACTION_ESCAPE, IN_TYPING, "browse", {"Esc"}, "stop the answer, else browse"},
    {ACTION_COMPLETE, IN_TYPING, "complete", {"Tab"}, "complete a path or a /word"},
    {ACTION_HISTORY_BACK, IN_TYPING, "history-back", {"Up", "C-p"}, "the question before"},
    {ACTION_HISTORY_ON, IN_TYPING, "history-on", {"Down", "C-n"}, "the question after"},
    {ACTION_HISTORY_SEARCH, IN_TYPING, "history-search", {"C-r"}, "look for a question of before"},
    {ACTION_EDIT, IN_TYPING, "edit", {"C-g"}, "write the question in $EDITOR"},
    {ACTION_BROWSE, IN_TYPING, "browse-files", {"C-o"}, "choose a file or folder from a list"},
    {ACTION_SCROLL_UP, IN_TYPING, "scroll-up", {"PageUp"}, "scroll the answers up"},
    {ACTION_SCROLL_DOWN, IN_TYPING, "scroll-down", {"PageDown"}, "scroll the answers down"},
    {ACTION_LEFT, IN_TYPING, "left", {"Left"}, "left"},
    {ACTION_RIGHT, IN_TYPING, "right", {"Right", "C-f"}, "right"},
    {ACTION_LINE_START, IN_TYPING, "line-start", {"C-a", "Home"}, "begin of the line"},
    {ACTION_LINE_END, IN_TYPING, "line-end", {"C-e", "End"}, "end of the line"},
    {ACTION_WORD_LEFT, IN_TYPING, "word-left", {"M-b"}, "a word to the left"},
    {ACTION_WORD_RIGHT, IN_TYPING, "word-right", {"M-f"}, "a word to the right"},
    {ACTION_ERASE, IN_TYPING, "erase", {"Backspace"}, "erase the character before"},
    {ACTION_DELETE,
     IN_TYPING,
     "delete-here",
     {"Delete", "C-d"},
     "erase here; C-d on nothing quits"},
    {ACTION_ERASE_WORD, IN_TYPING, "erase-word", {"C-w", "M-Backspace"}, "erase the word before"},
    {ACTION_DELETE_WORD, IN_TYPING, "delete-word", {"M-d"}, "erase the word here"},
    {ACTION_KILL_START, IN_TYPING, "kill-start", {"C-u"}, "cut to the begin of the line"},
    {ACTION_KILL_END, IN_TYPING, "kill-end", {"C-k"}, "cut to the end of the line"},
    {ACTION_YANK, IN_TYPING, "yank", {"C-y"}, "put back what was cut"},

    {ACTION_TYPE, IN_ASK | IN_READER, "type", {"i", "a"}, "type a question"},
    {ACTION_TYPE, IN_WELCOME, "type-path", {"i", "a"}, "type a path"},
    {ACTION_CITE_NEXT, IN_ASK, "next-citation", {"]"}, "the next citation"},
    {ACTION_CITE_PREVIOUS, IN_ASK, "previous-citation", {"["}, "the citation before"},
    {ACTION_OPEN, IN_ASK, "open-citation", {"Enter"}, "open the citation in Reader"},
    {ACTION_COPY, IN_ASK | IN_READER, "copy", {"y"}, "copy the answer, or the page"},
    {ACTION_COPY_ALL, IN_ASK, "copy-all", {"Y"}, "copy it with its citations"},
    {ACTION_OPEN, IN_SOURCES, "open-source", {"Enter"}, "open in Reader"},
    {ACTION_ADD, IN_SOURCES, "add", {"a"}, "read a file or folder too"},
    {ACTION_UPDATE, IN_SOURCES, "update", {"u"}, "read again what has changed"},
    {ACTION_REMOVE, IN_SOURCES, "remove-source", {"d"}, "take it out, after a question"},
    {ACTION_REBUILD, IN_SOURCES, "rebuild", {"U"}, "read all anew, to forget what went"},
    {ACTION_EDITOR, IN_READER, "open-editor", {"o"}, "open in $EDITOR or $PAGER at the line"},
    {ACTION_OPEN, IN_FIND, "open-passage", {"Enter"}, "open in Reader"},
    {ACTION_OPEN, IN_FILES, "open-file", {"Enter"}, "open the folder, or read the file"},
    {ACTION_ADD, IN_FILES, "read-it", {"a"}, "read the file, or all of the folder"},
    {ACTION_PARENT, IN_FILES, "parent", {"h", "Left", "Backspace"}, "the folder above"},
    {ACTION_HIDDEN, IN_FILES, "hidden", {"."}, "show hidden files, or not"},
    {ACTION_OPEN, IN_SESSIONS, "resume", {"Enter"}, "go on with the session"},
    {ACTION_ADD, IN_SESSIONS, "new-session", {"a"}, "a new session from a file or folder"},
    {ACTION_FORK, IN_SESSIONS, "fork", {"f"}, "go on with a copy"},
    {ACTION_RENAME, IN_SESSIONS, "rename", {"r"}, "rename"},
    {ACTION_REMOVE, IN_SESSIONS, "remove-session", {"d"}, "delete, after a question"},
    {ACTION_OPEN, IN_MODELS, "get-model", {"Enter"}, "fetch it, or use it for new sessions"},
    {ACTION_ADD, IN_MODELS, "add-model", {"a"}, "fetch a URL, or take a GGUF file"},
    {ACTION_VERIFY, IN_MODELS, "verify", {"v"}, "check its SHA-256"},
    {ACTION_REMOVE, IN_MODELS, "remove-model", {"d"}, "delete, after a question"},
    {ACTION_OPEN, IN_WELCOME, "begin", {"Enter"}, "the next step"},
    {ACTION_SEARCH, IN_ASK | IN_READER | LISTS | IN_HELP, "search", {"/"}, "search"},
    {ACTION_SEARCH_NEXT,
     IN_ASK | IN_READER | LISTS | IN_HELP,
     "search-next",
     {"n"},
     "find the next"},
    {ACTION_SEARCH_PREVIOUS,
     IN_ASK | IN_READER | LISTS | IN_HELP,
     "search-previous",
     {"N"},
     "find the one before"},
    {ACTION_DOWN, IN_BROWSING, "down", {"j", "Down"}, "down"},
    {ACTION_UP, IN_BROWSING, "up", {"k", "Up"}, "up"},
    {ACTION_HALF_DOWN, IN_BROWSING, "half-down", {"C-d"}, "half a page down"},
    {ACTION_HALF_UP, IN_BROWSING, "half-up", {"C-u"}, "half a page up"},
    {ACTION_PAGE_DOWN, IN_BROWSING, "page-down", {"PageDown", "Space"}, "a page down"},
    {ACTION_PAGE_UP, IN_BROWSING, "page-up", {"PageUp"}, "a page up"},
    {ACTION_TOP, IN_BROWSING, "top", {"g", "Home"}, "to the top"},
    {ACTION_BOTTOM, IN_BROWSING, "bottom", {"G", "End"}, "to the end"},
    {ACTION_PANE, IN_ASK | IN_READER, "pane", {"Tab"}, "to the other pane"},
    {ACTION_COMMAND, IN_BROWSING, "command", {":"}, "type a /word"},
    {ACTION_BACK, IN_BROWSING, "back", {"q", "Esc"}, "back"},
};
const size_t key_table_count = sizeof key_table / sizeof *key_table;

/* ---- names of keys ---- */

static const struct {
    const char *name;
    int code;
} names[] = {
    {"Enter", '\r'},
    {"Esc", KEY_ESCAPE},
    {"Tab", '\t'},
    {"Space", ' '},
    {"Backspace", KEY_IS_BACKSPACE},
    {"Delete", KEY_IS_DELETE},
    {"Up", KEY_IS_UP},
    {"Down", KEY_IS_DOWN},
    {"Left", KEY_IS_LEFT},
    {"Right", KEY_IS_RIGHT},
    {"Home", KEY_IS_HOME},
    {"End", KEY_IS_END},
    {"PageUp", KEY_IS_PAGE_UP},
    {"PageDown", KEY_IS_PAGE_DOWN},
};
enum { NAMES = sizeof names / sizeof *names };

/* 0 when it is none. */
static int code_of(const char *name) {
    int alt = 0;
    if (strncmp(name, "M-", 2) == 0 && name[2]) {
        alt = KEY_ALT;
        name += 2;
    }
    for (size_t i = 0; i < NAMES; i++) {
        if (strcmp(name, names[i].name) == 0) {
            return names[i].code | alt;
        }
    }
    int number;
    char rest;
    if (sscanf(name, "F%d%c", &number, &rest) == 1 && number >= 1 && number <= 12) {
        return (KEY_IS_F1 + number - 1) | alt;
    }
    if (strncmp(name, "C-", 2) == 0 && name[2] >= 'a' && name[2] <= 'z' && !name[3]) {
        return (name[2] - 'a' + 1) | alt;
    }
    return name[0] > ' ' && name[0] < 127 && !name[1] ? name[0] | alt : 0;
}

static void name_of(int code, char *text, size_t size) {
    const char *alt = code & KEY_ALT ? "M-" : "";
    code &= ~KEY_ALT;
    for (size_t i = 0; i < NAMES; i++) {
        if (names[i].code == code) {
            snprintf(text, size, "%s%s", alt, names[i].name);
            return;
        }
    }
    if (code >= KEY_IS_F1 && code <= KEY_IS_F12) {
        snprintf(text, size, "%sF%d", alt, code - KEY_IS_F1 + 1);
    } else if (code < ' ') {
        snprintf(text, size, "%sC-%c", alt, code + 'a' - 1);
    } else {
        snprintf(text, size, "%s%c", alt, code);
    }
}

/* ---- bindings ---- */

void keys_init(struct keys *keys) {
    *keys = (struct keys){0};
    for (size_t i = 0; i < key_table_count; i++) {
        for (size_t j = 0; j < KEYS_EACH && key_table[i].keys[j]; j++) {
            keys->codes[i][j] = code_of(key_table[i].keys[j]);
        }
    }
}

/* A context that says where one is while browsing counts as browsing too. */
static unsigned widen(unsigned contexts) {
    return contexts & ~(unsigned)EVERYWHERE ? contexts | IN_BROWSING : contexts;
}

static bool meet(size_t a, size_t b) {
    unsigned x = key_table[a].contexts, y = key_table[b].contexts;
    return (x & y) || (x & IN_BROWSING && widen(y) & IN_BROWSING) ||
           (y & IN_BROWSING && widen(x) & IN_BROWSING);
}

static bool check_key(const struct keys *keys, size_t row, const char *key, struct error *error) {
    static const char *const unsafe[] = {"C-s", "C-q", "C-b", "C-h", "C-i", "C-m", "C-c"};
    int code = code_of(key);
    for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++) {
        if (strcmp(key, unsafe[i]) == 0) {
            return error_set(error, ERROR_USAGE, "the key %s cannot be bound safely", key);
        }
    }
    if (!code) {
        return error_set(error, ERROR_USAGE,
                         "found '%s', expected a key such as x, C-x, M-x, F5, Enter or PageUp",
                         key);
    }
    for (size_t i = 0; i < key_table_count; i++) {
        for (size_t j = 0; j < KEYS_EACH && i != row && meet(i, row); j++) {
            if (keys->codes[i][j] == code) {
                return error_set(error, ERROR_USAGE, "the key %s is that of '%s' already", key,
                                 key_table[i].name);
            }
        }
    }
    return true;
}

bool keys_bind(struct keys *keys, const char *name, const char *value, struct error *error) {
    size_t row = 0;
    while (row < key_table_count && strcmp(key_table[row].name, name) != 0) {
        row++;
    }
    if (row == key_table_count || key_table[row].action == ACTION_STOP) {
        return error_set(error, ERROR_USAGE, "there is no action '%s' to bind; F1 lists them",
                         name);
    }
    int codes[KEYS_EACH] = {0};
    size_t count = 0;
    while (*(value += strspn(value, " "))) {
        char key[32];
        size_t size = strcspn(value, " ");
        snprintf(key, sizeof key, "%.*s", (int)size, value);
        if (!check_key(keys, row, key, error)) {
            return false;
        }
        if (count == KEYS_EACH) {
            return error_set(error, ERROR_USAGE, "more than %d keys", KEYS_EACH);
        }
        codes[count++] = code_of(key);
        value += size;
    }
    memcpy(keys->codes[row], codes, sizeof codes);
    return true;
}

enum action keys_find(const struct keys *keys, int key, unsigned contexts) {
    for (size_t i = 0; i < key_table_count; i++) {
        if (key_table[i].contexts & contexts) {
            for (size_t j = 0; j < KEYS_EACH; j++) {
                if (keys->codes[i][j] == key) {
                    return key_table[i].action;
                }
            }
        }
    }
    return ACTION_NONE;
}

void keys_text(const struct keys *keys, size_t row, char text[KEY_TEXT]) {
    size_t size = 0;
    text[0] = '\0';
    for (size_t j = 0; j < KEYS_EACH && keys->codes[row][j] && size < KEY_TEXT - 20; j++) {
        char name[20];
        name_of(keys->codes[row][j], name, sizeof name);
        size += (size_t)snprintf(text + size, KEY_TEXT - size, "%s%s", j ? ", " : "", name);
    }
}

void keys_hint(const struct keys *keys, enum action action, unsigned contexts,
               char text[KEY_TEXT]) {
    text[0] = '\0';
    for (size_t i = 0; i < key_table_count; i++) {
        if (key_table[i].action == action && key_table[i].contexts & contexts &&
            keys->codes[i][0]) {
            name_of(keys->codes[i][0], text, KEY_TEXT);
            return;
        }
    }
}
