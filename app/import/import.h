/* SPDX-License-Identifier: Apache-2.0
 *
 * From the bytes of a file to a struct document. Each format is one importer, a row of the table in
 * import.c; the first whose `matches` says yes reads it. An importer sees bytes, never a path, and
 * where `isolated` it runs in a child process under limits, so that a parser that crashes or runs
 * wild costs one file. Called from one thread at a time.
 */
#pragma once

#include <stdint.h>

#include "app/import/document.h"
#include "engine/base/error.h"

struct import_limits {
    uint64_t file_bytes;   /* larger files are skipped */
    unsigned cpu_seconds;  /* for a file's parser */
    uint64_t memory_bytes; /* for a file's parser, beyond what the program has in use */
    bool (*stop)(void *);  /* asked some twenty times a second while waiting; NULL: never stop */
    void *stop_context;
};

/* 256 MiB, 30 s, 512 MiB, never stopped. */
struct import_limits import_limits_default(void);

struct importer {
    const char *name;
    bool isolated;
    /* `name` may be an address, or "stdin"; the first bytes decide where they can. */
    bool (*matches)(const uint8_t *data, size_t size, const char *name);
    /* Where the bytes are text of some character set: their UTF-8, which `read` then gets. Never
     * isolated, since iconv loads a file for each set. NULL: `read` gets the bytes themselves. */
    bool (*decode)(const uint8_t *data, size_t size, struct bytes *utf8, struct error *error);
    /* Fills text, kind, pages and sections; the name is there already. On failure `error` says what
     * is wrong with the bytes: ERROR_INCOMPATIBLE when they are simply not a text. */
    bool (*read)(const uint8_t *data, size_t size, const struct import_limits *limits,
                 struct document *document, struct error *error);
};

/* A file that was not taken. */
struct skip {
    char *name;   /* any bytes but NUL */
    char *reason; /* "a FIFO", "binary", ... */
    bool by_rule; /* left out on purpose (binary, a link, hidden); else it could not be read */
};

/* Starts as {0}. */
struct skips {
    struct skip *items;
    size_t count;
};

void skips_finish(struct skips *s);
/* False only when memory runs out. */
bool skips_add(struct skips *s, const char *name, bool by_rule, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

enum import_result {
    IMPORT_TAKEN,   /* `document` is filled, the caller finishes it */
    IMPORT_SKIPPED, /* a row was added to `skips` */
    IMPORT_FAILED,  /* out of memory, or stopped: `error` says which */
};

/* `document` starts as {0} and stays so unless taken. */
enum import_result import_bytes(const void *data, size_t size, const char *name,
                                const struct import_limits *limits, struct document *document,
                                struct skips *skips, struct error *error);
/* Reads a regular file, never blocking on anything else. `follow`: the path may be a symbolic link,
 * as when the user typed it. */
enum import_result import_file(const char *path, bool follow, const struct import_limits *limits,
                               struct document *document, struct skips *skips, struct error *error);
/* All of standard input; the document's name is "stdin". */
enum import_result import_stdin(const struct import_limits *limits, struct document *document,
                                struct skips *skips, struct error *error);

/* What is the matter with a file of this type, "a FIFO"; NULL: it is a regular file. */
const char *import_not_regular(unsigned mode);
/* True on proc and sysfs, whose files are not documents and may never end. */
bool import_is_kernel_file(int fd);
/* Whether `name` ends in one of the extensions, given as ".md\0.txt\0"; the case does not count. */
bool import_has_extension(const char *name, const char *extensions);
