/* SPDX-License-Identifier: Apache-2.0
 *
 * git as a child. Settings that would make it run a program named in the folder's own .git/config
 * are overridden: reading a folder must not execute anything from it.
 */
#include "app/import/git.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/import/child.h"

/* Whether the folder or one above it holds .git. */
static bool has_git_above(const char *folder) {
    char *real = realpath(folder, NULL);
    bool found = false;
    for (char *end = real ? real + strlen(real) : NULL; end && !found;) {
        char *path = NULL;
        if (asprintf(&path, "%.*s/.git", (int)(end - real), real) < 0) {
            break;
        }
        found = access(path, F_OK) == 0;
        free(path);
        end = end > real ? memrchr(real, '/', (size_t)(end - real)) : NULL;
    }
    free(real);
    return found;
}

enum git_answer git_list(const char *folder, bool (*stop)(void *), void *stop_context,
                         struct bytes *list, struct error *error) {
    if (!has_git_above(folder)) {
        return GIT_NONE;
    }
    const char *const argv[] = {"env",
                                "-u",
                                "GIT_DIR",
                                "-u",
                                "GIT_WORK_TREE",
                                "-u",
                                "GIT_INDEX_FILE",
                                "-u",
                                "GIT_PREFIX",
                                "GIT_OPTIONAL_LOCKS=0",
                                "LC_ALL=C",
                                "git",
                                "-C",
                                folder,
                                "-c",
                                "core.fsmonitor=false",
                                "-c",
                                "core.hooksPath=/dev/null",
                                "ls-files",
                                "-z",
                                "-co",
                                "--exclude-standard",
                                NULL};
    const struct child_limits limits = {
        .cpu_seconds = 60,
        .memory_bytes = (uint64_t)4 << 30,
        .output_bytes = 256u << 20,
        .stop = stop,
        .stop_context = stop_context,
    };
    int status = 0;
    if (!child_run(argv, "", 0, &limits, list, &status, error)) {
        return GIT_FAILED;
    }
    if (status != 0) {
        return GIT_FAILED;
    }
    return list->size ? GIT_FILES : GIT_NONE;
}
