/* SPDX-License-Identifier: Apache-2.0
 *
 * Columns, visible characters and wrapping. Characters are those of Unicode's rules (utf8proc);
 * their width is the C library's, for ncurses counts by it too.
 */
#include "app/ui/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>
#include <wchar.h>

#include "storage/documents.h"

enum { TAB = 4 };

/* ---- characters ---- */

/* The code point at `at`; a byte that starts none counts as U+FFFD of one byte. */
static size_t decode(const char *text, size_t size, size_t at, int32_t *point) {
    utf8proc_int32_t c;
    utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(size - at), &c);
    *point = n > 0 ? c : 0xFFFD;
    return n > 0 ? (size_t)n : 1;
}

static int width_of(int32_t point) {
    int width = wcwidth((wchar_t)point);
    return width < 0 ? 0 : width > 2 ? 2 : width;
}

size_t text_next(const char *text, size_t size, size_t at, int *columns) {
    unsigned char c = (unsigned char)text[at];
    if (c < 0x80 && (at + 1 >= size || (unsigned char)text[at + 1] < 0x80)) {
        *columns = c >= ' ' && c < 0x7F;
        return at + 1;
    }
    int32_t before, point;
    utf8proc_int32_t state = 0;
    size_t end = at + decode(text, size, at, &before);
    *columns = width_of(before);
    while (end < size) {
        size_t n = decode(text, size, end, &point);
        if (utf8proc_grapheme_break_stateful(before, point, &state)) {
            break;
        }
        *columns += width_of(point);
        before = point;
        end += n;
    }
    return end;
}

size_t text_previous(const char *text, size_t at) {
    /* A cluster's begin is only known from the left; no line is so long that it matters. */
    size_t from = at;
    while (from > 0 && text[from - 1] != '\n' && at - from < 256) {
        from--;
    }
    if (from == at) {
        return at - 1; /* the newline */
    }
    while (from > 0 && ((unsigned char)text[from] & 0xC0) == 0x80) {
        from--;
    }
    for (;;) {
        int columns;
        size_t next = text_next(text, at, from, &columns);
        if (next >= at) {
            return from;
        }
        from = next;
    }
}

int text_columns(const char *text, size_t size) {
    int sum = 0, columns;
    for (size_t at = 0; at < size; sum += columns) {
        at = text_next(text, size, at, &columns);
    }
    return sum;
}

bool text_middle(const char *text, size_t size, int most, size_t *begin, size_t *end) {
    int all = text_columns(text, size), left = 0, columns = 0;
    if (all <= most) {
        return false;
    }
    int room = most > 3 ? most - 3 : 0;
    size_t at = 0, next = size ? text_next(text, size, 0, &columns) : 0;
    while (at < size && left + columns <= room / 3) {
        left += columns;
        at = next;
        next = at < size ? text_next(text, size, at, &columns) : size;
    }
    *begin = at;
    for (int right = all - left; at < size && right > room - left; right -= columns) {
        at = text_next(text, size, at, &columns);
    }
    *end = at;
    return true;
}

char *text_short_name(const char *text, int most) {
    size_t size = strlen(text), begin, end;
    char *name = NULL;
    if (!text_middle(text, size, most, &begin, &end)) {
        return strdup(text);
    }
    return asprintf(&name, "%.*s...%s", (int)begin, text, text + end) < 0 ? NULL : name;
}

size_t text_search(const char *text, size_t size, size_t from, const char *words) {
    size_t n = strlen(words);
    for (size_t at = from; n > 0 && n <= size && at <= size - n; at++) {
        if (strncasecmp(text + at, words, n) == 0) {
            return at;
        }
    }
    return TEXT_NOWHERE;
}

/* ---- styled text ---- */

void styled_finish(struct styled *s) {
    bytes_finish(&s->text);
    bytes_finish(&s->styles);
    *s = (struct styled){0};
}

void styled_clear(struct styled *s) {
    s->text.size = s->styles.size = 0;
    s->column = 0;
}

static void put_run(struct styled *s, const char *text, size_t size, unsigned style) {
    bytes_put(&s->text, text, size);
    uint8_t *styles = bytes_extend(&s->styles, size);
    if (styles) {
        memset(styles, (int)style, size);
    }
}

void styled_put(struct styled *s, const char *text, size_t size, unsigned style) {
    size_t from = 0;
    for (size_t at = 0; at < size;) {
        if (text[at] == '\t') {
            put_run(s, text + from, at - from, style);
            int spaces = TAB - s->column % TAB;
            put_run(s, "    ", (size_t)spaces, style);
            s->column += spaces;
            from = ++at;
        } else if (text[at] == '\n') {
            s->column = 0;
            at++;
        } else {
            int32_t point;
            at += decode(text, size, at, &point);
            s->column += width_of(point);
        }
    }
    put_run(s, text + from, size - from, style);
}

void styled_puts(struct styled *s, const char *text, unsigned style) {
    styled_put(s, text, strlen(text), style);
}

