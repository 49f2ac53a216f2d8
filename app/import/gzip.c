/* SPDX-License-Identifier: Apache-2.0
 *
 * A single file packed with gzip, as most of /usr/share/doc is: unpacked in memory, then read by
 * the importer for what is in it. Not a way into archives: a tar file inside is binary.
 */
#include <archive.h>
#include <stdlib.h>
#include <string.h>

#include "app/import/importers.h"

static bool matches(const uint8_t *data, size_t size, const char *name) {
    (void)name;
    return size >= 3 && memcmp(data, "\x1F\x8B\x08", 3) == 0;
}

static bool unpack(const uint8_t *data, size_t size, uint64_t limit, struct bytes *out,
                   struct error *error) {
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    bool ok = a && archive_read_support_filter_gzip(a) == ARCHIVE_OK &&
              archive_read_support_format_raw(a) == ARCHIVE_OK &&
              archive_read_open_memory(a, data, size) == ARCHIVE_OK &&
              archive_read_next_header(a, &entry) == ARCHIVE_OK;
    ok = ok || error_set(error, ERROR_FAILURE, "damaged gzip file");
    while (ok) {
        char buffer[65536];
        ssize_t n = archive_read_data(a, buffer, sizeof buffer);
        if (n == 0) {
            break;
        }
        if (n < 0) {
            ok = error_set(error, ERROR_FAILURE, "damaged gzip file");
        } else if (out->size + (size_t)n > limit) {
            ok = error_set(error, ERROR_FAILURE, "unpacks to more than %llu MiB",
                           (unsigned long long)limit >> 20);
        } else {
            bytes_put(out, buffer, (size_t)n);
            ok = !out->failed || error_set(error, ERROR_FAILURE, "needs too much memory");
        }
    }
    archive_read_free(a);
    return ok;
}

static bool read_gzip(const uint8_t *data, size_t size, const struct import_limits *limits,
                      struct document *document, struct error *error) {
    struct bytes inner = {0}, utf8 = {0};
    size_t length = strlen(document->name);
    bool suffix = import_has_extension(document->name, ".gz\0") && length > 3;
    char *name = strndup(document->name, suffix ? length - 3 : length);
    char *whole = document->name;
    bool ok = name || error_set(error, ERROR_NO_SPACE, "out of memory");
    ok = ok && unpack(data, size, limits->file_bytes, &inner, error);
    if (ok) {
        const struct importer *importer = importer_for(inner.data, inner.size, name);
        /* What needs a child of its own (PDF) or is packed again is not worth the trouble. */
        if (importer == &importer_gzip || importer == &importer_pdf) {
            ok = error_set(error, ERROR_FAILURE, "a packed %s file; unpack it", importer->name);
        } else {
            document->name = name; /* the kind goes by the inner name */
            ok = (!importer->decode || importer->decode(inner.data, inner.size, &utf8, error)) &&
                 importer->read(importer->decode ? utf8.data : inner.data,
                                importer->decode ? utf8.size : inner.size, limits, document, error);
            document->name = whole;
        }
    }
    free(name);
    bytes_finish(&utf8);
    bytes_finish(&inner);
    return ok;
}

const struct importer importer_gzip = {"gzip", true, matches, NULL, read_gzip};
