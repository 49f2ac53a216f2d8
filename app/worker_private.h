/* SPDX-License-Identifier: Apache-2.0
 *
 * Between worker.c, which has the thread and the queues, and the files with the jobs.
 */
#pragma once

#include "app/worker.h"
#include "app/workspace.h"

/* What a job's function works with. */
struct task {
    const struct options *options;
    struct workspace *workspace; /* the one in use; workspace->store NULL: none */
    bool *writable;              /* it is open for writing */
    const struct job *job;
    struct worker *worker;
    double told; /* when progress was told last */
};

bool task_stopped(void *task);
/* An empty message of this job, or NULL; task_post takes it over and accepts NULL. */
struct message *task_message(const struct task *t, enum message_kind kind);
void task_post(const struct task *t, struct message *message);
void task_note(const struct task *t, const char *text);
/* True when the last progress was told long enough ago to tell it again. */
bool task_due(struct task *t);

bool task_open(struct task *t, struct error *error);
bool task_ingest(struct task *t, struct error *error);
bool task_ask(struct task *t, struct error *error);
bool task_fork(struct task *t, struct error *error);
bool task_rename(struct task *t, struct error *error);
bool task_remove(struct task *t, struct error *error);
bool task_withdraw(struct task *t, struct error *error);
bool task_update(struct task *t, struct error *error);
bool task_export(struct task *t, struct error *error);
bool task_get(struct task *t, struct error *error);
bool task_add(struct task *t, struct error *error);
bool task_verify(struct task *t, struct error *error);
bool task_discard(struct task *t, struct error *error);