void styled_printf(struct styled *s, unsigned style, const char *format, ...) {
    char text[1000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    styled_puts(s, text, style);
}

void styled_put_safe(struct styled *s, const char *text, size_t size, enum safe_text_kind kind,
                     unsigned style) {
    struct safe_text filter = {.kind = kind};
    struct bytes out = {0};
    safe_text_put(&filter, text, size, &out);
    safe_text_end(&filter, &out);
    if (!out.failed && out.size) {
        styled_put(s, (const char *)out.data, out.size, style);
    }
    bytes_finish(&out);
}

void styled_put_place(struct styled *s, const char *path, const struct store_place *place,
                      unsigned style) {
    const char *slash = path ? strrchr(path, '/') : NULL;
    const char *name = slash && slash[1] ? slash + 1 : path ? path : "(gone)";
    styled_put_safe(s, name, strlen(name), SAFE_NAME, style);
    if (place->page) {
        styled_printf(s, style, " p.%llu", (unsigned long long)place->page);
    }
    styled_printf(s, style,
                  place->first_line == place->last_line ? " line %llu" : " lines %llu-%llu",
                  (unsigned long long)place->first_line, (unsigned long long)place->last_line);
}

char *text_one_line(const char *text, size_t size, size_t most) {
    char *line = safe_text_of(text, size, SAFE_PROSE), *to = line;
    if (!line) {
        return NULL;
    }
    for (const char *from = line; *from; from++) {
        bool space = strchr(" \n\t", *from) != NULL;
        if (!space || (to > line && to[-1] != ' ')) {
            *to++ = space ? ' ' : *from;
        }
    }
    *to = '\0';
    size_t n = (size_t)(to - line), cut = n > most ? most : n;
    while (cut > 0 && cut < n && ((unsigned char)line[cut] & 0xC0) == 0x80) {
        cut--;
    }
    if (cut == n) {
        return line;
    }
    size_t word = cut;
    while (word > cut / 2 && line[word] != ' ') {
        word--;
    }
    cut = line[word] == ' ' ? word : cut;
    char *shorter = NULL;
    if (asprintf(&shorter, "%.*s...", (int)cut, line) < 0) {
        shorter = NULL;
    }
    free(line);
    return shorter;
}

void styled_mark(struct styled *s, size_t begin, size_t end, unsigned style) {
    for (size_t i = begin; i < end && i < s->styles.size; i++) {
        s->styles.data[i] |= (uint8_t)style;
    }
}

/* ---- rows ---- */

void rows_finish(struct rows *rows) {
    free(rows->items);
    *rows = (struct rows){0};
}

static bool rows_add(struct rows *rows, size_t begin, size_t end, int indent) {
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity ? rows->capacity * 2 : 64;
        struct row *grown = realloc(rows->items, capacity * sizeof *grown);
        if (!grown) {
            return false;
        }
        rows->items = grown;
        rows->capacity = capacity;
    }
    rows->items[rows->count++] = (struct row){begin, end, indent};
    return true;
}

/* The columns of a list mark at the begin of a line: "- ", "12. ", "[3] "; 0: there is none. */
static int mark_columns(const char *line, size_t size) {
    if (size > 1 && strchr("-*>", line[0]) && line[1] == ' ') {
        return 2;
    }
    if (size > 3 && memcmp(line, "\xE2\x80\xA2 ", 4) == 0) {
        return 2; /* a bullet is three bytes and one column */
    }
    size_t first = size > 0 && line[0] == '[', at = first;
    while (at < size && line[at] >= '0' && line[at] <= '9') {
        at++;
    }
    bool mark = at > first && at + 1 < size && strchr(first ? "]" : ".)", line[at]);
    return mark && line[at + 1] == ' ' ? (int)at + 2 : 0;
}

/* Later rows of a line stand below its text, unless that leaves too little room. */
static int hanging_indent(const char *line, size_t size, int width) {
    size_t spaces = 0;
    while (spaces < size && line[spaces] == ' ') {
        spaces++;
    }
    size_t columns = spaces + (size_t)mark_columns(line + spaces, size - spaces);
    return columns > (size_t)width / 2 ? 0 : (int)columns;
}

static bool wrap_line(const char *text, size_t begin, size_t end, int width, enum wrap wrap,
                      struct rows *rows) {
    int hang = wrap == WRAP_WORDS ? hanging_indent(text + begin, end - begin, width) : 0;
    int indent = 0, column = 0;
    size_t row = begin, fit = begin; /* `fit`: the last place where the row may end */
    for (size_t at = begin; at < end;) {
        int columns;
        size_t next = text_next(text, end, at, &columns);
        if (wrap == WRAP_WORDS && at > row && columns > 1) {
            fit = at; /* wide scripts have no spaces */
        }
        if (column + columns > width && at > row) {
            bool space = wrap == WRAP_WORDS && text[at] == ' ';
            size_t cut = wrap == WRAP_WORDS && fit > row && !space ? fit : at;
            size_t last = cut;
            while (wrap == WRAP_WORDS && last > row + 1 && text[last - 1] == ' ') {
                last--;
            }
            if (!rows_add(rows, row, last, indent)) {
                return false;
            }
            row = cut;
            while (wrap == WRAP_WORDS && row < end && text[row] == ' ') {
                row++;
            }
            at = fit = row;
            indent = column = hang;
            continue;
        }
        column += columns;
        if (wrap == WRAP_WORDS && (text[at] == ' ' || columns > 1)) {
            fit = next;
        }
        at = next;
    }
    return rows_add(rows, row, end, indent);
}

bool text_wrap(const struct styled *s, int width, enum wrap wrap, struct rows *rows) {
    const char *text = s->text.data ? (const char *)s->text.data : "";
    size_t size = s->text.failed || s->styles.failed ? 0 : s->text.size;
    rows->count = 0;
    width = width < 2 ? 2 : width;
    for (size_t at = 0;;) {
        const char *newline = size > at ? memchr(text + at, '\n', size - at) : NULL;
        size_t end = newline ? (size_t)(newline - text) : size;
        if (!wrap_line(text, at, end, width, wrap, rows)) {
            return false;
        }
        if (!newline) {
            return true;
        }
        at = end + 1;
    }
}
