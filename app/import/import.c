/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of importers, reading a file's bytes safely, and the list of what was skipped.
 */
#include "app/import/import.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "app/import/importers.h"
#include "app/import/isolate.h"

/* In the order asked; text takes what is left, or finds it binary. */
static const struct importer *const importers[] = {
    &importer_pdf, &importer_gzip, &importer_epub, &importer_docx, &importer_html, &importer_text,
};

struct import_limits import_limits_default(void) {
    return (struct import_limits){
        .file_bytes = 256u << 20, .cpu_seconds = 30, .memory_bytes = 512u << 20};
}

void skips_finish(struct skips *s) {
    for (size_t i = 0; i < s->count; i++) {
        free(s->items[i].name);
        free(s->items[i].reason);
    }
    free(s->items);
    *s = (struct skips){0};
}

bool skips_add(struct skips *s, const char *name, bool by_rule, const char *format, ...) {
    if ((s->count & (s->count - 1)) == 0) {
        struct skip *items = reallocarray(s->items, s->count ? 2 * s->count : 1, sizeof *items);
        if (!items) {
            return false;
        }
        s->items = items;
    }
    char *reason = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&reason, format, args);
    va_end(args);
    char *copy = strdup(name);
    if (n < 0 || !copy) {
        free(n < 0 ? NULL : reason);
        free(copy);
        return false;
    }
    s->items[s->count++] = (struct skip){.name = copy, .reason = reason, .by_rule = by_rule};
    return true;
}

static enum import_result no_memory(const char *name, struct error *error) {
    error_set(error, ERROR_NO_SPACE, "%s: out of memory", name);
    return IMPORT_FAILED;
}

static enum import_result skip(struct skips *skips, const char *name, bool by_rule,
                               const char *reason, struct error *error) {
    return skips_add(skips, name, by_rule, "%s", reason) ? IMPORT_SKIPPED : no_memory(name, error);
}

const struct importer *importer_for(const uint8_t *data, size_t size, const char *name) {
    size_t i = 0;
    while (!importers[i]->matches(data, size, name)) {
        i++;
    }
    return importers[i];
}

enum import_result import_bytes(const void *data, size_t size, const char *name,
                                const struct import_limits *limits, struct document *document,
                                struct skips *skips, struct error *error) {
    const struct importer *importer = importer_for(data, size, name);
    struct error why = {0};
    struct bytes utf8 = {0};
    if (!document_set_name(document, name)) {
        return no_memory(name, error);
    }
    bool ok = true;
    if (importer->decode) {
        ok = importer->decode(data, size, &utf8, &why);
        ok = ok && (!utf8.failed || error_set(&why, ERROR_NO_SPACE, "out of memory"));
        data = utf8.data;
        size = utf8.size;
    }
    if (ok) {
        ok = importer->isolated ? isolate_read(importer, data, size, limits, document, &why)
                                : importer->read(data, size, limits, document, &why);
    }
    bytes_finish(&utf8);
    if (ok) {
        return IMPORT_TAKEN;
    }
    document_finish(document);
    if (why.code == ERROR_NO_SPACE || why.code == ERROR_INTERRUPTED) {
        error_set(error, why.code, "%s: %s", name, why.text);
        return IMPORT_FAILED;
    }
    return skip(skips, name, why.code == ERROR_INCOMPATIBLE, why.text, error);
}

/* After read_all returned false, by its errno. */
static enum import_result read_failed(struct skips *skips, const char *name, struct error *error) {
    if (errno == ENOMEM) {
        return no_memory(name, error);
    }
    if (errno == EINTR) {
        error_set(error, ERROR_INTERRUPTED, "%s: stopped", name);
        return IMPORT_FAILED;
    }
    return skip(skips, name, false, strerror(errno), error);
}

