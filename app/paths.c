/* SPDX-License-Identifier: Apache-2.0
 *
 * XDG base directories, folders for their owner only, and names that are safe as file names.
 */
#include "app/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *paths_join(const char *dir, const char *name, const char *suffix) {
    char *path;
    return asprintf(&path, "%s/%s%s", dir, name, suffix) < 0 ? NULL : path;
}

/* The value of an environment variable that names a folder; NULL when unset or empty. */
static const char *folder_from(const char *variable) {
    const char *value = getenv(variable);
    return value && *value ? value : NULL;
}

/* One of the four: $ALLMEM_HOME/KIND, else $VARIABLE/allmem, else $HOME/FALLBACK/allmem. */
static char *base_folder(const char *kind, const char *variable, const char *fallback,
                         struct error *error) {
    const char *home = folder_from("ALLMEM_HOME");
    if (home && *home != '/') {
        error_set(error, ERROR_FAILURE, "ALLMEM_HOME is '%s', expected an absolute path", home);
        return NULL;
    }
    char *path = NULL;
    if (home) {
        path = paths_join(home, kind, "");
    } else {
        /* The XDG specification: a relative path there is to be ignored. */
        const char *xdg = folder_from(variable);
        if (xdg && *xdg == '/') {
            path = paths_join(xdg, "allmem", "");
        } else {
            home = folder_from("HOME");
            if (!home || *home != '/') {
                error_set(
                    error, ERROR_FAILURE,
                    "cannot tell where to keep files: HOME is %s; set HOME, or ALLMEM_HOME to "
                    "an absolute path",
                    home ? "not an absolute path" : "not set");
                return NULL;
            }
            char below[64];
            snprintf(below, sizeof below, "%s/allmem", fallback);
            path = paths_join(home, below, "");
        }
    }
    if (!path) {
        error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    return path;
}

bool paths_init(struct paths *paths, struct error *error) {
    *paths = (struct paths){0};
    paths->config = base_folder("config", "XDG_CONFIG_HOME", ".config", error);
    paths->data =
        paths->config ? base_folder("data", "XDG_DATA_HOME", ".local/share", error) : NULL;
    paths->cache = paths->data ? base_folder("cache", "XDG_CACHE_HOME", ".cache", error) : NULL;
    paths->state =
        paths->cache ? base_folder("state", "XDG_STATE_HOME", ".local/state", error) : NULL;
    if (!paths->state) {
        paths_finish(paths);
        return false;
    }
    return true;
}

void paths_finish(struct paths *paths) {
    free(paths->config);
    free(paths->data);
    free(paths->cache);
    free(paths->state);
    *paths = (struct paths){0};
}

bool paths_make(const char *dir, struct error *error) {
    char *path = strdup(dir);
    if (!path) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    bool ok = true;
    for (char *slash = path; ok && slash;) {
        slash = strchr(slash + 1, '/');
        if (slash) {
            *slash = '\0';
        }
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            ok = error_set(error, errno == ENOSPC ? ERROR_NO_SPACE : ERROR_FAILURE,
                           "cannot make the folder %s: %s", path, strerror(errno));
        }
        if (slash) {
            *slash = '/';
        }
    }
    struct stat st;
    if (ok && stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        ok = error_set(error, ERROR_FAILURE, "%s is a file, expected a folder", path);
    }
    free(path);
    return ok;
}

bool paths_check_name(const char *what, const char *name, struct error *error) {
    size_t size = strlen(name);
    if (size == 0) {
        return error_set(error, ERROR_USAGE, "the %s name is empty", what);
    }
    if (size > PATHS_NAME_MAX) {
        return error_set(error, ERROR_USAGE, "the %s name has %zu bytes, expected at most %d", what,
                         size, PATHS_NAME_MAX);
    }
    if (name[0] == '.' || name[0] == '-') {
        return error_set(error, ERROR_USAGE, "the %s name '%s' begins with '%c'", what, name,
                         name[0]);
    }
    for (const char *c = name; *c; c++) {
        if (*c == '/' || (unsigned char)*c < 0x20 || *c == 0x7f) {
            return error_set(error, ERROR_USAGE, "the %s name '%s' holds a %s", what, name,
                             *c == '/' ? "slash" : "control character");
        }
    }
    return true;
}

/* DATA/FOLDER/NAME.suffix with the name checked and the folder made. */
static char *data_file(const struct paths *paths, const char *what, const char *folder,
                       const char *name, const char *suffix, struct error *error) {
    if (!paths_check_name(what, name, error)) {
        return NULL;
    }
    char *dir = paths_join(paths->data, folder, "");
    char *path = NULL;
    if (!dir) {
        error_set(error, ERROR_NO_SPACE, "out of memory");
    } else if (paths_make(dir, error)) {
        path = paths_join(dir, name, suffix);
        if (!path) {
            error_set(error, ERROR_NO_SPACE, "out of memory");
        }
    }
    free(dir);
    return path;
}

char *paths_session(const struct paths *paths, const char *name, struct error *error) {
    return data_file(paths, "session", "sessions", name, ".db", error);
}

char *paths_model(const struct paths *paths, const char *name, struct error *error) {
    return data_file(paths, "model", "models", name, ".gguf", error);
}
