/* SPDX-License-Identifier: Apache-2.0
 *
 * PDF through pdftotext as a child under limits. Not with -layout: in reading order two columns
 * stay two columns and nothing is padded with spaces. A form feed ends each page.
 */
#include <string.h>

#include "app/import/child.h"
#include "app/import/encoding.h"
#include "app/import/importers.h"
#include "app/import/sections.h"

enum { SNIFF = 1024 };

/* Readers take a PDF that has something before its mark; a text about PDFs has the mark too. */
static bool matches(const uint8_t *data, size_t size, const char *name) {
    return (size >= 5 && memcmp(data, "%PDF-", 5) == 0) ||
           (import_has_extension(name, ".pdf\0") &&
            memmem(data, size < SNIFF ? size : SNIFF, "%PDF-", 5) != NULL);
}

/* The text without its form feeds, and where the pages start. */
static bool split_pages(const struct bytes *raw, struct document *d, struct bytes *text) {
    bool ok = true;
    for (size_t at = 0; ok && at < raw->size;) {
        const uint8_t *end = memchr(raw->data + at, '\f', raw->size - at);
        size_t size = end ? (size_t)(end - raw->data) - at : raw->size - at;
        ok = document_add_page(d, text->size);
        bytes_put(text, raw->data + at, size);
        if (size && text->data && text->data[text->size - 1] != '\n') {
            bytes_put_u8(text, '\n');
        }
        at += size + (end != NULL);
    }
    return ok && !text->failed;
}

static bool is_blank(const struct bytes *text) {
    for (size_t i = 0; i < text->size; i++) {
        if (!strchr(" \n\t", text->data[i])) {
            return false;
        }
    }
    return true;
}

static bool read_pdf(const uint8_t *data, size_t size, const struct import_limits *limits,
                     struct document *document, struct error *error) {
    static const char *const argv[] = {"pdftotext", "-enc", "UTF-8", "-", "-", NULL};
    const struct child_limits child = {.cpu_seconds = limits->cpu_seconds,
                                       .memory_bytes = limits->memory_bytes,
                                       .output_bytes = limits->file_bytes,
                                       .no_sockets = true,
                                       .stop = limits->stop,
                                       .stop_context = limits->stop_context};
    struct bytes raw = {0}, clean = {0}, text = {0};
    int status = 0;
    bool ok = child_run(argv, data, size, &child, &raw, &status, error);
    if (ok && status != 0) {
        ok = *error->text ? error_prefix(error, "pdftotext")
                          : error_set(error, ERROR_FAILURE, "pdftotext failed");
    }
    if (ok) {
        document->kind = DOCUMENT_PDF;
        encoding_decode(raw.data, raw.size, "UTF-8", &clean);
        ok = !clean.failed && split_pages(&clean, document, &text);
        ok = ok || error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    if (ok && is_blank(&text)) {
        ok = error_set(error, ERROR_FAILURE, "no text in its %zu pages; are they pictures?",
                       document->page_count);
    }
    if (ok && !(document_take_text(document, &text) && sections_find(document))) {
        ok = error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    bytes_finish(&raw);
    bytes_finish(&clean);
    bytes_finish(&text);
    return ok;
}

const struct importer importer_pdf = {"pdf", false, matches, NULL, read_pdf};
