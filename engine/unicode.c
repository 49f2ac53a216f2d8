/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding and categories come from libutf8proc; ASCII, the bulk of most texts, from a table.
 */
#include "engine/unicode.h"

#include <utf8proc.h>

#define O UNICODE_OTHER
#define L UNICODE_LETTER
#define N UNICODE_NUMBER
#define S UNICODE_SPACE
static const uint8_t ascii[128] = {
    O, O, O, O, O, O, O, O, O, S, S, S, S, S, O, O, /* tab, line feed, ... carriage return */
    O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, /* */
    S, O, O, O, O, O, O, O, O, O, O, O, O, O, O, O, /* space ! " ... */
    N, N, N, N, N, N, N, N, N, N, O, O, O, O, O, O, /* 0-9 : ... */
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, /* @ A-O */
    L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O, /* P-Z [ ... */
    O, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, /* ` a-o */
    L, L, L, L, L, L, L, L, L, L, L, O, O, O, O, O, /* p-z { ... */
};
#undef O
#undef L
#undef N
#undef S

/* CJK Unified Ideographs Extension I: letters since Unicode 15.1, which the vocabularies' makers
 * have; the library may still have 15.0, where they are unassigned. */
#define CJK_I_FIRST 0x2EBF0u
#define CJK_I_LAST 0x2EE5Du

static enum unicode_class class_of(uint32_t code) {
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return UNICODE_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return UNICODE_NUMBER;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return UNICODE_SPACE;
    case UTF8PROC_CATEGORY_CC:
        return code == 0x85 ? UNICODE_SPACE : UNICODE_OTHER; /* next line: a control, yet space */
    default:
        return code >= CJK_I_FIRST && code <= CJK_I_LAST ? UNICODE_LETTER : UNICODE_OTHER;
    }
}

struct unicode_char unicode_first(const char *text, size_t size) {
    const uint8_t *bytes = (const uint8_t *)text;
    if (bytes[0] < 0x80) {
        return (struct unicode_char){.code = bytes[0], .size = 1, .class = ascii[bytes[0]]};
    }
    utf8proc_int32_t code;
    utf8proc_ssize_t length =
        utf8proc_iterate(bytes, (utf8proc_ssize_t)(size < 4 ? size : 4), &code);
    if (length <= 0) {
        return (struct unicode_char){.code = UNICODE_INVALID, .size = 1, .class = UNICODE_OTHER};
    }
    return (struct unicode_char){
        .code = (uint32_t)code, .size = (uint32_t)length, .class = class_of((uint32_t)code)};
}
