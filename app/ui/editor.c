/* SPDX-License-Identifier: Apache-2.0
 *
 * Editing by visible characters.
 */
#include "app/ui/editor.h"

#include <stdlib.h>
#include <string.h>

enum { HISTORY = 1000 };

void editor_finish(struct editor *e) {
    bytes_finish(&e->text);
    bytes_finish(&e->killed);
    editor_forget(e);
    *e = (struct editor){0};
}

static const char *data(const struct editor *e) {
    return e->text.data ? (const char *)e->text.data : "";
}

const char *editor_text(struct editor *e) {
    bytes_put_u8(&e->text, 0);
    if (e->text.failed) {
        e->text.failed = false;
        return "";
    }
    e->text.size--;
    return data(e);
}

static void insert_filtered(struct editor *e, const void *text, size_t size) {
    size_t tail = e->text.size - e->at;
    if (size == 0 || !bytes_extend(&e->text, size)) {
        e->text.failed = false; /* what was there is still there */
        return;
    }
    memmove(e->text.data + e->at + size, e->text.data + e->at, tail);
    memcpy(e->text.data + e->at, text, size);
    e->at += size;
}

void editor_insert(struct editor *e, const char *text, size_t size) {
    struct styled filtered = {0};
    styled_put_safe(&filtered, text, size, SAFE_PROSE, STYLE_PLAIN);
    if (!filtered.text.failed) {
        insert_filtered(e, filtered.text.data, filtered.text.size);
    }
    styled_finish(&filtered);
}

void editor_insert_key(struct editor *e, int code_point) {
    unsigned c = (unsigned)code_point;
    char text[4];
    size_t n = 0;
    if (c < 0x80) {
        text[n++] = (char)c;
    } else if (c < 0x800) {
        text[n++] = (char)(0xC0 | c >> 6);
    } else if (c < 0x10000) {
        text[n++] = (char)(0xE0 | c >> 12);
        text[n++] = (char)(0x80 | (c >> 6 & 63));
    } else {
        text[n++] = (char)(0xF0 | c >> 18);
        text[n++] = (char)(0x80 | (c >> 12 & 63));
        text[n++] = (char)(0x80 | (c >> 6 & 63));
    }
    if (n > 0 && c >= 0x80) {
        text[n++] = (char)(0x80 | (c & 63));
    }
    editor_insert(e, text, n);
}

void editor_set(struct editor *e, const char *text) {
    e->text.size = e->at = 0;
    editor_insert(e, text, strlen(text));
}

/* ---- places ---- */

static size_t line_start(const struct editor *e) {
    size_t at = e->at;
    while (at > 0 && data(e)[at - 1] != '\n') {
        at--;
    }
    return at;
}

static size_t line_end(const struct editor *e) {
    size_t at = e->at;
    while (at < e->text.size && data(e)[at] != '\n') {
        at++;
    }
    return at;
}

static bool in_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (unsigned char)c >= 0x80;
}

/* `path`: only spaces part words, as C-w has it. */
static size_t word_left(const struct editor *e, bool path) {
    size_t at = e->at;
    while (at > 0 && (path ? strchr(" \n", data(e)[at - 1]) != NULL : !in_word(data(e)[at - 1]))) {
        at--;
    }
    while (at > 0 && (path ? !strchr(" \n", data(e)[at - 1]) : in_word(data(e)[at - 1]))) {
        at--;
    }
    return at;
}

static size_t word_right(const struct editor *e) {
    size_t at = e->at;
    while (at < e->text.size && !in_word(data(e)[at])) {
        at++;
    }
    while (at < e->text.size && in_word(data(e)[at])) {
        at++;
    }
    return at;
}

static size_t left(const struct editor *e) {
    return e->at > 0 ? text_previous(data(e), e->at) : 0;
}

static size_t right(const struct editor *e) {
    int columns;
    return e->at < e->text.size ? text_next(data(e), e->text.size, e->at, &columns) : e->at;
}

