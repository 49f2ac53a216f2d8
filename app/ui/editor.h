/* SPDX-License-Identifier: Apache-2.0
 *
 * The input line: text of one or more lines with a cursor, edited by visible characters, with a
 * kill buffer and the questions before it.
 */
#pragma once

#include "app/ui/keys.h"
#include "app/ui/text.h"

/* Starts as {0}. */
struct editor {
    struct bytes text; /* filtered: printable UTF-8 and '\n' */
    size_t at;         /* the cursor, at the begin of a visible character */
    struct bytes killed;
    char **history;                   /* oldest first */
    size_t history_count, history_at; /* history_at == history_count: the text being written */
    char *draft;                      /* that text, while another one shows */
};

void editor_finish(struct editor *e);
void editor_insert(struct editor *e, const char *text, size_t size); /* tabs become spaces */
void editor_insert_key(struct editor *e, int code_point);
void editor_set(struct editor *e, const char *text);
/* The text, ended by NUL, valid until the next change. */
const char *editor_text(struct editor *e);
/* False when the action is none of the editor's. */
bool editor_act(struct editor *e, enum action action);
/* Puts a text behind the others; an empty one or a repetition is left out. */
void editor_remember(struct editor *e, const char *text);
void editor_forget(struct editor *e); /* the history */
