/* SPDX-License-Identifier: Apache-2.0
 *
 * The entries of a ZIP file in memory, for the formats that are one (EPUB, DOCX). Nothing is ever
 * written to disk, and no size that the file declares is believed.
 */
#pragma once

#include "engine/base/bytes.h"
#include "engine/base/error.h"

struct zip_entry {
    char *name;
    struct bytes data;
};

/* Starts as {0}. */
struct zip {
    struct zip_entry *entries;
    size_t count;
};

void zip_finish(struct zip *z);

/* Unpacks the entries that `wanted` takes. Refused: more than 10,000 entries, more than 1 GiB
 * unpacked, more than 100 times what the file has (but 4 MiB are always fine), damaged or encrypted
 * entries. Entries that are not files, or whose names lead out of the archive, are passed over. */
bool zip_read(struct zip *z, const void *data, size_t size, bool (*wanted)(const char *name),
              struct error *error);
/* NULL: there is none. */
const struct bytes *zip_find(const struct zip *z, const char *name);
