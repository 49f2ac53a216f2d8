/* SPDX-License-Identifier: Apache-2.0
 *
 * libarchive with its ZIP reader alone.
 */
#include "app/import/zip.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { ENTRIES_MAX = 10000, RATIO_MAX = 100 };
static const uint64_t always_fine = 4u << 20, total_max = 1u << 30;

void zip_finish(struct zip *z) {
    for (size_t i = 0; i < z->count; i++) {
        free(z->entries[i].name);
        bytes_finish(&z->entries[i].data);
    }
    free(z->entries);
    *z = (struct zip){0};
}

const struct bytes *zip_find(const struct zip *z, const char *name) {
    for (size_t i = 0; i < z->count; i++) {
        if (strcmp(z->entries[i].name, name) == 0) {
            return &z->entries[i].data;
        }
    }
    return NULL;
}

static bool is_safe_name(const char *name) {
    if (name[0] == '/' || name[0] == '\0') {
        return false;
    }
    for (const char *at = name; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (strncmp(at, "..", 2) == 0 && (at[2] == '/' || at[2] == '\0')) {
            return false;
        }
    }
    return true;
}

/* What all entries together may still unpack to. */
struct budget {
    uint64_t left;
};

static bool unpack(struct archive *a, struct zip_entry *entry, struct budget *budget,
                   struct error *error) {
    char buffer[65536];
    for (;;) {
        ssize_t n = archive_read_data(a, buffer, sizeof buffer);
        if (n == 0) {
            return true;
        }
        if (n < 0) {
            const char *why = archive_error_string(a);
            return error_set(error, ERROR_FAILURE, "damaged archive, %.60s: %.100s", entry->name,
                             why ? why : "cannot be unpacked");
        }
        if ((uint64_t)n > budget->left) {
            return error_set(error, ERROR_FAILURE,
                             "unpacks to more than 1 GiB or %d times its size", RATIO_MAX);
        }
        budget->left -= (uint64_t)n;
        bytes_put(&entry->data, buffer, (size_t)n);
        if (entry->data.failed) {
            return error_set(error, ERROR_FAILURE, "needs too much memory");
        }
    }
}

static bool add_entry(struct zip *z, struct archive *a, const char *name, struct budget *budget,
                      struct error *error) {
    struct zip_entry *entries = reallocarray(z->entries, z->count + 1, sizeof *entries);
    if (entries) {
        z->entries = entries;
    }
    char *copy = strdup(name);
    if (!entries || !copy) {
        free(copy);
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    struct zip_entry *entry = &z->entries[z->count++];
    *entry = (struct zip_entry){.name = copy};
    return unpack(a, entry, budget, error);
}

static bool read_entries(struct zip *z, struct archive *a, struct budget *budget,
                         bool (*wanted)(const char *), struct error *error) {
    for (size_t seen = 0;; seen++) {
        struct archive_entry *e;
        int r = archive_read_next_header(a, &e);
        if (r == ARCHIVE_EOF) {
            return true;
        }
        if (r != ARCHIVE_OK && r != ARCHIVE_WARN) {
            const char *why = archive_error_string(a);
            return error_set(error, ERROR_FAILURE, "damaged archive: %.150s",
                             why ? why : "cannot be read");
        }
        if (seen == ENTRIES_MAX) {
            return error_set(error, ERROR_FAILURE, "more than %d entries", ENTRIES_MAX);
        }
        const char *name = archive_entry_pathname_utf8(e);
        name = name ? name : archive_entry_pathname(e);
        if (!name || archive_entry_filetype(e) != S_IFREG || !is_safe_name(name) || !wanted(name) ||
            zip_find(z, name)) {
            continue;
        }
        if (archive_entry_is_data_encrypted(e)) {
            return error_set(error, ERROR_FAILURE, "encrypted");
        }
        if (!add_entry(z, a, name, budget, error)) {
            return false;
        }
    }
}

bool zip_read(struct zip *z, const void *data, size_t size, bool (*wanted)(const char *name),
              struct error *error) {
    struct archive *a = archive_read_new();
    if (!a) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    uint64_t by_ratio = (uint64_t)size * RATIO_MAX;
    by_ratio = by_ratio > always_fine ? by_ratio : always_fine;
    struct budget budget = {.left = by_ratio < total_max ? by_ratio : total_max};
    bool ok;
    if (archive_read_support_format_zip_seekable(a) != ARCHIVE_OK ||
        archive_read_open_memory(a, data, size) != ARCHIVE_OK) {
        const char *why = archive_error_string(a);
        ok = error_set(error, ERROR_FAILURE, "damaged archive: %.150s",
                       why ? why : "cannot be read");
    } else {
        ok = read_entries(z, a, &budget, wanted, error);
    }
    archive_read_free(a);
    if (!ok) {
        zip_finish(z);
    }
    return ok;
}