static void erase(struct editor *e, size_t begin, size_t end, bool keep) {
    if (begin >= end) {
        return;
    }
    if (keep) {
        e->killed.size = 0;
        bytes_put(&e->killed, e->text.data + begin, end - begin);
    }
    memmove(e->text.data + begin, e->text.data + end, e->text.size - end);
    e->text.size -= end - begin;
    e->at = begin;
}

/* ---- history ---- */

void editor_forget(struct editor *e) {
    for (size_t i = 0; i < e->history_count; i++) {
        free(e->history[i]);
    }
    free(e->history);
    free(e->draft);
    e->history = NULL;
    e->draft = NULL;
    e->history_count = e->history_at = 0;
}

void editor_remember(struct editor *e, const char *text) {
    size_t n = e->history_count;
    free(e->draft);
    e->draft = NULL;
    char *copy = *text && (n == 0 || strcmp(e->history[n - 1], text) != 0) ? strdup(text) : NULL;
    if (copy && n == HISTORY) {
        free(e->history[0]);
        memmove(e->history, e->history + 1, (n - 1) * sizeof *e->history);
        e->history[n - 1] = copy;
    } else if (copy) {
        char **grown = realloc(e->history, (n + 1) * sizeof *grown);
        if (grown) {
            e->history = grown;
            e->history[e->history_count++] = copy;
        } else {
            free(copy);
        }
    }
    e->history_at = e->history_count;
}

static void show_history(struct editor *e, size_t at) {
    if (e->history_at == e->history_count) {
        free(e->draft);
        e->draft = strdup(editor_text(e));
    }
    e->history_at = at;
    editor_set(e, at < e->history_count ? e->history[at] : e->draft ? e->draft : "");
}

/* Up and Down go between the lines of a text first. */
static bool move_line(struct editor *e, bool up) {
    size_t start = line_start(e), end = line_end(e);
    if (up ? start == 0 : end == e->text.size) {
        return false;
    }
    int column = text_columns(data(e) + start, e->at - start), columns;
    e->at = up ? start - 1 : end + 1;
    size_t at = line_start(e), stop = line_end(e);
    for (int sum = 0; at < stop; sum += columns) {
        size_t next = text_next(data(e), stop, at, &columns);
        if (sum + columns > column) {
            break;
        }
        at = next;
    }
    e->at = at;
    return true;
}

bool editor_act(struct editor *e, enum action action) {
    switch (action) {
    case ACTION_LEFT:
        e->at = left(e);
        return true;
    case ACTION_RIGHT:
        e->at = right(e);
        return true;
    case ACTION_LINE_START:
        e->at = line_start(e);
        return true;
    case ACTION_LINE_END:
        e->at = line_end(e);
        return true;
    case ACTION_WORD_LEFT:
        e->at = word_left(e, false);
        return true;
    case ACTION_WORD_RIGHT:
        e->at = word_right(e);
        return true;
    case ACTION_ERASE:
        erase(e, left(e), e->at, false);
        return true;
    case ACTION_DELETE:
        erase(e, e->at, right(e), false);
        return true;
    case ACTION_ERASE_WORD:
        erase(e, word_left(e, true), e->at, true);
        return true;
    case ACTION_DELETE_WORD:
        erase(e, e->at, word_right(e), true);
        return true;
    case ACTION_KILL_START:
        erase(e, line_start(e), e->at, true);
        return true;
    case ACTION_KILL_END:
        erase(e, e->at, line_end(e), true);
        return true;
    case ACTION_YANK:
        insert_filtered(e, e->killed.data, e->killed.size);
        return true;
    case ACTION_NEWLINE:
        insert_filtered(e, "\n", 1);
        return true;
    case ACTION_HISTORY_BACK:
        if (!move_line(e, true) && e->history_at > 0) {
            show_history(e, e->history_at - 1);
        }
        return true;
    case ACTION_HISTORY_ON:
        if (!move_line(e, false) && e->history_at < e->history_count) {
            show_history(e, e->history_at + 1);
        }
        return true;
    default:
        return false;
    }
}
