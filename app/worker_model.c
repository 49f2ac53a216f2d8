/* SPDX-License-Identifier: Apache-2.0
 *
 * The jobs on model files: fetching, using in place, checking, removing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/catalogue.h"
#include "app/files.h"
#include "app/model_get.h"
#include "app/paths.h"
#include "app/worker_private.h"
#include "engine/base/hash.h"

static void tell_bytes(void *context, uint64_t done, uint64_t total) {
    struct task *t = context;
    if (!task_due(t) && done != total) {
        return;
    }
    struct message *m = task_message(t, MESSAGE_PROGRESS);
    if (m) {
        m->done = done;
        m->total = total;
    }
    task_post(t, m);
}

static void tell_note(void *context, const char *text) {
    task_note(context, text);
}

static void tell_model(struct task *t, const char *name, const struct model_description *d,
                       const char *more) {
    char text[2000];
    snprintf(text, sizeof text, "%s: %s, %.0f M parameters, %s, context %llu%s%s%s", name,
             d->architecture, (double)d->parameters / 1e6, d->type, (unsigned long long)d->context,
             more, *d->refusal ? "; it cannot run here: " : "", d->refusal);
    task_note(t, text);
}

bool task_get(struct task *t, struct error *error) {
    struct model_get get = {.what = t->job->text,
                            .offline = t->options->offline,
                            .watch = {t, tell_bytes, tell_note, task_stopped}};
    struct model_got got;
    if (!model_get(&get, &got, error)) {
        return false;
    }
    tell_model(t, got.name, &got.description,
               got.already   ? "; it was here already"
               : got.trusted ? "; its hash was not known before and is trusted from now on"
                             : "; its hash is right");
    return true;
}

static bool tell_hashing(void *context, uint64_t done, uint64_t total) {
    tell_bytes(context, done, total);
    return !task_stopped(context);
}

bool task_add(struct task *t, struct error *error) {
    struct model_record record = {0};
    struct model_description description;
    char name[PATHS_NAME_MAX + 1];
    if (!model_name_of(t->job->text, name, error) ||
        !model_describe(&description, t->job->text, error) ||
        !file_hash(t->job->text, tell_hashing, t, record.sha256, &record.bytes, error)) {
        return false;
    }
    char *full = realpath(t->job->text, NULL);
    snprintf(record.source, sizeof record.source, "%s", full ? full : t->job->text);
    free(full);
    if (!model_link(name, t->job->text, error) || !model_record_save(name, &record, error)) {
        return false;
    }
    tell_model(t, name, &description, "; used in place");
    return true;
}

bool task_verify(struct task *t, struct error *error) {
    struct model_choice choice;
    char wanted[HASH_HEX], found[HASH_HEX], text[300];
    uint64_t bytes;
    if (!model_choose(&choice, t->job->name, error)) {
        return false;
    }
    bool ok = model_known_hash(choice.name, wanted, error) &&
              file_hash(choice.path, tell_hashing, t, found, &bytes, error);
    if (ok && *wanted && strcmp(wanted, found) != 0) {
        ok = error_set(error, ERROR_CHECKSUM, "%s: the SHA-256 is %s, expected %s", choice.path,
                       found, wanted);
    } else if (ok) {
        snprintf(text, sizeof text, "%s: SHA-256 %s%s", choice.name, found,
                 *wanted ? ", as it must be" : "; there is nothing to compare it with");
        task_note(t, text);
    }
    model_choice_finish(&choice);
    return ok;
}

bool task_discard(struct task *t, struct error *error) {
    return model_remove(t->job->name, error);
}
