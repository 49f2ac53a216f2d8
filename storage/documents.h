/* SPDX-License-Identifier: Apache-2.0
 *
 * The sources of a session, verbatim. A document is one version of one source and has its id for
 * ever. Its text is stored once however many documents have the same; when the source changes or
 * goes, the document stays as a record and its text, passages and index are removed.
 *
 * Offsets are bytes from the start of the text; lines and pages count from 1; a line ends with
 * '\n'.
 */
#pragma once

#include "engine/base/hash.h"
#include "storage/store.h"

#define STORE_TEXT_MAX ((uint64_t)256 << 20)

enum store_state {
    STORE_PRESENT = 0,
    STORE_REPLACED = 1, /* a later document has this path */
    STORE_REMOVED = 2,
};

struct store_span {
    uint64_t begin, end;
};

struct store_section {
    uint64_t begin;
    int64_t level; /* 1: part or chapter, 2: below it, ... */
    struct blob title;
};

/* A source to be stored. Pages, sections and passages ascend; where the text's first page begins
 * after its first byte, what is before counts to no page. */
struct store_source {
    struct blob path; /* path, URL, or "-" */
    struct blob kind; /* "text", "pdf", ... */
    struct blob text; /* at most STORE_TEXT_MAX */
    int64_t tokens;   /* 0: not counted yet */
    int64_t mtime;    /* of the file, to notice changes; as are: */
    uint64_t source_size;
    uint8_t source_hash[HASH_BYTES]; /* of the file's bytes; zeros: unknown */
    const uint64_t *pages;           /* where page 1, 2, ... begins */
    size_t pages_count;
    const struct store_section *sections;
    size_t sections_count;
    const struct store_span *passages; /* what a search finds; NULL: cut as split.h says */
    size_t passages_count;
};

struct store_document {
    int64_t id;
    struct blob path, kind;
    enum store_state state;
    uint64_t size; /* of the text, also when it is no longer here */
    uint8_t hash[HASH_BYTES];
    int64_t tokens;         /* 0: not counted yet */
    int64_t first_position; /* in the timeline, where reading began; -1: never read */
    int64_t mtime;
    uint64_t source_size;
    uint8_t source_hash[HASH_BYTES];
    int64_t same_as; /* the first present document with this text, if that is another; else 0 */
    uint64_t pages;
};

/* How many tokens of the document a memory that stands at `position` has read, and whether that is
 * all. Reading goes on with the first, by id, that is not read. */
int64_t store_tokens_read(const struct store_document *document, int64_t position);
bool store_is_read(const struct store_document *document, int64_t position);

/* Stores the source whole, in one transaction. When the path is there already: with the same text
 * the present document is kept (its mtime and source facts are renewed) and `id` is its; with
 * another, that one becomes STORE_REPLACED. Removes the path from the list of skips. `id` may be
 * NULL. Errors: ERROR_USAGE for offsets that are not as said above. */
bool store_document_add(struct store *store, const struct store_source *source, int64_t *id,
                        struct error *error);

/* Reading begins: `tokens` is the document's length in the timeline from `position` on. It counts
 * as read as far as later snapshots go: what comes after the newest one when the writer ends, or
 * when the session is rewound, is unread again. */
bool store_document_begin_reading(struct store *store, int64_t id, int64_t position, int64_t tokens,
                                  struct error *error);

/* Removes text, passages and index entries. A memory that has read it cannot unlearn it. */
bool store_document_remove(struct store *store, int64_t id, struct error *error);

/* ERROR_NOT_FOUND when there is none. The path is that of a present document. */
bool store_document_get(struct store *store, int64_t id, struct store_document *document,
                        struct error *error);
bool store_document_by_path(struct store *store, struct blob path, struct store_document *document,
                            struct error *error);
void store_document_finish(struct store_document *document);

/* All documents by id: with `gone` also those that were replaced or removed. */
struct store_documents {
    struct store_document *rows;
    size_t count;
};
bool store_documents_list(struct store *store, bool gone, struct store_documents *documents,
                          struct error *error);
void store_documents_finish(struct store_documents *documents);

/* The bytes [begin, end) of the text, checked against their hash: an owned blob. Errors:
 * ERROR_NOT_FOUND (no such document, or its text was removed), ERROR_USAGE (outside the text),
 * ERROR_INCOMPATIBLE (damaged). */
bool store_document_read(struct store *store, int64_t id, uint64_t begin, uint64_t end,
                         struct blob *text, struct error *error);

/* Where a span stands. `page` is 0 when the document has no pages. */
struct store_place {
    uint64_t first_line, last_line, page;
};
bool store_document_place(struct store *store, int64_t id, struct store_span span,
                          struct store_place *place, struct error *error);
/* The bytes of a line (without its '\n') or of a page. ERROR_NOT_FOUND past the last one. */
bool store_document_line(struct store *store, int64_t id, uint64_t line, struct store_span *span,
                         struct error *error);
bool store_document_page(struct store *store, int64_t id, uint64_t page, struct store_span *span,
                         struct error *error);

struct store_sections {
    struct store_section *rows;
    size_t count;
};
bool store_sections_list(struct store *store, int64_t id, struct store_sections *sections,
                         struct error *error);
void store_sections_finish(struct store_sections *sections);

/* What was not taken in, and why; once per path, the last reason counts. */
struct store_skip {
    struct blob path, reason;
};
struct store_skips {
    struct store_skip *rows;
    size_t count;
};
bool store_skip_add(struct store *store, struct blob path, struct blob reason, struct error *error);
bool store_skips_list(struct store *store, struct store_skips *skips, struct error *error);
void store_skips_finish(struct store_skips *skips);
