/* SPDX-License-Identifier: Apache-2.0
 *
 * A saved session in use: its file and, where a model is needed, the engine with the memory as it
 * was saved. The only place where engine sessions and stored rows meet. Used by one thread at a
 * time; a second thread (a screen that browses while the first one reads) opens its own to look.
 */
#pragma once

#include "app/answer.h"
#include "app/import/walk.h"
#include "app/library.h"
#include "app/loading.h"
#include "app/passage_index.h"
#include "storage/documents.h"
#include "storage/session.h"
#include "storage/snapshots.h"
#include "storage/store.h"
#include "storage/transcript.h"

enum workspace_use {
    WORKSPACE_LOOK, /* the file, read only; no model */
    WORKSPACE_EDIT, /* the file, for writing; no model */
    WORKSPACE_ASK,  /* the file, read only, and the model with the memory */
    WORKSPACE_CHAT, /* the file, for writing, and the model with the memory */
    WORKSPACE_READ, /* like CHAT, and makes the session when there is none */
};

/* Starts as {0}. */
struct workspace {
    char *name; /* of the session */
    struct store *store;
    struct words *words;
    struct store_index *index; /* over the store's passages; workspace_index gives the view */
    struct loaded loaded;      /* where the use needs a model */
    struct session *session;   /* the memory, at `position` */
    int64_t position;          /* tokens read */
    double model_seconds, memory_seconds; /* what loading took */
};

/* The file of session NAME, to be freed; with `there` it is ERROR_NOT_FOUND unless it exists. */
char *session_file(const char *name, bool there, struct error *error);

/* `mark`: the memory as it was there (--as-of), or NULL for the newest; only to ask. The model is
 * the one that options name, else the one that the session was made with. Errors: ERROR_NOT_FOUND
 * (no such session, model or mark), ERROR_INCOMPATIBLE (the memory is of another model or adapter,
 * both named; or damaged), ERROR_FAILURE (in use by process N). */
bool workspace_open(struct workspace *w, const struct options *options, const char *name,
                    enum workspace_use use, const char *mark, struct error *error);
/* The same for the session file `path`, called `name` in messages. */
bool workspace_open_file(struct workspace *w, const struct options *options, const char *name,
                         const char *path, enum workspace_use use, const char *mark,
                         struct error *error);
void workspace_close(struct workspace *w); /* accepts a zeroed struct */

/* Answers from the memory and the stored passages; stores nothing. `answer` starts as {0}. */
bool workspace_ask(struct workspace *w, const char *question, const struct answer_options *options,
                   struct answer *answer, struct error *error);
/* The two turns of the transcript, each committed when it returns: the question before it is
 * answered, so that only an answer can be lost, then the answer with its citations. */
bool workspace_record_question(struct workspace *w, const char *question, struct error *error);
bool workspace_record_answer(struct workspace *w, const struct answer *answer, struct error *error);

struct passage_index workspace_index(struct workspace *w);
/* After documents came or went. */
bool workspace_renew_index(struct workspace *w, struct error *error);

/* How far reading has come. Strings are valid during the call. */
struct ingest_state {
    const char *document; /* name, unfiltered; NULL between documents */
    const char *section;  /* the chapter at this point, or "" */
    uint64_t done, total; /* tokens of this run; `done` never falls */
    uint64_t position;    /* of the session's timeline */
    bool stopped;         /* the reading has ended; what was read is about to be kept */
};

struct ingest_options {
    struct walk_options walk;  /* its `stop` is asked during reading too */
    bool offline;              /* an address is an error */
    double checkpoint_seconds; /* at most so much work is lost by a kill */
    struct store_budget marks; /* for --as-of */
    void (*progress)(void *context, const struct ingest_state *state); /* may be NULL */
    void *context;
};
struct ingest_options ingest_options_default(void);

/* What came of it. Names are owned by `library`. */
struct ingest_report {
    struct library library; /* the documents and what was skipped */
    uint64_t *tokens;       /* [library.count]: of each text, all of them read */
    size_t added, changed, unchanged;
    struct skips gone;    /* documents below these paths whose files are no longer there */
    uint64_t text_tokens; /* of the texts read in this run */
    uint64_t read_tokens; /* in the timeline: with the names between the texts */
    uint64_t position;    /* where the memory then stands */
    double seconds;
};
void ingest_report_finish(struct ingest_report *r);

/* Stores the documents that the paths stand for and reads what the memory has not read yet: new and
 * changed documents, and the rest of what an earlier run began. Interrupted or killed, the next run
 * goes on from the last checkpoint, to the same memory bit for bit. ERROR_INTERRUPTED after a stop:
 * what was read is kept, or nothing was stored yet. No paths: only goes on; ERROR_USAGE
 * when there is nothing to go on with. */
bool workspace_ingest(struct workspace *w, const char *const *paths, size_t count,
                      const struct ingest_options *options, struct ingest_report *report,
                      struct error *error);

/* Its two halves. The first stores report->library whole or not at all, and that it came from
 * `paths` in the present folder (count 0: from nowhere new); it may change the names in the
 * library. The second reads what is stored and unread. */
bool workspace_take(struct workspace *w, const char *const *paths, size_t count,
                    const struct ingest_options *options, struct ingest_report *report,
                    struct error *error);
bool workspace_read_on(struct workspace *w, const struct ingest_options *options,
                       struct ingest_report *report, struct error *error);
