/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of the terminal program itself.
 */
#pragma once

#include "app/ui/app.h"

extern const struct view_ops *const app_views[VIEWS];

/* app_draw.c: the whole picture. */
void app_draw(struct app *a);

/* app_input.c */
void app_key(struct app *a, int key);
void app_act(struct app *a, enum action action);
void app_escape(struct app *a); /* stops what is looked at, else leads to browsing */

/* app_typing.c */
struct editor *app_editor(struct app *a); /* that has the keys while typing */
void app_paste(struct app *a, int key);   /* a key between the begin and the end of a paste */
void app_prompt_key(struct app *a, int key, enum action action);
void app_prompt_changed(struct app *a); /* after a key */
bool app_act_typing(struct app *a, enum action action);

/* app_slash.c: a line that begins with a slash. */
void app_complete_slash(struct app *a);
bool app_is_slash(const char *line); /* not a path that begins with one */
bool app_slash_is(const char *line, const char *word);
void app_slash(struct app *a, const char *line);

/* app_message.c */
void app_message(struct app *a, const struct message *m);

/* app_session.c */
void app_open_store(struct app *a);
void app_forget_paths(struct app *a);
void app_refresh(struct app *a); /* tells all views that the session is another one */
