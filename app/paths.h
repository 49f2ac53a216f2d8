/* SPDX-License-Identifier: Apache-2.0
 *
 * Where AllMem keeps its files: the four XDG base directories, each with a folder "allmem" in it,
 * or the four folders of $ALLMEM_HOME. Folders are made for their owner only (0700).
 */
#pragma once

#include <stdbool.h>

#include "engine/base/error.h"

/* Absolute, without a slash at the end; owned. Nothing is made on disk until paths_make. */
struct paths {
    char *config; /* config.ini */
    char *data;   /* sessions/NAME.db, models/NAME.gguf */
    char *cache;  /* partial downloads */
    char *state;  /* log and history */
};

/* Errors: HOME is needed and unset, or a directory in the environment is not absolute. */
bool paths_init(struct paths *paths, struct error *error);
void paths_finish(struct paths *paths); /* accepts a zeroed struct */

/* Makes `dir` and the folders above it where they are missing. */
bool paths_make(const char *dir, struct error *error);

/* "DIR/NAME" followed by `suffix`; to be freed. NULL when memory runs out. */
char *paths_join(const char *dir, const char *name, const char *suffix);

#define PATHS_NAME_MAX 100
/* A name of a model or session becomes a file name: 1..100 bytes, no slash, no control byte, and
 * neither '.' nor '-' in front. `what` ("session", "model") is for the error. */
bool paths_check_name(const char *what, const char *name, struct error *error);

/* The file of session or model NAME, checked as above, its folder made; to be freed. */
char *paths_session(const struct paths *paths, const char *name, struct error *error);
char *paths_model(const struct paths *paths, const char *name, struct error *error);
