/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking at the file, not into it.
 */
#include "app/source_file.h"

#include <string.h>
#include <sys/stat.h>

#include "app/import/document.h"
#include "app/sources.h"

enum source_file source_file_of(const struct store_document *d) {
    struct stat info;
    const char *path = d->path.data;
    if (d->mtime == 0 || source_is_url(path)) {
        return SOURCE_FILE_NONE;
    }
    if (stat(path, &info) != 0) {
        /* A relative path may only be one of another folder. */
        return path[0] == '/' ? SOURCE_FILE_GONE : SOURCE_FILE_NONE;
    }
    bool same = info.st_mtime == d->mtime && (uint64_t)info.st_size == d->source_size;
    return same ? SOURCE_FILE_SAME : SOURCE_FILE_CHANGED;
}

bool source_file_has_lines(const struct store_document *d) {
    static const enum document_kind kinds[] = {DOCUMENT_TEXT, DOCUMENT_MARKDOWN, DOCUMENT_CODE};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(d->kind.data, document_kind_name(kinds[i])) == 0) {
            return true;
        }
    }
    return false;
}
