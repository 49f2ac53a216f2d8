/* SPDX-License-Identifier: Apache-2.0
 *
 * Breaks and spaces are only noted, and written when text follows, so that none stand at the ends
 * and none are doubled.
 */
#include "app/import/builder.h"

#include <string.h>
#include <utf8proc.h>

static void put(struct builder *b, const char *data, size_t size) {
    bytes_put(&b->text, data, size);
}

static bool at_line_start(const struct builder *b) {
    return b->text.size == 0 || b->text.data[b->text.size - 1] == '\n';
}

/* Writes what is due before a word. */
static void settle(struct builder *b) {
    if (b->text.size == 0) {
        b->breaks = 0;
    }
    if (b->breaks > 0) {
        size_t have = 0;
        while (have < 2 && have < b->text.size && b->text.data[b->text.size - 1 - have] == '\n') {
            have++;
        }
        put(b, "\n\n", b->breaks > have ? b->breaks - have : 0);
        b->space = false;
    }
    if (b->space && !at_line_start(b)) {
        put(b, " ", 1);
    }
    b->breaks = 0;
    b->space = false;
}

/* One character, valid or not. */
static void put_character(struct builder *b, const char *at, size_t size) {
    if (size == 1 && (unsigned char)*at < 0x80 && *at) {
        put(b, at, 1);
        return;
    }
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)at, (utf8proc_ssize_t)size, &c);
    if (n == (utf8proc_ssize_t)size && c) {
        put(b, at, size);
    } else {
        put(b, "\xEF\xBF\xBD", 3);
    }
}

static size_t character_size(const char *at, size_t left) {
    unsigned char c = (unsigned char)*at;
    size_t size = c < 0xC0 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    size_t n = 1;
    while (n < size && n < left && ((unsigned char)at[n] & 0xC0) == 0x80) {
        n++;
    }
    return n;
}

void builder_text(struct builder *b, const char *text, size_t size, bool keep_space) {
    for (size_t i = 0, n; i < size; i += n) {
        n = character_size(text + i, size - i);
        char c = text[i];
        bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
        if (space && !keep_space) {
            b->space = true;
            continue;
        }
        if (space && c == '\n') {
            settle(b);
            put(b, "\n", 1);
        } else if (c != '\r') {
            settle(b);
            put_character(b, text + i, n);
        }
    }
    b->failed |= b->text.failed;
}

void builder_break(struct builder *b, bool blank) {
    unsigned wanted = blank ? 2 : 1;
    b->breaks = b->breaks > wanted ? b->breaks : wanted;
}

void builder_cell(struct builder *b) {
    if (!at_line_start(b) && b->breaks == 0) {
        b->space = false;
        put(b, "\t", 1);
    }
}

size_t builder_next(struct builder *b) {
    builder_break(b, true);
    settle(b);
    return b->text.size;
}

void builder_heading_begin(struct builder *b) {
    if (!b->in_heading) {
        b->heading = builder_next(b);
        b->in_heading = true;
    }
}

void builder_heading_end(struct builder *b) {
    if (b->in_heading && b->text.size > b->heading) {
        b->failed |=
            b->text.failed ||
            !document_add_section(b->document, b->heading, (const char *)b->text.data + b->heading,
                                  b->text.size - b->heading);
    }
    b->in_heading = false;
    builder_break(b, true);
}

bool builder_end(struct builder *b, struct error *error) {
    if (!at_line_start(b)) {
        put(b, "\n", 1);
    }
    bool ok = !b->failed && document_take_text(b->document, &b->text);
    bytes_finish(&b->text);
    return ok || error_set(error, ERROR_NO_SPACE, "out of memory");
}
