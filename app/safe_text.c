/* SPDX-License-Identifier: Apache-2.0
 *
 * One character at a time, classed by what a terminal or a reader could take it for.
 */
#include "app/safe_text.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

enum { MARKS_MAX = 8 }; /* combining marks on one base that are let through */
static const char replacement[] = "\xEF\xBF\xBD";

/* How many bytes the character has whose first byte this is; 0: no character starts so. */
static unsigned character_size(unsigned char first) {
    return first < 0x80                    ? 1
           : first >= 0xC2 && first < 0xE0 ? 2
           : first >= 0xE0 && first < 0xF0 ? 3
           : first >= 0xF0 && first < 0xF5 ? 4
                                           : 0;
}

/* Whether `next` may follow the bytes held. The second byte decides about overlong forms,
 * surrogates and what lies above U+10FFFF. */
static bool may_follow(const unsigned char *held, unsigned size, unsigned char next) {
    unsigned char low = 0x80, high = 0xBF;
    if (size == 1) {
        low = held[0] == 0xE0 ? 0xA0 : held[0] == 0xF0 ? 0x90 : low;
        high = held[0] == 0xED ? 0x9F : held[0] == 0xF4 ? 0x8F : high;
    }
    return next >= low && next <= high;
}

/* Reorders or hides text, or ends a line for some: embeddings, overrides, isolates, line and
 * paragraph separators, tags, annotation marks, deprecated format characters. */
static bool is_deceiving(utf8proc_int32_t c) {
    return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x206F) || c == 0x2028 ||
           c == 0x2029 || (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE0FFF);
}

/* Takes no room on the screen or looks empty. Variation selectors pick a picture and may stay. */
static bool is_invisible(utf8proc_int32_t c) {
    return (c >= 0x200B && c <= 0x200F) || (c >= 0x2060 && c <= 0x2064) || c == 0xFEFF ||
           c == 0x00AD || c == 0x034F || c == 0x061C || c == 0x115F || c == 0x1160 || c == 0x17B4 ||
           c == 0x17B5 || c == 0x180E || c == 0x3164 || c == 0xFFA0 || c == 0x2800;
}

static bool is_joiner(utf8proc_int32_t c) {
    return c == 0x200C || c == 0x200D || c == 0x200E || c == 0x200F || c == 0x061C || c == 0x00AD ||
           c == 0x034F || c == 0x2060 || c == 0x200B || c == 0x2800;
}

static bool is_noncharacter(utf8proc_int32_t c) {
    return (c & 0xFFFE) == 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF);
}

static void put_escape(utf8proc_int32_t c, struct bytes *out) {
    char text[16];
    int n = c < 0x20    ? snprintf(text, sizeof text, "^%c", (char)(c + '@'))
            : c == 0x7F ? snprintf(text, sizeof text, "^?")
                        : snprintf(text, sizeof text, "\\u{%X}", (unsigned)c);
    bytes_put(out, text, (size_t)n);
}

static void put_ascii(struct safe_text *s, unsigned char c, struct bytes *out) {
    s->marks = 0;
    bool control = c < 0x20 || c == 0x7F;
    if (control && !(s->kind == SAFE_PROSE && (c == '\n' || c == '\t'))) {
        put_escape(c, out);
    } else {
        bytes_put_u8(out, c);
    }
}

/* A whole character of two to four valid bytes. */
static void put_wide(struct safe_text *s, const unsigned char *at, unsigned size,
                     struct bytes *out) {
    utf8proc_int32_t c = 0xFFFD;
    utf8proc_iterate(at, size, &c);
    bool hidden = is_invisible(c) && !(s->kind == SAFE_PROSE && is_joiner(c));
    if (c < 0xA0 || is_deceiving(c) || hidden || is_noncharacter(c)) {
        s->marks = 0;
        put_escape(c, out);
        return;
    }
    utf8proc_category_t category = utf8proc_category(c);
    if (category != UTF8PROC_CATEGORY_MN && category != UTF8PROC_CATEGORY_ME) {
        s->marks = is_joiner(c) ? s->marks : 0;
        bytes_put(out, at, size);
        return;
    }
    /* A tower of marks would paint over other lines: its top is cut, visibly. */
    if (s->marks < MARKS_MAX) {
        bytes_put(out, at, size);
    } else if (s->marks == MARKS_MAX) {
        bytes_put(out, replacement, 3);
    }
    s->marks += s->marks <= MARKS_MAX;
}

static void drop_held(struct safe_text *s, struct bytes *out) {
    if (s->held_size) {
        s->held_size = 0;
        s->marks = 0;
        bytes_put(out, replacement, 3);
    }
}

static void put_byte(struct safe_text *s, unsigned char c, struct bytes *out) {
    if (s->held_size && !may_follow(s->held, s->held_size, c)) {
        drop_held(s, out);
    }
    if (s->held_size == 0) {
        unsigned size = character_size(c);
        if (size == 1) {
            put_ascii(s, c, out);
            return;
        }
        if (size == 0) {
            s->marks = 0;
            bytes_put(out, replacement, 3);
            return;
        }
    }
    s->held[s->held_size++] = c;
    if (s->held_size == character_size(s->held[0])) {
        s->held_size = 0;
        put_wide(s, s->held, character_size(s->held[0]), out);
    }
}

void safe_text_put(struct safe_text *s, const char *data, size_t size, struct bytes *out) {
    for (size_t i = 0; i < size; i++) {
        put_byte(s, (unsigned char)data[i], out);
    }
}

void safe_text_end(struct safe_text *s, struct bytes *out) {
    drop_held(s, out);
    s->marks = 0;
}

char *safe_text_of(const char *data, size_t size, enum safe_text_kind kind) {
    struct safe_text s = {.kind = kind};
    struct bytes out = {0};
    safe_text_put(&s, data, size, &out);
    safe_text_end(&s, &out);
    bytes_put_u8(&out, 0);
    if (out.failed) {
        bytes_finish(&out);
        return NULL;
    }
    return (char *)out.data;
}
