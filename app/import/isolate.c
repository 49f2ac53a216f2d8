/* SPDX-License-Identifier: Apache-2.0
 *
 * The child sends the document as: u64 kind, pages, sections, text size; the page starts; for each
 * section its start, title size and title; the text. The parent believes none of it unchecked.
 */
#include "app/import/isolate.h"

#include <string.h>
#include <utf8proc.h>

#include "app/import/child.h"

struct job {
    const struct importer *importer;
    const uint8_t *data;
    size_t size;
    const struct import_limits *limits;
    struct document *document;
};

static bool read_and_send(void *context, struct bytes *out, struct error *error) {
    struct job *job = context;
    struct document *d = job->document;
    if (!job->importer->read(job->data, job->size, job->limits, d, error)) {
        return false;
    }
    bytes_put_u64(out, d->kind);
    bytes_put_u64(out, d->page_count);
    bytes_put_u64(out, d->section_count);
    bytes_put_u64(out, d->size);
    for (size_t i = 0; i < d->page_count; i++) {
        bytes_put_u64(out, d->pages[i]);
    }
    for (size_t i = 0; i < d->section_count; i++) {
        size_t n = strlen(d->sections[i].title);
        bytes_put_u64(out, d->sections[i].begin);
        bytes_put_u64(out, n);
        bytes_put(out, d->sections[i].title, n);
    }
    bytes_put(out, d->text, d->size);
    return true;
}

static bool is_text(const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n =
            utf8proc_iterate(data + i, size - i < 4 ? (utf8proc_ssize_t)(size - i) : 4, &c);
        if (n <= 0 || c == 0 || c == '\r') {
            return false;
        }
        i += (size_t)n;
    }
    return true;
}

/* False: not what an honest child sends, or out of memory. */
static bool receive(struct reader *r, struct document *d) {
    uint64_t kind = reader_u64(r), pages = reader_u64(r), sections = reader_u64(r),
             size = reader_u64(r), last = 0;
    if (r->failed || kind >= DOCUMENT_KINDS) {
        return false;
    }
    d->kind = (enum document_kind)kind;
    for (uint64_t i = 0; i < pages && !r->failed; i++) {
        uint64_t begin = reader_u64(r);
        if (begin > size || begin < last || !document_add_page(d, (size_t)begin)) {
            return false;
        }
        last = begin;
    }
    last = 0;
    for (uint64_t i = 0; i < sections && !r->failed; i++) {
        uint64_t begin = reader_u64(r), n = reader_u64(r);
        const uint8_t *title = reader_take(r, n);
        if (!title || begin > size || begin < last || !is_text(title, (size_t)n) ||
            !document_add_section(d, (size_t)begin, (const char *)title, (size_t)n)) {
            return false;
        }
        last = begin;
    }
    const uint8_t *data = reader_take(r, size);
    if (!data || reader_left(r) != 0 || !is_text(data, (size_t)size)) {
        return false;
    }
    struct bytes text = {0};
    bytes_put(&text, data, (size_t)size);
    bool ok = document_take_text(d, &text);
    bytes_finish(&text);
    return ok;
}

bool isolate_read(const struct importer *importer, const uint8_t *data, size_t size,
                  const struct import_limits *limits, struct document *document,
                  struct error *error) {
    struct job job = {importer, data, size, limits, document};
    struct child_limits child = {
        .cpu_seconds = limits->cpu_seconds,
        .memory_bytes = limits->memory_bytes,
        .output_bytes = limits->file_bytes,
        .stop = limits->stop,
        .stop_context = limits->stop_context,
    };
    struct bytes out = {0};
    bool ok = child_call(read_and_send, &job, &child, &out, error);
    if (ok) {
        struct reader r = reader_of(out.data, out.size);
        ok = receive(&r, document) ||
             error_set(error, ERROR_FAILURE, "the %s parser gave no document", importer->name);
    }
    bytes_finish(&out);
    return ok;
}
