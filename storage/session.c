/* SPDX-License-Identifier: Apache-2.0
 *
 * The row of table session, the settings, the sizes.
 */
#include "storage/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/statement.h"

bool store_session_get(struct store *store, struct store_session *session, struct error *error) {
    *session = (struct store_session){0};
    struct statement s = statement_of(
        store, "SELECT title, model, model_print, adapter, adapter_print, spec, created,"
               " (SELECT position FROM snapshot ORDER BY generation DESC LIMIT 1),"
               " (SELECT max(generation) FROM snapshot), (SELECT count(*) FROM document"
               " WHERE state = 0), (SELECT count(*) FROM turn), (SELECT count(*) FROM skip)"
               " FROM session");
    bool found = statement_next(&s);
    if (found) {
        statement_copy(&s, 0, &session->title);
        statement_copy(&s, 1, &session->maker.model);
        statement_copy(&s, 2, &session->maker.model_print);
        statement_copy(&s, 3, &session->maker.adapter);
        statement_copy(&s, 4, &session->maker.adapter_print);
        session->maker.spec = statement_integer(&s, 5);
        session->created = statement_integer(&s, 6);
        session->position = statement_integer(&s, 7);
        session->generation = statement_integer(&s, 8);
        session->documents = (uint64_t)statement_integer(&s, 9);
        session->turns = (uint64_t)statement_integer(&s, 10);
        session->skips = (uint64_t)statement_integer(&s, 11);
    }
    if (!statement_end(&s, error)) {
        store_session_finish(session);
        return false;
    }
    return found ||
           error_set(error, ERROR_INCOMPATIBLE, "'%s' is damaged: no session row", store->path);
}

void store_maker_finish(struct store_maker *maker) {
    blob_free(&maker->model);
    blob_free(&maker->model_print);
    blob_free(&maker->adapter);
    blob_free(&maker->adapter_print);
}

void store_session_finish(struct store_session *session) {
    blob_free(&session->title);
    store_maker_finish(&session->maker);
}

bool store_set_title(struct store *store, struct blob title, struct error *error) {
    if (!store_begin(store, error)) {
        return false;
    }
    struct statement s = statement_of(store, "UPDATE session SET title = ?1");
    statement_bind_blob(&s, 1, title);
    return store_end(store, statement_run(&s, error), error);
}

bool store_set_maker(struct store *store, const struct store_maker *maker, int64_t created,
                     struct error *error) {
    if (!store_begin(store, error)) {
        return false;
    }
    struct statement s =
        statement_of(store, "UPDATE session SET model = ?1, model_print = ?2, adapter = ?3,"
                            " adapter_print = ?4, spec = ?5, created = ?6");
    statement_bind_blob(&s, 1, maker->model);
    statement_bind_blob(&s, 2, maker->model_print);
    statement_bind_blob(&s, 3, maker->adapter);
    statement_bind_blob(&s, 4, maker->adapter_print);
    statement_bind_integer(&s, 5, maker->spec);
    statement_bind_integer(&s, 6, created);
    return store_end(store, statement_run(&s, error), error);
}

static bool same(struct blob a, struct blob b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool differ(const char *what, struct blob made, struct blob made_print, struct blob present,
                   struct blob present_print, struct error *error) {
    enum { NAME = 200, PRINT = 16 };
    return error_set(error, ERROR_INCOMPATIBLE,
                     "the memory was made with %s '%.*s' (%.*s), now there is '%.*s' (%.*s)", what,
                     (int)(made.size ? (made.size < NAME ? made.size : NAME) : 4),
                     made.size ? made.data : "none",
                     (int)(made_print.size < PRINT ? made_print.size : PRINT),
                     made_print.size ? made_print.data : "",
                     (int)(present.size ? (present.size < NAME ? present.size : NAME) : 4),
                     present.size ? present.data : "",
                     (int)(present_print.size < PRINT ? present_print.size : PRINT),
                     present_print.size ? present_print.data : "");
}

bool store_maker_matches(const struct store_maker *made, const struct store_maker *present,
                         struct error *error) {
    if (!same(made->model_print, present->model_print)) {
        return differ("model", made->model, made->model_print, present->model, present->model_print,
                      error);
    }
    if (!same(made->adapter_print, present->adapter_print)) {
        return differ("adapter", made->adapter, made->adapter_print, present->adapter,
                      present->adapter_print, error);
    }
    if (made->spec != present->spec) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "the memory was made by version %lld of its specification, this AllMem "
                         "has version %lld",
                         (long long)made->spec, (long long)present->spec);
    }
    return true;
}

bool store_setting_set(struct store *store, const char *name, struct blob value,
                       struct error *error) {
    if (!store_begin(store, error)) {
        return false;
    }
    struct statement s = statement_of(store, "INSERT INTO setting(name, value) VALUES(?1, ?2)"
                                             " ON CONFLICT(name) DO UPDATE SET value = ?2");
    statement_bind_blob(&s, 1, blob_of(name));
    statement_bind_blob(&s, 2, value);
    return store_end(store, statement_run(&s, error), error);
}

bool store_setting_get(struct store *store, const char *name, struct blob *value, bool *found,
                       struct error *error) {
    *value = (struct blob){0};
    struct statement s = statement_of(store, "SELECT value FROM setting WHERE name = ?1");
    statement_bind_blob(&s, 1, blob_of(name));
    bool is_there = statement_next(&s);
    if (is_there) {
        statement_copy(&s, 0, value);
    }
    if (found) {
        *found = is_there;
    }
    return statement_end(&s, error);
}

bool store_setting_set_integer(struct store *store, const char *name, int64_t value,
                               struct error *error) {
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return store_setting_set(store, name, blob_of(text), error);
}

bool store_setting_get_integer(struct store *store, const char *name, int64_t otherwise,
                               int64_t *value, struct error *error) {
    struct blob text;
    bool found;
    *value = otherwise;
    if (!store_setting_get(store, name, &text, &found, error)) {
        return false;
    }
    bool ok = true;
    if (found) {
        char *end = NULL;
        errno = 0;
        *value = strtoll(text.data, &end, 10);
        ok = errno == 0 && text.size > 0 && end == text.data + text.size;
        if (!ok) {
            error_set(error, ERROR_INCOMPATIBLE, "'%s': setting '%s' is '%.100s', not a number",
                      store->path, name, text.data);
        }
    }
    blob_free(&text);
    return ok;
}

bool store_sizes(struct store *store, struct store_sizes *sizes, struct error *error) {
    *sizes = (struct store_sizes){0};
    struct statement s =
        statement_of(store, "SELECT (SELECT page_count FROM pragma_page_count) *"
                            " (SELECT page_size FROM pragma_page_size),"
                            " (SELECT total(size) FROM text),"
                            " (SELECT total(length(block)) FROM passage_index_data),"
                            " (SELECT total(length(body)) FROM turn),"
                            " (SELECT total(size) FROM payload)");
    if (statement_next(&s)) {
        sizes->file = (uint64_t)statement_integer(&s, 0);
        sizes->documents = (uint64_t)statement_integer(&s, 1);
        sizes->index = (uint64_t)statement_integer(&s, 2);
        sizes->transcript = (uint64_t)statement_integer(&s, 3);
        sizes->memory = (uint64_t)statement_integer(&s, 4);
    }
    return statement_end(&s, error);
}
