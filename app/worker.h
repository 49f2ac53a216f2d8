/* SPDX-License-Identifier: Apache-2.0
 *
 * A thread that does what takes long, so that a screen never waits. Jobs go in by a queue and are
 * done in order; what they have to tell comes out as messages by another queue, the mailbox, which
 * several workers may share. Engine and session of a worker belong to its thread alone.
 */
#pragma once

#include "app/command.h"
#include "storage/transcript.h"

enum job_kind {
    JOB_OPEN,     /* name: make this the session in use; its model is loaded. text: a mark, to
                   * answer from the memory as it was there, or NULL */
    JOB_INGEST,   /* name, paths: read them into the session, which is made if there is none */
    JOB_ASK,      /* name, text: the question */
    JOB_FORK,     /* name, text: the new name */
    JOB_RENAME,   /* name, text: the new name */
    JOB_REMOVE,   /* name */
    JOB_WITHDRAW, /* name, text: a source's path, which is taken out of the session */
    JOB_UPDATE,   /* name: its memory is made anew from the sources as they are now */
    JOB_GET,      /* text: URL or catalogue name, NULL the default model */
    JOB_ADD,      /* text: a GGUF file to use in place */
    JOB_VERIFY,   /* name of a model */
    JOB_DISCARD,  /* name of a model */
    JOB_EXPORT,   /* name of a session, text: a file to write it to */
};

struct job {
    enum job_kind kind;
    uint64_t id; /* given by worker_submit; ascends */
    char *name, *text;
    float temperature; /* of an answer */
    uint64_t seed;
    char *model; /* of a session that JOB_INGEST makes; NULL: the one that options name */
    char **paths;
    size_t path_count;
    struct job *next;
};

struct job *job_create(enum job_kind kind, const char *name, const char *text);
bool job_add_path(struct job *job, const char *path);
void job_destroy(struct job *job); /* accepts NULL */

enum message_kind {
    MESSAGE_BEGIN,    /* the job has begun */
    MESSAGE_OPENED,   /* name, text: the model, detail: notes; done: tokens read */
    MESSAGE_RELEASE,  /* the session's file will be replaced: whoever looks at it closes it */
    MESSAGE_STORED,   /* the session's documents, or its file, have changed */
    MESSAGE_PROGRESS, /* done, total; of reading: text, detail: document and chapter */
    MESSAGE_STOPPED,  /* reading has stopped; what was read is still being kept */
    MESSAGE_TEXT,     /* text: the next piece of the answer, filtered */
    MESSAGE_ANSWER,   /* the answer is complete: the fields of `answer` */
    MESSAGE_NOTE,     /* text: worth telling */
    MESSAGE_NOTICE,   /* text: what the engine has to tell of itself; of no job */
    MESSAGE_END,      /* of a job: code is 0, or text says what went wrong */
};

/* A citation with all that is shown of it; strings as they are in the store. */
struct cited {
    int64_t document;
    struct store_span span;
    struct store_place place;
    char *source, *quote; /* quote may be NULL */
};
void cited_finish(struct cited *c);

struct message {
    enum message_kind kind;
    enum job_kind job;
    uint64_t id;
    char *name, *text, *detail;     /* unfiltered, but the answer's pieces; may be NULL */
    int code;                       /* enum error_code */
    uint64_t done, total, position; /* position: of the memory, while reading */
    double speed, seconds;          /* tokens per second; left, or to the first token */
    bool supported, stopped;
    struct cited *citations;
    size_t citations_count;
    struct message *next;
};
void message_destroy(struct message *message);

struct mailbox;
struct mailbox *mailbox_create(struct error *error);
void mailbox_destroy(struct mailbox *m);      /* accepts NULL; no worker may use it any more */
int mailbox_fd(const struct mailbox *m);      /* readable when something has come */
int mailbox_wake_fd(const struct mailbox *m); /* a byte written here wakes the reader too */
/* The oldest message, or NULL when there is none and the bytes that woke are gone. */
struct message *mailbox_take(struct mailbox *m);

struct worker;
/* What `options` point to must outlive the worker. */
struct worker *worker_create(const struct options *options, struct mailbox *mailbox,
                             struct error *error);
/* Stops, waits at most `seconds` for the thread, and frees; false when it did not end: then the
 * process may only exit. Accepts NULL. */
bool worker_destroy(struct worker *w, double seconds);

/* Takes the job over, NULL too; gives its id, 0 when there is none. */
uint64_t worker_submit(struct worker *w, struct job *job);
/* Stops the running job, which keeps what is there, and drops those that wait. */
void worker_stop(struct worker *w);
