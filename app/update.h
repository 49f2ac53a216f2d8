/* SPDX-License-Identifier: Apache-2.0
 *
 * Making a session's memory anew from its sources as they are now: fast weights cannot unlearn one
 * text, so what changed or went is only forgotten by reading everything again.
 */
#pragma once

#include "app/workspace.h"

/* What became of the sources since they were stored; names are any bytes. */
struct update_changes {
    struct skips changed, gone, added;
    struct skips withdrawn; /* taken out by the user, and still known to the memory */
    char *outdated;         /* why the memory cannot be used any more, or NULL */
};

/* What came of it; starts as {0}. */
struct update_report {
    struct update_changes changes;
    struct ingest_report ingest;
    bool rebuilt; /* false: nothing had changed, gone or been taken out, and the memory can be used;
                   * only new sources were read, if any */
};
void update_report_finish(struct update_report *r);

/* The file in which a new memory of session NAME grows, to be freed; it may be there from an update
 * that was cut off. */
char *session_update_file(const char *name, struct error *error);

/* Reads the paths of every earlier ingest of session NAME again, in the folders where they were
 * given; standard input stays as it is stored. The transcript stays. When something changed or
 * went, or the memory is of another version or adapter, or options name a model, the new memory,
 * of that model or else the session's own, grows in a file beside the session and takes the
 * session's place when it is whole; until then the session answers as before. Stopped or killed,
 * the next update goes on. `tell` is called once, before the long read. Changes the working
 * directory while it looks at the sources, so other threads must not use relative paths then.
 * Errors: as workspace_open and workspace_ingest; ERROR_NOT_FOUND when a folder is gone. */
bool session_update(const struct options *options, const char *name,
                    const struct ingest_options *ingest,
                    void (*tell)(void *context, const struct update_changes *changes, bool rebuild),
                    void *context, struct update_report *report, struct error *error);
