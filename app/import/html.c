/* SPDX-License-Identifier: Apache-2.0
 *
 * HTML pages: the character set by mark, by the page's own word or by guess, then html_text.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "app/import/encoding.h"
#include "app/import/html_text.h"
#include "app/import/importers.h"

enum { SNIFF = 1024 };

/* Where `word` (small letters) stands in the first bytes, whatever their case; NULL: nowhere. */
static const char *find_word(const uint8_t *data, size_t size, const char *word) {
    size_t n = strlen(word), end = size < SNIFF ? size : SNIFF;
    for (size_t i = 0; i + n <= end; i++) {
        if (strncasecmp((const char *)data + i, word, n) == 0) {
            return (const char *)data + i;
        }
    }
    return NULL;
}

static bool matches(const uint8_t *data, size_t size, const char *name) {
    if (import_has_extension(name, ".html\0.htm\0.xhtml\0")) {
        return true;
    }
    size_t i = size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (i < size && isspace(data[i])) {
        i++;
    }
    const char *start = i < size ? (const char *)data + i : "";
    size_t left = size - i;
    return (left >= 14 && strncasecmp(start, "<!doctype html", 14) == 0) ||
           (left >= 5 && strncasecmp(start, "<html", 5) == 0) ||
           (left >= 5 && memcmp(start, "<?xml", 5) == 0 && find_word(data, size, "<html"));
}

/* The character set that the page names in its first bytes; false: it names none. */
static bool named_charset(const uint8_t *data, size_t size, char charset[40]) {
    const char *at = find_word(data, size, "charset=");
    at = at ? at + strlen("charset=") : NULL;
    if (!at) {
        at = find_word(data, size, "encoding=");
        at = at ? at + strlen("encoding=") : NULL;
    }
    size_t n = 0;
    const char *end = (const char *)data + size;
    while (at && at < end && (*at == '"' || *at == '\'')) {
        at++;
    }
    while (at && at < end && n < 39 && (isalnum((unsigned char)*at) || strchr("-_:.", *at)) &&
           *at) {
        charset[n++] = *at++;
    }
    charset[n] = '\0';
    return n > 0;
}

static bool decode(const uint8_t *data, size_t size, struct bytes *utf8, struct error *error) {
    const char *charset = encoding_guess(data, size);
    char named[40];
    if (named_charset(data, size, named) && strncasecmp(named, "utf", 3) != 0 &&
        strcasecmp(named, "iso-8859-1") != 0 && strcasecmp(named, "us-ascii") != 0 &&
        !(charset && strncmp(charset, "UTF-16", 6) == 0) && !memchr(data, 0, size) &&
        encoding_decode(data, size, named, utf8)) {
        return true;
    }
    if (!charset) {
        return error_set(error, ERROR_INCOMPATIBLE, "binary");
    }
    return encoding_decode(data, size, charset, utf8) ||
           error_set(error, ERROR_FAILURE, "the system's iconv does not know %s", charset);
}

static bool read_html(const uint8_t *data, size_t size, const struct import_limits *limits,
                      struct document *document, struct error *error) {
    (void)limits;
    document->kind = DOCUMENT_HTML;
    struct builder b = {.document = document};
    struct bytes title = {0};
    bool ok = html_text((const char *)data, size, &b, &title, error);
    /* A page without headings is known by its title. */
    if (ok && document->section_count == 0 && title.size && !title.failed) {
        ok = document_add_section(document, 0, (const char *)title.data, title.size) ||
             error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    bytes_finish(&title);
    if (!ok) {
        bytes_finish(&b.text);
        return false;
    }
    return builder_end(&b, error);
}

const struct importer importer_html = {"html", true, matches, decode, read_html};
