/* SPDX-License-Identifier: Apache-2.0
 *
 * The models folder, and from a -m argument to a file.
 */
#include "app/models.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/catalogue.h"
#include "app/json.h"
#include "app/paths.h"

#define SUFFIX ".gguf"
#define ADAPTER_SUFFIX ".adapter.gguf"

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

/* MODELS/NAMEsuffix, nothing made; NULL with an error. */
static char *models_file(const char *name, const char *suffix, struct error *error) {
    struct paths paths;
    if (!paths_init(&paths, error)) {
        return NULL;
    }
    char *file = NULL;
    if (asprintf(&file, "%s/models/%s%s", paths.data, name, suffix) < 0) {
        file = NULL;
        error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    paths_finish(&paths);
    return file;
}

static bool exists(const char *path) {
    return path && access(path, F_OK) == 0;
}

/* Takes a path and gives it back where there is such a file, else NULL. */
static char *if_exists(char *file) {
    if (!exists(file)) {
        free(file);
        return NULL;
    }
    return file;
}

/* The adapter beside a model's file, NULL for none. */
static char *adapter_beside(const char *path) {
    size_t stem = strlen(path) - (ends_with(path, SUFFIX) ? strlen(SUFFIX) : 0);
    char *file;
    if (asprintf(&file, "%.*s" ADAPTER_SUFFIX, (int)stem, path) < 0) {
        return NULL;
    }
    return if_exists(file);
}

/* Beside an installed model or a path, beside the file that it is a link to, the catalogue's; else
 * NULL. */
static char *find_adapter(const char *path, const struct catalogue_entry *entry) {
    char *file = adapter_beside(path), *real = file ? NULL : realpath(path, NULL);
    if (real) {
        file = adapter_beside(real);
        free(real);
    }
    if (!file && entry && entry->adapter) {
        file = if_exists(paths_join(assets_folder(), entry->adapter, ""));
    }
    return file;
}

static bool choose(struct model_choice *choice, const char *name, char *path,
                   const struct catalogue_entry *entry, struct error *error) {
    choice->name = strdup(name);
    choice->path = path;
    choice->adapter = find_adapter(path, entry);
    return choice->name || error_set(error, ERROR_NO_SPACE, "out of memory");
}

static bool missing(const char *model, const struct catalogue_entry *entry, bool standard,
                    struct error *error) {
    if (standard) {
        return error_set(error, ERROR_NOT_FOUND,
                         "the default model %s is not on this machine; run: allmem model get",
                         entry->name);
    }
    if (entry) {
        return error_set(error, ERROR_NOT_FOUND,
                         "the model %s is not on this machine; run: allmem model get %s", model,
                         model);
    }
    if (strchr(model, '/') || ends_with(model, SUFFIX)) {
        return error_set(error, ERROR_NOT_FOUND, "there is no model file %s", model);
    }
    return error_set(error, ERROR_NOT_FOUND,
                     "there is no model '%s'; see: allmem model list, or give a GGUF file", model);
}

bool model_choose(struct model_choice *choice, const char *model, struct error *error) {
    *choice = (struct model_choice){0};
    struct catalogue catalogue;
    if (!catalogue_open(&catalogue, error)) {
        return false;
    }
    bool standard = model == NULL, ok = false;
    model = standard ? catalogue.standard->name : model;
    const struct catalogue_entry *entry = catalogue_find(&catalogue, model);
    char *path = NULL;
    if (strchr(model, '/')) {
        path = strdup(model);
    } else {
        path = models_file(model, ends_with(model, SUFFIX) ? "" : SUFFIX, error);
        if (!path) {
            goto out;
        }
        if (!exists(path) && !entry && exists(model)) {
            free(path);
            path = strdup(model);
        }
    }
    if (!path) {
        error_set(error, ERROR_NO_SPACE, "out of memory");
    } else if (exists(path)) {
        ok = choose(choice, model, path, entry, error);
        path = NULL;
    } else {
        char target[PATH_MAX];
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n > 0 && !strchr(model, '/')) {
            error_set(error, ERROR_NOT_FOUND, "the file of model %s is gone: %.*s", model, (int)n,
                      target);
        } else {
            missing(model, entry, standard, error);
        }
    }
out:
    free(path);
    catalogue_finish(&catalogue);
    if (!ok) {
        model_choice_finish(choice);
    }
    return ok;
}

void model_choice_finish(struct model_choice *choice) {
    free(choice->name);
    free(choice->path);
    free(choice->adapter);
    *choice = (struct model_choice){0};
}

bool model_record_save(const char *name, const struct model_record *r, struct error *error) {
    char *file = models_file(name, ".json", error);
    if (!file) {
        return false;
    }
    json_t *json = json_pack("{s:o, s:s, s:I, s:b}", "source", json_text(r->source), "sha256",
                             r->sha256, "bytes", (json_int_t)r->bytes, "pinned", r->pinned);
    bool ok = json_save(json, file, error);
    free(file);
    return ok;
}

