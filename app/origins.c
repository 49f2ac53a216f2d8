/* SPDX-License-Identifier: Apache-2.0
 *
 * The setting "origins", written and read.
 */
#include "app/origins.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char SETTING[] = "origins";

void origins_finish(struct origins *o) {
    for (size_t i = 0; i < o->count; i++) {
        free(o->items[i].paths.text);
        free(o->items[i].include.text);
        free(o->items[i].exclude.text);
    }
    free(o->items);
    blob_free(&o->data);
    *o = (struct origins){0};
}

static bool add_text(struct origin_texts *texts, const char *text) {
    const char **grown = reallocarray(texts->text, texts->count + 1, sizeof *grown);
    if (grown) {
        texts->text = grown;
        texts->text[texts->count++] = text;
    }
    return grown != NULL;
}

/* "KEY=" and what follows it, or NULL. */
static const char *value_of(const char *line, const char *key) {
    size_t n = strlen(key);
    return strncmp(line, key, n) == 0 && line[n] == '=' ? line + n + 1 : NULL;
}

static bool take_line(struct origins *o, const char *line) {
    const char *value = value_of(line, "folder");
    if (value) {
        struct origin *grown = reallocarray(o->items, o->count + 1, sizeof *grown);
        if (!grown) {
            return false;
        }
        o->items = grown;
        o->items[o->count++] = (struct origin){.folder = value};
        return true;
    }
    struct origin *last = o->count ? &o->items[o->count - 1] : NULL;
    if (!last) {
        return true;
    }
    if (value_of(line, "all")) {
        last->no_ignore = true;
    }
    return (!(value = value_of(line, "path")) || add_text(&last->paths, value)) &&
           (!(value = value_of(line, "include")) || add_text(&last->include, value)) &&
           (!(value = value_of(line, "exclude")) || add_text(&last->exclude, value));
}

bool origins_read(struct origins *o, struct store *store, struct error *error) {
    *o = (struct origins){0};
    if (!store_setting_get(store, SETTING, &o->data, NULL, error)) {
        return false;
    }
    bool ok = true;
    for (size_t at = 0; ok && at < o->data.size; at += strlen(o->data.data + at) + 1) {
        ok = take_line(o, o->data.data + at); /* a blob ends with a NUL of its own */
    }
    if (!ok) {
        origins_finish(o);
        return error_set(error, ERROR_NO_SPACE, "no memory for the list of paths");
    }
    return true;
}

static void put(struct bytes *out, const char *key, const char *value) {
    bytes_put(out, key, strlen(key));
    bytes_put_u8(out, '=');
    bytes_put(out, value, strlen(value) + 1);
}

static void put_origin(struct bytes *out, const char *folder, const char *const *paths,
                       size_t count, const struct walk_options *walk) {
    put(out, "folder", folder);
    for (size_t i = 0; i < count; i++) {
        put(out, "path", paths[i]);
    }
    for (size_t i = 0; i < walk->include_count; i++) {
        put(out, "include", walk->include[i]);
    }
    for (size_t i = 0; i < walk->exclude_count; i++) {
        put(out, "exclude", walk->exclude[i]);
    }
    if (walk->no_ignore) {
        put(out, "all", "");
    }
    put(out, "end", ""); /* so that no origin is the beginning of another */
}

bool origins_add(struct store *store, const char *const *paths, size_t count,
                 const struct walk_options *walk, struct error *error) {
    struct bytes all = {0}, one = {0};
    struct blob before = {0};
    char *folder = getcwd(NULL, 0);
    bool ok = folder || error_set(error, ERROR_FAILURE, "the present folder: %s", strerror(errno));
    ok = ok && store_setting_get(store, SETTING, &before, NULL, error);
    if (ok) {
        put_origin(&one, folder, paths, count, walk);
        bytes_put(&all, before.data ? before.data : "", before.size);
        bool known = one.size && before.size && memmem(all.data, all.size, one.data, one.size);
        bytes_put(&all, one.data, known ? 0 : one.size);
        ok =
            !all.failed && !one.failed
                ? known || store_setting_set(store, SETTING,
                                             (struct blob){(const char *)all.data, all.size}, error)
                : error_set(error, ERROR_NO_SPACE, "no memory for the list of paths");
    }
    bytes_finish(&all);
    bytes_finish(&one);
    blob_free(&before);
    free(folder);
    return ok;
}
