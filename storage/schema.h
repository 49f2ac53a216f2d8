/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside storage/ only: the tables of a session, as a list of migrations that only ever grows.
 */
#pragma once

#include "storage/db.h"

enum { SCHEMA_APPLICATION = 0x416c4d6d }; /* "AlMm" at byte 68 of the file, big-endian */

struct migration {
    int version;     /* the schema that it makes: 1, 2, 3, ... */
    const char *sql; /* any number of statements */
};

extern const struct migration schema_migrations[];
extern const size_t schema_migrations_count;

/* Looks at application_id and user_version. Errors: ERROR_INCOMPATIBLE for a file that is no
 * session and for one that is newer than `newest`, naming both versions. A file without any table
 * gives version 0. */
bool schema_version(struct store *store, int newest, int *version, struct error *error);

/* Brings the file from its version to the last of the list, each step in one transaction. Before
 * the first step a file that already holds a session is saved as NAME.db.backup-vN. */
bool schema_upgrade(struct store *store, const struct migration *list, size_t count,
                    struct error *error);

/* True if the tables, indexes, views and triggers are exactly those that the migrations make: a
 * file from outside may hold others, which could act when it is used. */
bool schema_is_ours(struct store *store, struct error *error);
