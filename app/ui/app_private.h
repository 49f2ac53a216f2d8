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

/* app_slash.c: a line that begins with a slash. */
extern const char *const app_slash_words[]; /* NULL after the last */
bool app_is_slash(const char *line);        /* not a path that begins with one */
void app_slash(struct app *a, const char *line);

/* app_session.c */
char *app_last_session(void); /* the newest session's name, to be freed; NULL: there is none */
void app_message(struct app *a, const struct message *m);
void app_forget_paths(struct app *a);
void app_refresh(struct app *a); /* tells all views that the session is another one */
