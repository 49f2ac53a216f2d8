/* SPDX-License-Identifier: Apache-2.0
 *
 * Read-only mapping of a regular file.
 */
#include "engine/base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind_of(mode_t mode) {
    return S_ISDIR(mode)    ? "a folder"
           : S_ISFIFO(mode) ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

bool map_open(struct map *map, const char *path, struct error *error) {
    *map = (struct map){0};
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        enum error_code code =
            errno == ENOENT || errno == ENOTDIR ? ERROR_NOT_FOUND : ERROR_FAILURE;
        return error_set(error, code, "%s: %s", path, strerror(errno));
    }
    bool ok = false;
    struct stat st;
    if (fstat(fd, &st) != 0) {
        error_set(error, ERROR_FAILURE, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        error_set(error, ERROR_FAILURE, "%s: is %s, expected a regular file", path,
                  kind_of(st.st_mode));
    } else if (st.st_size == 0) {
        ok = true;
    } else {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            error_set(error, ERROR_FAILURE, "%s: cannot map %lld bytes: %s", path,
                      (long long)st.st_size, strerror(errno));
        } else {
            *map = (struct map){.data = data, .size = (size_t)st.st_size};
            ok = true;
        }
    }
    close(fd);
    return ok;
}

void map_close(struct map *map) {
    if (map->data) {
        munmap((void *)map->data, map->size);
    }
    *map = (struct map){0};
}
