/* SPDX-License-Identifier: Apache-2.0
 *
 * From what a person asks for (a URL, a name of the catalogue, nothing) to a model in the models
 * folder: fetched, checked, recorded and described.
 */
#pragma once

#include <stdbool.h>

#include "app/download.h"
#include "app/model_describe.h"

struct model_get {
    const char *what;   /* URL or catalogue name; NULL: the default model */
    const char *name;   /* to keep it under; NULL: the catalogue's, or of the URL that was typed */
    const char *sha256; /* what the user expects, any case; NULL: what the catalogue says */
    bool offline;
    struct download_watch watch;
};

struct model_got {
    char name[101];
    char sha256[65]; /* "" when it was there already and nobody knows */
    bool already;    /* it was there, and nothing was fetched */
    bool trusted;    /* nobody knew its hash before */
    struct model_description description;
};

/* Errors: as download_run; ERROR_NOT_FOUND for a name that the catalogue does not have;
 * ERROR_INCOMPATIBLE when what came is no GGUF file (it is kept as NAME.bad in the cache). */
bool model_get(const struct model_get *get, struct model_got *got, struct error *error);

/* A name for a model from the last part of a path or URL, without ".gguf": ERROR_USAGE when that is
 * no fit name. */
bool model_name_of(const char *path, char name[101], struct error *error);
