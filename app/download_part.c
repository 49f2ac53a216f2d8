/* SPDX-License-Identifier: Apache-2.0
 *
 * NAME.part and its state.
 */
#include "app/download_part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/files.h"
#include "app/interrupt.h"
#include "app/json.h"

static bool same_text(json_t *state, const char *key, const char *text) {
    const char *found = json_string_value(json_object_get(state, key));
    return text ? found && strcmp(found, text) == 0 : found == NULL;
}

static bool copy_text(json_t *state, const char *key, char *out, size_t size) {
    const char *text = json_string_value(json_object_get(state, key));
    int n = snprintf(out, size, "%s", text ? text : "");
    return n >= 0 && (size_t)n < size;
}

const char *part_validator(const struct download_part *part) {
    return *part->etag ? part->etag : *part->modified ? part->modified : NULL;
}

/* Whether the state on disk is of this download and lets it be resumed. */
static bool load_state(struct download_part *part) {
    json_t *state = json_read(part->state_path);
    if (!state) {
        return false;
    }
    json_int_t total = json_integer_value(json_object_get(state, "total"));
    bool ok = same_text(state, "url", part->url) && same_text(state, "sha256", part->sha256) &&
              copy_text(state, "etag", part->etag, sizeof part->etag) &&
              copy_text(state, "modified", part->modified, sizeof part->modified) &&
              part_validator(part) != NULL;
    part->total = total > 0 ? (uint64_t)total : PART_UNKNOWN;
    json_decref(state);
    return ok;
}

static bool save_state(struct download_part *part, struct error *error) {
    json_int_t total = part->total == PART_UNKNOWN ? 0 : (json_int_t)part->total;
    return json_save(json_pack("{s:o, s:o, s:o, s:o, s:I}", "url", json_text(part->url), "sha256",
                               json_text(part->sha256), "etag", json_text(part->etag), "modified",
                               json_text(part->modified), "total", total),
                     part->state_path, error);
}

static bool hash_existing(struct download_part *part, uint64_t size,
                          const struct download_watch *watch, struct error *error) {
    enum { CHUNK = 1 << 20 };
    char *buffer = malloc(CHUNK);
    bool ok = buffer || error_set(error, ERROR_NO_SPACE, "out of memory");
    while (ok && part->size < size) {
        ssize_t n = pread(part->fd, buffer, CHUNK, (off_t)part->size);
        if (n > 0) {
            hash_add(part->hash, buffer, (size_t)n);
            part->size += (uint64_t)n;
        } else if (n == 0 || errno != EINTR) {
            ok = error_set(error, ERROR_FAILURE, "cannot read %s: %s", part->path,
                           n ? strerror(errno) : "it became shorter");
        }
        if (ok && watch->stop && watch->stop(watch->context)) {
            ok = interrupt_error(error);
        }
    }
    free(buffer);
    return ok;
}

bool part_open(struct download_part *part, const char *path, const char *url, const char *sha256,
               const struct download_watch *watch, struct error *error) {
    *part = (struct download_part){.url = url, .sha256 = sha256, .fd = -1, .total = PART_UNKNOWN};
    part->path = strdup(path);
    part->hash = hash_start();
    if (!part->path || !part->hash || asprintf(&part->state_path, "%s.json", path) < 0) {
        part->state_path = NULL;
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    struct stat st;
    part->fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (part->fd < 0) {
        return file_write_error(path, errno, error);
    }
    if (flock(part->fd, LOCK_EX | LOCK_NB) != 0) {
        close(part->fd); /* it is not ours, and part_close must not touch it */
        part->fd = -1;
        return error_set(error, ERROR_FAILURE, "another allmem is fetching into %s", path);
    }
    if (fstat(part->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return error_set(error, ERROR_FAILURE, "%s is no regular file", path);
    }
    bool fits = load_state(part);
    uint64_t size = (uint64_t)st.st_size;
    if (fits && size <= part->total) {
        return hash_existing(part, size, watch, error);
    }
    part->total = PART_UNKNOWN;
    part->etag[0] = part->modified[0] = '\0';
    return ftruncate(part->fd, 0) == 0 || file_write_error(path, errno, error);
}

void part_close(struct download_part *part) {
    if (part->fd >= 0) {
        if (part->size == 0) {
            unlink(part->path);
            unlink(part->state_path);
        }
        close(part->fd);
    }
    hash_drop(part->hash);
    free(part->path);
    free(part->state_path);
    *part = (struct download_part){.fd = -1};
}

bool part_restart(struct download_part *part, const char *etag, const char *modified,
                  uint64_t total, struct error *error) {
    hash_drop(part->hash);
    part->hash = hash_start();
    if (!part->hash) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    part->size = 0;
    part->total = total;
    /* A weak ETag promises less than equal bytes, and then the date promises no more. */
    bool strong = etag[0] == '"';
    snprintf(part->etag, sizeof part->etag, "%s", strong ? etag : "");
    snprintf(part->modified, sizeof part->modified, "%s", *etag ? "" : modified);
    if (ftruncate(part->fd, 0) != 0) {
        return file_write_error(part->path, errno, error);
    }
    return save_state(part, error);
}

bool part_write(struct download_part *part, const void *data, size_t size, struct error *error) {
    const char *at = data;
    while (size > 0) {
        ssize_t n = pwrite(part->fd, at, size, (off_t)part->size);
        if (n < 0 && errno != EINTR) {
            return file_write_error(part->path, errno, error);
        }
        if (n > 0) {
            hash_add(part->hash, at, (size_t)n);
            part->size += (uint64_t)n;
            at += n;
            size -= (size_t)n;
        }
    }
    return true;
}

bool part_complete(struct download_part *part, char hex[HASH_HEX], struct error *error) {
    if (fsync(part->fd) != 0) {
        return file_write_error(part->path, errno, error);
    }
    uint8_t digest[HASH_BYTES];
    hash_finish(part->hash, digest);
    part->hash = NULL;
    hash_hex(digest, hex);
    return true;
}

void part_forget(struct download_part *part) {
    unlink(part->state_path);
}