bool model_record_read(const char *name, struct model_record *record) {
    *record = (struct model_record){0};
    char *file = models_file(name, ".json", NULL);
    json_t *json = file ? json_read(file) : NULL;
    free(file);
    if (!json) {
        return false;
    }
    const char *source = json_string_value(json_object_get(json, "source"));
    const char *sha256 = json_string_value(json_object_get(json, "sha256"));
    snprintf(record->source, sizeof record->source, "%s", source ? source : "");
    snprintf(record->sha256, sizeof record->sha256, "%s", sha256 ? sha256 : "");
    json_int_t bytes = json_integer_value(json_object_get(json, "bytes"));
    record->bytes = bytes > 0 ? (uint64_t)bytes : 0;
    record->pinned = json_is_true(json_object_get(json, "pinned"));
    json_decref(json);
    return true;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct installed_model *)a)->name,
                  ((const struct installed_model *)b)->name);
}

static bool read_installed(struct installed_model *m, const char *dir, const char *file) {
    char *path = paths_join(dir, file, "");
    struct stat st;
    *m = (struct installed_model){.name = strndup(file, strlen(file) - strlen(SUFFIX))};
    if (path && m->name) {
        m->linked = lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
        m->there = stat(path, &st) == 0;
        m->bytes = m->there ? (uint64_t)st.st_size : 0;
        model_record_read(m->name, &m->record);
        char target[PATH_MAX];
        ssize_t n = m->linked ? readlink(path, target, sizeof target - 1) : -1;
        m->path = n > 0 ? strndup(target, (size_t)n) : strdup(path);
    }
    free(path);
    if (!m->name || !m->path) {
        free(m->name);
        free(m->path);
        return false;
    }
    return true;
}

bool installed_models_read(struct installed_models *list, struct error *error) {
    *list = (struct installed_models){0};
    char *dir = models_file("", "", error);
    if (!dir) {
        return false;
    }
    dir[strlen(dir) - 1] = '\0';
    DIR *folder = opendir(dir);
    bool ok =
        folder || errno == ENOENT ||
        error_set(error, ERROR_FAILURE, "cannot read the folder %s: %s", dir, strerror(errno));
    struct dirent *entry;
    while (ok && folder && (entry = readdir(folder))) {
        if (entry->d_name[0] == '.' || !ends_with(entry->d_name, SUFFIX) ||
            ends_with(entry->d_name, ADAPTER_SUFFIX)) {
            continue;
        }
        struct installed_model *grown =
            realloc(list->models, (list->count + 1) * sizeof *list->models);
        if (grown) {
            list->models = grown;
        }
        ok = grown && read_installed(&list->models[list->count], dir, entry->d_name);
        list->count += ok;
        if (!ok) {
            error_set(error, ERROR_NO_SPACE, "out of memory");
        }
    }
    if (folder) {
        closedir(folder);
    }
    free(dir);
    if (!ok) {
        installed_models_finish(list);
    } else if (list->count > 1) {
        qsort(list->models, list->count, sizeof *list->models, by_name);
    }
    return ok;
}

void installed_models_finish(struct installed_models *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->models[i].name);
        free(list->models[i].path);
    }
    free(list->models);
    *list = (struct installed_models){0};
}

bool model_link(const char *name, const char *path, struct error *error) {
    struct paths paths;
    if (!paths_init(&paths, error)) {
        return false;
    }
    char *link = paths_model(&paths, name, error), *target = realpath(path, NULL);
    paths_finish(&paths);
    bool ok = link != NULL;
    if (ok && !target) {
        ok = error_set(error, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_FAILURE, "%s: %s", path,
                       strerror(errno));
    }
    if (ok && symlink(target, link) != 0) {
        ok = errno == EEXIST
                 ? error_set(error, ERROR_FAILURE,
                             "there is a model %s already; run: allmem model rm %s", name, name)
                 : error_set(error, ERROR_FAILURE, "cannot write %s: %s", link, strerror(errno));
    }
    free(link);
    free(target);
    return ok;
}

bool model_remove(const char *name, struct error *error) {
    char *file = models_file(name, SUFFIX, error), *record = models_file(name, ".json", error);
    bool ok = file && record && paths_check_name("model", name, error);
    if (ok && unlink(file) != 0) {
        ok = errno == ENOENT
                 ? error_set(error, ERROR_NOT_FOUND, "there is no model '%s' on this machine", name)
                 : error_set(error, ERROR_FAILURE, "cannot remove %s: %s", file, strerror(errno));
    }
    if (ok) {
        unlink(record);
    }
    free(file);
    free(record);
    return ok;
}

bool model_known_hash(const char *name, char hex[HASH_HEX], struct error *error) {
    struct catalogue catalogue;
    struct model_record record;
    if (!catalogue_open(&catalogue, error)) {
        return false;
    }
    const struct catalogue_entry *e = catalogue_find(&catalogue, name);
    bool recorded = model_record_read(name, &record);
    snprintf(hex, HASH_HEX, "%s",
             recorded && *record.sha256 ? record.sha256
             : e && e->sha256           ? e->sha256
                                        : "");
    catalogue_finish(&catalogue);
    return true;
}
