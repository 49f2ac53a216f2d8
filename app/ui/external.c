/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs of the user's choice, run by the shell as git and others do: the variable may hold words
 * and quotes, the file's name is a parameter of its own and never part of the command.
 */
#include "app/ui/external.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/files.h"
#include "app/paths.h"
#include "app/ui/screen.h"

extern char **environ;

enum { MOST = 4 * 1024 * 1024 };

static const char *first_of(const char *const *names, const char *otherwise) {
    for (; *names; names++) {
        const char *value = getenv(*names);
        if (value && *value) {
            return value;
        }
    }
    return otherwise;
}

/* Signals as a program expects them at its start. */
static bool spawn(pid_t *pid, char **argv) {
    posix_spawnattr_t attributes;
    sigset_t usual;
    if (posix_spawnattr_init(&attributes) != 0) {
        return false;
    }
    sigemptyset(&usual);
    sigaddset(&usual, SIGINT);
    sigaddset(&usual, SIGQUIT);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    bool ok = posix_spawn(pid, "/bin/sh", NULL, &attributes, argv, environ) == 0;
    posix_spawnattr_destroy(&attributes);
    return ok;
}

static bool run(const char *command, const char *path, uint64_t line, struct error *error) {
    char *script = NULL, place[32] = "";
    snprintf(place, sizeof place, "+%llu", (unsigned long long)line);
    if (asprintf(&script, "%s \"$@\"", command) < 0) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    bool at = line > 0;
    char *argv[] = {"sh", "-c", script, "sh", at ? place : (char *)path, at ? (char *)path : NULL,
                    NULL};
    pid_t pid;
    int status = 0;
    screen_leave();
    bool ok = spawn(&pid, argv);
    while (ok && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    screen_return();
    if (!ok) {
        error_set(error, ERROR_FAILURE, "cannot run %s: %s", command, strerror(errno));
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        ok = error_set(error, ERROR_FAILURE, "%s ended with status %d", command,
                       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    free(script);
    return ok;
}

bool external_edit(const char *path, uint64_t line, struct error *error) {
    static const char *const names[] = {"VISUAL", "EDITOR", NULL};
    return run(first_of(names, "vi"), path, line, error);
}

/* A private file with the text, to be removed and freed. */
static char *write_text(const char *text, size_t size, struct error *error) {
    struct paths paths;
    if (!paths_init(&paths, error)) {
        return NULL;
    }
    char name[40];
    snprintf(name, sizeof name, "text-%ld", (long)getpid());
    char *path = paths_join(paths.state, name, ".txt");
    bool ok = (path || error_set(error, ERROR_NO_SPACE, "out of memory")) &&
              paths_make(paths.state, error) && file_write(path, text, size, error);
    if (!ok) {
        free(path);
        path = NULL;
    }
    paths_finish(&paths);
    return path;
}

bool external_page(const char *text, size_t size, uint64_t line, struct error *error) {
    static const char *const names[] = {"PAGER", NULL};
    char *path = write_text(text, size, error);
    bool ok = path && run(first_of(names, "less"), path, line, error);
    if (path) {
        unlink(path);
    }
    free(path);
    return ok;
}

static char *read_text(const char *path, struct error *error) {
    FILE *file = fopen(path, "re");
    char *text = malloc(MOST + 1);
    size_t size = file && text ? fread(text, 1, MOST, file) : 0;
    bool ok = file && text && !ferror(file);
    if (file) {
        fclose(file);
    }
    if (!ok) {
        error_set(error, ERROR_FAILURE, "cannot read %s: %s", path, strerror(errno));
        free(text);
        return NULL;
    }
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\0')) {
        size--; /* editors end the last line */
    }
    text[size] = '\0';
    return text;
}

char *external_write(const char *text, struct error *error) {
    char *path = write_text(text, strlen(text), error);
    char *written = path && external_edit(path, 0, error) ? read_text(path, error) : NULL;
    if (path) {
        unlink(path);
    }
    free(path);
    return written;
}
