/* SPDX-License-Identifier: Apache-2.0
 *
 * Moving files safely, and room on a file system.
 */
#include "app/files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app/progress.h"
#include "engine/base/map.h"

bool file_write_error(const char *path, int cause, struct error *error) {
    bool full = cause == ENOSPC || cause == EDQUOT || cause == EFBIG;
    return error_set(error, full ? ERROR_NO_SPACE : ERROR_FAILURE, "cannot write %s: %s", path,
                     strerror(cause));
}

/* The folder that `path` stands in; to be freed. */
static char *folder_of(const char *path) {
    char *copy = strdup(path);
    char *folder = copy ? strdup(dirname(copy)) : NULL;
    free(copy);
    return folder;
}

bool file_check_space(const char *path, uint64_t bytes, struct error *error) {
    char *folder = folder_of(path);
    struct statvfs fs;
    bool ok = true;
    if (!folder) {
        ok = error_set(error, ERROR_NO_SPACE, "out of memory");
    } else if (statvfs(folder, &fs) != 0) {
        ok = error_set(error, ERROR_FAILURE, "cannot look at %s: %s", folder, strerror(errno));
    } else {
        uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
        if (available < bytes) {
            char needed[PROGRESS_SIZE], found[PROGRESS_SIZE];
            ok = error_set(error, ERROR_NO_SPACE, "%s needs %s more on its disk, which has %s free",
                           path, progress_bytes(bytes, needed), progress_bytes(available, found));
        }
    }
    free(folder);
    return ok;
}

static bool sync_folder(const char *path, struct error *error) {
    char *folder = folder_of(path);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok) {
        error_set(error, ERROR_FAILURE, "cannot sync %s: %s", folder ? folder : path,
                  strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    free(folder);
    return ok;
}

/* 0 or errno. */
static int copy_bytes(int from, int to) {
    static char buffer[1 << 16];
    ssize_t n;
    while ((n = read(from, buffer, sizeof buffer)) != 0) {
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        for (ssize_t at = 0; at < n;) {
            ssize_t written = write(to, buffer + at, (size_t)(n - at));
            if (written < 0 && errno != EINTR) {
                return errno;
            }
            at += written > 0 ? written : 0;
        }
    }
    return fsync(to) == 0 ? 0 : errno;
}

static bool copy_file(const char *from, const char *to, struct error *error) {
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int cause = in < 0 || out < 0 ? errno : copy_bytes(in, out);
    if (in >= 0) {
        close(in);
    }
    if (out >= 0 && close(out) != 0 && cause == 0) {
        cause = errno;
    }
    if (cause) {
        unlink(to);
        return file_write_error(to, cause, error);
    }
    return true;
}

/* 0 or errno. */
static int rename_file(const char *from, const char *to, bool replace) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, replace ? 0 : RENAME_NOREPLACE) == 0 ? 0 : errno;
}

bool file_move(const char *from, const char *to, bool replace, struct error *error) {
    int cause = rename_file(from, to, replace);
    if (cause == EXDEV) {
        char *beside;
        if (asprintf(&beside, "%s.new", to) < 0) {
            return error_set(error, ERROR_NO_SPACE, "out of memory");
        }
        bool copied = copy_file(from, beside, error);
        cause = copied ? rename_file(beside, to, replace) : 0;
        if (cause) {
            unlink(beside);
        } else if (copied) {
            unlink(from);
        }
        free(beside);
        if (!copied) {
            return false;
        }
    }
    if (cause == EEXIST) {
        return error_set(error, ERROR_FAILURE, "%s exists already", to);
    }
    return cause ? file_write_error(to, cause, error) : sync_folder(to, error);
}

static int remove_item(const char *path, const struct stat *st, int kind, struct FTW *walk) {
    (void)st;
    (void)kind;
    (void)walk;
    remove(path);
    return 0;
}

void file_remove_folder(const char *path) {
    nftw(path, remove_item, 16, FTW_DEPTH | FTW_PHYS);
}

/* 0 or errno. */
static int write_bytes(int fd, const char *data, size_t size) {
    for (size_t at = 0; at < size;) {
        const ssize_t written = write(fd, data + at, size - at);
        if (written < 0 && errno != EINTR) {
            return errno;
        }
        at += written > 0 ? (size_t)written : 0;
    }
    return fsync(fd) == 0 ? 0 : errno;
}

bool file_write(const char *path, const void *data, size_t size, struct error *error) {
    char *part;
    if (asprintf(&part, "%s.part", path) < 0) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int cause = fd < 0 ? errno : write_bytes(fd, data, size);
    if (fd >= 0 && close(fd) != 0 && cause == 0) {
        cause = errno;
    }
    bool ok =
        cause == 0 ? file_move(part, path, true, error) : file_write_error(path, cause, error);
    if (!ok && fd >= 0) {
        unlink(part);
    }
    free(part);
    return ok;
}

bool file_hash(const char *path, bool (*watch)(void *context, uint64_t done, uint64_t total),
               void *context, char hex[HASH_HEX], uint64_t *bytes, struct error *error) {
    struct map map;
    if (!map_open(&map, path, error)) {
        return false;
    }
    struct hash *hash = hash_start();
    bool ok = hash || error_set(error, ERROR_NO_SPACE, "out of memory");
    for (size_t at = 0; ok && at < map.size;) {
        size_t n = map.size - at < 1 << 20 ? map.size - at : 1 << 20;
        hash_add(hash, (const char *)map.data + at, n);
        at += n;
        ok = watch(context, at, map.size) || error_set(error, ERROR_INTERRUPTED, "stopped");
    }
    *bytes = map.size;
    map_close(&map);
    if (ok) {
        uint8_t digest[HASH_BYTES];
        hash_finish(hash, digest);
        hash_hex(digest, hex);
    } else {
        hash_drop(hash);
    }
    return ok;
}
