/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole session files. Copies are made by SQLite itself (VACUUM INTO), never byte by byte, since
 * part of a session that is being written stands in its log.
 */
#include "storage/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "storage/db.h"
#include "storage/schema.h"
#include "storage/session.h"
#include "storage/statement.h"
#include "storage/verify.h"

static bool system_error(struct error *error, const char *doing, const char *path) {
    enum error_code code = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? ERROR_NO_SPACE
                           : errno == ENOENT                                    ? ERROR_NOT_FOUND
                                                                                : ERROR_FAILURE;
    return error_set(error, code, "cannot %s '%s': %s", doing, path, strerror(errno));
}

static char *with_suffix(const char *path, const char *suffix, struct error *error) {
    const char *here = path[0] == '/' ? "" : "./"; /* see plain_path in store.c */
    size_t size = strlen(here) + strlen(path) + strlen(suffix) + 1;
    char *text = malloc(size);
    if (text) {
        snprintf(text, size, "%s%s%s", here, path, suffix);
    } else {
        error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    return text;
}

static bool sync_path(const char *path, int flags, struct error *error) {
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) {
        return system_error(error, "open", path);
    }
    bool ok = fsync(fd) == 0 || system_error(error, "write", path);
    return (close(fd) == 0 || system_error(error, "write", path)) && ok;
}

static bool sync_folder_of(const char *path, struct error *error) {
    char *copy = with_suffix(path, "", error);
    bool ok = copy && sync_path(dirname(copy), O_RDONLY | O_DIRECTORY, error);
    free(copy);
    return ok;
}

static const char *const beside[] = {"-wal", "-shm", "-journal"};

static bool remove_beside(const char *path, struct error *error) {
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof beside / sizeof *beside; i++) {
        char *name = with_suffix(path, beside[i], error);
        ok = name && (unlink(name) == 0 || errno == ENOENT || system_error(error, "remove", name));
        free(name);
    }
    return ok;
}

/* Moves without ever writing over a file, unless told to. A log whose file is gone, left by a
 * removal that was cut off, would be taken for the log of the file that gets this name. */
static bool move_file(const char *from, const char *to, bool replace, struct error *error) {
    struct stat st;
    if (lstat(to, &st) != 0 && errno == ENOENT && !remove_beside(to, error)) {
        return false;
    }
    int failed =
        replace ? rename(from, to) : renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
    if (failed && !replace && errno == EINVAL) { /* a file system without that operation */
        failed = link(from, to) != 0 || unlink(from) != 0;
    }
    if (failed) {
        return system_error(error, "make", to);
    }
    return sync_folder_of(to, error);
}

/* A copy under way is written to all the time; its end has this name for a moment only. */
static const char part_suffix[] = ".db.part";
enum { STALE_SECONDS = 3600 };

void store_tidy(const char *folder) {
    DIR *dir = opendir(folder);
    if (!dir) {
        return;
    }
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        size_t n = strlen(e->d_name), end = sizeof part_suffix - 1;
        struct stat st;
        if (n > end && strcmp(e->d_name + n - end, part_suffix) == 0 &&
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_uid == geteuid() && st.st_mtime < time(NULL) - STALE_SECONDS) {
            unlinkat(dirfd(dir), e->d_name, 0);
        }
    }
    closedir(dir);
}

bool store_copy(struct store *store, const char *to, bool replace, struct error *error) {
    char *part = with_suffix(to, ".part", error);
    if (!part) {
        return false;
    }
    bool ok = false;
    struct stat st;
    if (!replace && lstat(to, &st) == 0) {
        error_set(error, ERROR_FAILURE, "'%s' already exists", to);
        goto done;
    }
    /* What a copy that was cut off left behind; VACUUM INTO takes an empty file, private by then.
     */
    unlink(part);
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        system_error(error, "make", part);
        goto done;
    }
    close(fd);
    struct statement s = statement_of(store, "VACUUM INTO ?1");
    statement_bind_text(&s, 1, blob_of(part));
    ok = statement_run(&s, error) && sync_path(part, O_RDWR, error) &&
         move_file(part, to, replace, error);
    if (!ok) {
        unlink(part);
    }
done:
    free(part);
    return ok;
}

bool store_import(const char *from, const char *to, struct error *error) {
    const struct store_options options = {.mode = STORE_READ};
    struct store *store = store_open(from, &options, error);
    if (!store) {
        return false;
    }
    bool ok = schema_is_ours(store, error) && store_verify(store, NULL, NULL, error) &&
              store_copy(store, to, false, error);
    store_close(store);
    return ok;
}

bool store_fork(struct store *store, const char *to, struct blob title, struct error *error) {
    if (!store_copy(store, to, false, error)) {
        return false;
    }
    const struct store_options options = {.mode = STORE_WRITE, .skip_check = true};
    struct store *fork = store_open(to, &options, error);
    bool ok = fork && store_set_title(fork, title, error);
    store_close(fork);
    if (!ok) {
        store_remove_file(to, NULL);
    }
    return ok;
}

/* Closes the writer but keeps its lock, so that the file stays as it is. False while somebody reads
 * it: its log then stays beside it, and must not come to belong to another file. */
static bool rest_locked(struct store *store, struct lock *lock, struct error *error) {
    char *path = with_suffix(store_path(store), "", error);
    *lock = store->lock;
    store->lock = LOCK_FREE;
    store_close(store);
    char *log = path ? with_suffix(path, "-wal", error) : NULL;
    struct stat st;
    bool ok =
        log && (lstat(log, &st) != 0 ||
                error_set(error, ERROR_FAILURE, "'%s' is being read by another process", path));
    free(log);
    free(path);
    return ok;
}

bool store_rename_file(const char *from, const char *to, struct error *error) {
    const struct store_options options = {.mode = STORE_WRITE};
    struct store *store = store_open(from, &options, error);
    struct lock lock;
    if (!store) {
        return false;
    }
    bool ok = rest_locked(store, &lock, error) && move_file(from, to, false, error);
    lock_release(&lock);
    return ok;
}

bool store_replace(struct store *store, const char *from, struct error *error) {
    const struct store_options options = {.mode = STORE_WRITE, .skip_check = true};
    char *to = with_suffix(store_path(store), "", error);
    struct store *next = to ? store_open(from, &options, error) : NULL;
    struct lock lock, next_lock = LOCK_FREE;
    bool ok = next && rest_locked(next, &next_lock, error);
    ok = rest_locked(store, &lock, ok ? error : NULL) && ok && move_file(from, to, true, error);
    lock_release(&next_lock);
    lock_release(&lock);
    free(to);
    return ok;
}

/* Needs no sound database: also a damaged session can be removed, and one on a full disk. */
bool store_remove_file(const char *path, struct error *error) {
    struct lock lock;
    struct stat st;
    if (lstat(path, &st) != 0) {
        return system_error(error, "remove", path);
    }
    if (!S_ISREG(st.st_mode)) {
        return error_set(error, ERROR_FAILURE, "'%s' is not a session file", path);
    }
    if (!lock_take(&lock, path, 0, error)) {
        return false;
    }
    bool ok = unlink(path) == 0 || system_error(error, "remove", path);
    /* The log after the file: left alone it is nothing, the file without its log is torn. */
    ok = ok && remove_beside(path, error);
    lock_release(&lock);
    return ok;
}
