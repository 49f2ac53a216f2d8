/* SPDX-License-Identifier: Apache-2.0
 *
 * Models on this machine: DATA/models/NAME.gguf is the file, or a symbolic link to one used in
 * place (`model add`). NAME.json beside it tells where it came from and which SHA-256 it had then.
 * NAME.adapter.gguf beside it, or the adapter that the catalogue names, belongs to it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "engine/base/error.h"
#include "engine/base/hash.h"

/* What -m means. */
struct model_choice {
    char *name;    /* as a person knows it: an installed name, or the path as given */
    char *path;    /* the GGUF file; it exists */
    char *adapter; /* a GGUF file that exists, or NULL when the model has none here */
};

/* `model` is an installed or catalogue name, a path, or NULL for the default model. ERROR_NOT_FOUND
 * names what to run to get it. */
bool model_choose(struct model_choice *choice, const char *model, struct error *error);
void model_choice_finish(struct model_choice *choice); /* accepts a zeroed struct */

/* What NAME.json says. */
struct model_record {
    char source[2048]; /* URL, package or path */
    char sha256[65];   /* "" when unknown */
    uint64_t bytes;
    bool pinned; /* the hash was known before the download, not trusted on first use */
};

bool model_record_save(const char *name, const struct model_record *record, struct error *error);
/* False, and a zeroed record, when there is none. */
bool model_record_read(const char *name, struct model_record *record);

/* What the SHA-256 of model NAME must be: the record's, else the catalogue's, else "". */
bool model_known_hash(const char *name, char hex[HASH_HEX], struct error *error);

struct installed_model {
    char *name;
    char *path;  /* where the file really is */
    bool linked; /* used in place */
    bool there;  /* false: the link leads nowhere */
    uint64_t bytes;
    struct model_record record;
};

struct installed_models {
    struct installed_model *models; /* by name */
    size_t count;
};

bool installed_models_read(struct installed_models *list, struct error *error);
void installed_models_finish(struct installed_models *list);

/* Uses the file at `path` in place under `name`. ERROR_FAILURE when the name is taken. */
bool model_link(const char *name, const char *path, struct error *error);
/* Removes NAME.gguf (never the file that a link leads to) and NAME.json. */
bool model_remove(const char *name, struct error *error);
