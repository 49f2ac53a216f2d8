/* SPDX-License-Identifier: Apache-2.0
 *
 * The terminal program: its state, and what views may ask of it.
 */
#pragma once

#include "app/ui/editor.h"
#include "app/ui/keys.h"
#include "app/ui/list.h"
#include "app/ui/view.h"

struct words;

enum view_id {
    VIEW_ASK, /* the first five in the order of their keys */
    VIEW_SOURCES,
    VIEW_READER,
    VIEW_SESSIONS,
    VIEW_MODELS,
    VIEW_WELCOME,
    VIEW_FIND,
    VIEW_FILES,
    VIEW_HELP,
    VIEWS,
};

/* What a worker is at. */
struct activity {
    bool on;
    enum job_kind job;
    uint64_t done, total;
    double begin;        /* when the first progress came */
    uint64_t begun;      /* `done` then */
    char *text, *detail; /* filtered; document and chapter */
};

/* A question in the input line that is none to the session: a name, a path, yes or no. */
struct prompt {
    bool on, yes_no;
    bool path; /* Tab completes paths, a list of files can be called */
    bool past; /* the words of an earlier question, which shows in the status */
    char label[120];
    struct editor editor;
    void (*done)(struct app *a, const char *text); /* not called when it was given up */
};

struct app {
    struct options options;
    struct keys keys;
    struct mailbox *mailbox;
    struct worker *engine, *fetcher;
    struct activity reading, fetching; /* of the two workers */
    void *states[VIEWS];
    enum view_id view, before; /* `before`: where q leads from the help */
    bool typing;               /* the input line has the keys */
    bool typed_before;         /* and had them when the help was called */
    struct editor editor;      /* the question being written, or on the welcome view the path */
    struct prompt prompt;
    bool pasting;
    struct bytes paste;
    struct styled status; /* the last thing worth telling */
    char *search;         /* the last words looked for */
    size_t past;          /* of the history: the earlier question that was found */

    char *session;             /* its name, or NULL */
    struct store *store;       /* of it, read only, for the screen's thread; NULL without one */
    struct store_index *index; /* so that searches cut words as the rest of the program does */
    struct words *words;
    char *model;       /* of the open session, filtered; NULL while it loads */
    char *mark;        /* it answers as of there; NULL: as of the end */
    char *new_model;   /* for sessions that are made from now on; NULL: as options say */
    char *subject;     /* that the present prompt is about: a session or a model */
    uint64_t position; /* tokens read */
    bool made_here;    /* the session was made by this program, with new_model */
    char **paths;      /* of the last reading */
    size_t path_count;
    bool resume;        /* that reading is to go on behind the question that interrupted it */
    bool resume_update; /* it makes the memory anew */
    char *notice;       /* what the engine told last, told once */
    bool noticed;       /* it shows in the status since the present job began */
    bool stopping;      /* the status says so, until the job has ended */
    bool dirty, quit;
    int code; /* of the exit */
};

/* Runs until the user quits. `session` NULL: the last one, or the welcome view. */
int app_run(const struct options *options, const char *session, struct error *error);

char *app_last_session(void); /* the newest session's name, to be freed; NULL: there is none */

void app_show(struct app *a, enum view_id view);
unsigned app_context(const struct app *a, enum view_id view);
/* One line at the bottom; arguments may be unfiltered. */
void app_say(struct app *a, unsigned style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void app_prompt(struct app *a, const char *label, const char *text, bool path,
                void (*done)(struct app *a, const char *text));
void app_question(struct app *a, const char *text, void (*done)(struct app *a, const char *text));
/* The subject of the prompt that follows. */
void app_about(struct app *a, const char *subject);

void app_open(struct app *a, const char *session); /* NULL: none */
/* Opens a copy. */
void app_fork(struct app *a, const char *session, const char *name);
void app_close_store(struct app *a);
/* Reads files or folders into the session; fresh, or without one: into a new one. */
void app_read(struct app *a, const char *const *paths, size_t count, bool fresh);
bool app_ask(struct app *a, const char *question, uint64_t *id);
/* Puts a job before the engine's worker or, for models, the fetching one. */
/* Where the default model is not here but another one is, that is for new sessions. */
void app_choose_model(struct app *a);
uint64_t app_submit(struct app *a, enum job_kind kind, const char *name, const char *text);
/* Whatever the workers do; all false: a reading that waits behind an answer then goes on. */
void app_stop(struct app *a, bool all);
/* "34 %, 840 tokens/s, 0:34 left". */
void app_progress(const struct activity *activity, char *text, size_t size);
/* Into the terminal's clipboard, and into a file, which the status line names. */
void app_copy(struct app *a, const char *text, size_t size);
/* Of the i-th word that begins with a slash: how it is typed and what it does; NULL after the last.
 */
const char *app_slash_help(size_t i, const char **help);
/* The model of sessions that are made from now on. */
void app_use_model(struct app *a, const char *name);
/* The open session with the memory as it was at a mark, or (NULL) as it is. */
void app_open_as_of(struct app *a, const char *mark);
bool app_reads(const struct app *a); /* documents are being read */
bool app_list_act(struct app *a, struct list *l, enum action action);
bool app_wide(void); /* Ask and Reader stand side by side */

/* Shows a document at a span, which is lit. The second leaves the front view as it is. */
void app_show_span(struct app *a, int64_t document, struct store_span span);
void reader_open(struct app *a, int64_t document, struct store_span span);
/* Lists the passages of the session with all of the words. */
void find_words(struct app *a, const char *words);
/* Lists the folder that `typed` stands in, for one to be taken; then `take` gets its path. */
void files_browse(struct app *a, const char *typed, void (*take)(struct app *a, const char *path));
/* Names for the screen; to be freed. Never NULL. */
char *app_safe(const char *text, size_t size);
