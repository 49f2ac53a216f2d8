/* SPDX-License-Identifier: Apache-2.0
 *
 * A view: what fills the screen between the title and the input line. It holds data; draw renders
 * them. Each is one file, view_NAME.c, that ends in its struct view_ops; app.c has the table.
 */
#pragma once

#include "app/ui/screen.h"
#include "app/worker.h"

struct app;

struct view_ops {
    const char *name;
    unsigned context;                            /* of its keys: enum key_context */
    void *(*create)(struct app *a);              /* NULL: out of memory */
    void (*destroy)(void *state);                /* accepts NULL */
    void (*show)(struct app *a, void *state);    /* it comes to the front; may be NULL, as may: */
    void (*refresh)(struct app *a, void *state); /* another session, or none, is open now */
    void (*message)(struct app *a, void *state, const struct message *m); /* from a worker */
    /* True when there is more to do: called again soon, between keys. Takes a few ms at most. */
    bool (*work)(struct app *a, void *state);
    void (*draw)(struct app *a, void *state, struct area area);  /* area.h and .w may be tiny */
    bool (*act)(struct app *a, void *state, enum action action); /* false: not handled */
};

extern const struct view_ops view_ask, view_sources, view_reader, view_sessions, view_models,
    view_welcome, view_find, view_files, view_help;
