/* SPDX-License-Identifier: Apache-2.0
 *
 * Building a document and finding line, page and section of an offset in it. The three tables are
 * rising offsets, so each lookup is a binary search.
 */
#include "app/import/document.h"

#include <stdlib.h>
#include <string.h>

enum { TITLE_MAX = 120 };

void document_finish(struct document *d) {
    for (size_t i = 0; i < d->section_count; i++) {
        free(d->sections[i].title);
    }
    free(d->sections);
    free(d->pages);
    free(d->lines);
    free(d->text);
    free(d->name);
    *d = (struct document){0};
}

bool document_set_name(struct document *d, const char *name) {
    char *copy = strdup(name);
    if (!copy) {
        return false;
    }
    free(d->name);
    d->name = copy;
    return true;
}

bool document_take_text(struct document *d, struct bytes *text) {
    size_t size = text->size;
    bytes_put_u8(text, 0);
    if (text->failed) {
        return false;
    }
    free(d->text);
    d->text = (char *)text->data;
    d->size = size;
    *text = (struct bytes){0};
    return true;
}

/* Room for one item more in an array that grows by powers of two. */
static void *grown(void *items, size_t count, size_t item_size) {
    if (count & (count - 1)) {
        return items;
    }
    size_t capacity = count ? 2 * count : 1;
    return reallocarray(items, capacity, item_size);
}

bool document_add_page(struct document *d, size_t begin) {
    size_t *pages = grown(d->pages, d->page_count, sizeof *pages);
    if (!pages) {
        return false;
    }
    d->pages = pages;
    d->pages[d->page_count++] = begin;
    return true;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\v';
}

static char *tidy_title(const char *title, size_t size) {
    char *out = malloc(TITLE_MAX + 1);
    if (!out) {
        return NULL;
    }
    size_t n = 0;
    bool space = false;
    for (size_t i = 0; i < size && n < TITLE_MAX; i++) {
        if (is_space(title[i])) {
            space = n > 0;
            continue;
        }
        if (space) {
            out[n++] = ' ';
            space = false;
        }
        if (n < TITLE_MAX) {
            out[n++] = title[i];
        }
    }
    /* Where it was cut, do not leave half a character. */
    size_t start = n;
    while (n == TITLE_MAX && start > 0 && ((unsigned char)out[start - 1] & 0xC0) == 0x80) {
        start--;
    }
    if (n == TITLE_MAX && start > 0 && (unsigned char)out[start - 1] >= 0xC0) {
        n = start - 1;
    }
    out[n] = '\0';
    return out;
}

bool document_add_section(struct document *d, size_t begin, const char *title, size_t size) {
    struct section *sections = grown(d->sections, d->section_count, sizeof *sections);
    if (!sections) {
        return false;
    }
    d->sections = sections;
    char *tidy = tidy_title(title, size);
    if (!tidy) {
        return false;
    }
    d->sections[d->section_count++] = (struct section){.begin = begin, .title = tidy};
    return true;
}

bool document_lines(struct document *d) {
    if (d->lines) {
        return true;
    }
    size_t count = 1;
    for (size_t i = 0; i + 1 < d->size; i++) {
        count += d->text[i] == '\n';
    }
    size_t *lines = malloc(count * sizeof *lines);
    if (!lines) {
        return false;
    }
    size_t n = 0;
    lines[n++] = 0;
    for (size_t i = 0; i + 1 < d->size; i++) {
        if (d->text[i] == '\n') {
            lines[n++] = i + 1;
        }
    }
    d->lines = lines;
    d->line_count = count;
    return true;
}

/* How many of the rising offsets are <= `offset`. */
static size_t rank(const size_t *offsets, size_t count, size_t offset) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (offsets[middle] <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

size_t document_line_at(const struct document *d, size_t offset) {
    return rank(d->lines, d->line_count, offset);
}

size_t document_page_at(const struct document *d, size_t offset) {
    return rank(d->pages, d->page_count, offset);
}

size_t document_section_at(const struct document *d, size_t offset) {
    size_t low = 0, high = d->section_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->sections[middle].begin <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low ? low - 1 : d->section_count;
}

const char *document_kind_name(enum document_kind kind) {
    static const char *const names[DOCUMENT_KINDS] = {
        [DOCUMENT_TEXT] = "text", [DOCUMENT_MARKDOWN] = "markdown", [DOCUMENT_CODE] = "code",
        [DOCUMENT_HTML] = "html", [DOCUMENT_PDF] = "pdf",           [DOCUMENT_EPUB] = "epub",
        [DOCUMENT_DOCX] = "docx", [DOCUMENT_TREE] = "tree",
    };
    return names[kind];
}