/* Reads to the end, but at most limit + 1 bytes: whoever gets more than the limit knows. */
static bool read_all(int fd, const struct import_limits *limits, size_t expected,
                     struct bytes *out) {
    uint64_t limit = limits->file_bytes;
    size_t step = expected < limit ? expected + 1 : 65536;
    for (;;) {
        size_t room = limit + 1 - out->size < step ? (size_t)(limit + 1 - out->size) : step;
        if (room == 0) {
            return true;
        }
        uint8_t *at = bytes_extend(out, room);
        if (!at) {
            errno = ENOMEM;
            return false;
        }
        ssize_t n = read(fd, at, room);
        if (n < 0 && errno == EINTR && !(limits->stop && limits->stop(limits->stop_context))) {
            n = 0;
        } else if (n <= 0) {
            out->size -= room;
            return n == 0;
        }
        out->size -= room - (size_t)n;
        step = 65536;
    }
}

static enum import_result too_large(struct skips *skips, const char *name, uint64_t limit,
                                    struct error *error) {
    return skips_add(skips, name, false, "larger than the limit of %llu MiB",
                     (unsigned long long)limit >> 20)
               ? IMPORT_SKIPPED
               : no_memory(name, error);
}

const char *import_not_regular(unsigned mode) {
    return S_ISREG(mode)    ? NULL
           : S_ISDIR(mode)  ? "a folder"
           : S_ISLNK(mode)  ? "a symbolic link, not followed"
           : S_ISFIFO(mode) ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

bool import_is_kernel_file(int fd) {
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC);
}

static enum import_result import_descriptor(int fd, const char *path,
                                            const struct import_limits *limits,
                                            struct document *document, struct skips *skips,
                                            struct error *error) {
    struct stat before, after;
    if (fstat(fd, &before) != 0) {
        return skip(skips, path, false, strerror(errno), error);
    }
    const char *odd = import_not_regular(before.st_mode);
    if (odd || import_is_kernel_file(fd)) {
        return skip(skips, path, true, odd ? odd : "a file of the kernel", error);
    }
    if ((uint64_t)before.st_size > limits->file_bytes) {
        return too_large(skips, path, limits->file_bytes, error);
    }
    struct bytes data = {0};
    enum import_result result;
    if (!read_all(fd, limits, (size_t)before.st_size, &data)) {
        result = read_failed(skips, path, error);
    } else if (fstat(fd, &after) != 0 || after.st_size != before.st_size ||
               data.size != (uint64_t)before.st_size ||
               after.st_mtim.tv_sec != before.st_mtim.tv_sec ||
               after.st_mtim.tv_nsec != before.st_mtim.tv_nsec) {
        result = skip(skips, path, false, "changed while it was read", error);
    } else {
        result = import_bytes(data.data, data.size, path, limits, document, skips, error);
    }
    bytes_finish(&data);
    return result;
}

enum import_result import_file(const char *path, bool follow, const struct import_limits *limits,
                               struct document *document, struct skips *skips,
                               struct error *error) {
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | (follow ? 0 : O_NOFOLLOW));
    if (fd < 0) {
        bool link = errno == ELOOP && !follow;
        /* A socket cannot be opened at all. */
        const char *odd = errno == ENXIO ? "a socket or a device" : NULL;
        return skip(skips, path, link || odd,
                    link  ? import_not_regular(S_IFLNK)
                    : odd ? odd
                          : strerror(errno),
                    error);
    }
    enum import_result result = import_descriptor(fd, path, limits, document, skips, error);
    close(fd);
    return result;
}

enum import_result import_stdin(const struct import_limits *limits, struct document *document,
                                struct skips *skips, struct error *error) {
    struct bytes data = {0};
    enum import_result result;
    if (!read_all(STDIN_FILENO, limits, 0, &data)) {
        result = read_failed(skips, "stdin", error);
    } else if (data.size > limits->file_bytes) {
        result = too_large(skips, "stdin", limits->file_bytes, error);
    } else {
        result = import_bytes(data.data, data.size, "stdin", limits, document, skips, error);
    }
    bytes_finish(&data);
    return result;
}

bool import_has_extension(const char *name, const char *extensions) {
    size_t length = strlen(name);
    for (const char *e = extensions; *e; e += strlen(e) + 1) {
        size_t n = strlen(e);
        if (length >= n && strcasecmp(name + length - n, e) == 0) {
            return true;
        }
    }
    return false;
}
