/* SPDX-License-Identifier: Apache-2.0
 *
 * What a session says of itself: title, the model and adapter its memory was made with, settings.
 */
#pragma once

#include "engine/base/hash.h"
#include "storage/store.h"

/* With what a memory was made. Names are for people; prints are fingerprints (hexadecimal hashes of
 * the files, say), which storage only compares. No adapter: both empty. */
struct store_maker {
    struct blob model, model_print;
    struct blob adapter, adapter_print;
    int64_t spec; /* version of the memory's specification */
};

struct store_session {
    struct blob title;
    struct store_maker maker; /* empty model_print: not set yet */
    int64_t created;          /* seconds since 1970 */
    int64_t position;         /* tokens read, as of the newest snapshot; 0 without one */
    int64_t generation;       /* of that snapshot; 0 without one */
    uint64_t documents, turns, skips;
};

bool store_session_get(struct store *store, struct store_session *session, struct error *error);
void store_session_finish(struct store_session *session);

bool store_set_title(struct store *store, struct blob title, struct error *error);
bool store_set_maker(struct store *store, const struct store_maker *maker, int64_t created,
                     struct error *error);

/* True if a memory made by `made` can be used by `present`. Else ERROR_INCOMPATIBLE, naming both
 * sides of what differs: model, adapter or specification. */
bool store_maker_matches(const struct store_maker *made, const struct store_maker *present,
                         struct error *error);
void store_maker_finish(struct store_maker *maker);

/* Named values of the session: window, kept tokens, chunk and the like. `found` may be NULL; a
 * value that is not there is empty and no error. */
bool store_setting_set(struct store *store, const char *name, struct blob value,
                       struct error *error);
bool store_setting_get(struct store *store, const char *name, struct blob *value, bool *found,
                       struct error *error);
bool store_setting_set_integer(struct store *store, const char *name, int64_t value,
                               struct error *error);
/* Gives `otherwise` when it is not there; ERROR_INCOMPATIBLE when it is no number. */
bool store_setting_get_integer(struct store *store, const char *name, int64_t otherwise,
                               int64_t *value, struct error *error);

/* Bytes by purpose. `file` also holds free pages and the tables' own structure. Only documents,
 * index and transcript grow with what was read and said. */
struct store_sizes {
    uint64_t file, documents, index, transcript, memory;
};
bool store_sizes(struct store *store, struct store_sizes *sizes, struct error *error);
