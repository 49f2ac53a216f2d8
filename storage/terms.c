/* SPDX-License-Identifier: Apache-2.0
 *
 * Cutting identifiers and unspaced scripts into words, one run of equal kind at a time.
 */
#include "storage/terms.h"

enum kind { OTHER, LOWER, UPPER, DIGIT, UNSPACED };

/* The character at `at`: its kind and its length in bytes. Letters beyond ASCII count as lower
 * case, malformed bytes as separators. */
static enum kind kind_at(struct blob text, size_t at, size_t *length) {
    unsigned char c = (unsigned char)text.data[at];
    *length = 1;
    if (c < 0x80) {
        return c >= 'a' && c <= 'z'   ? LOWER
               : c >= 'A' && c <= 'Z' ? UPPER
               : c >= '0' && c <= '9' ? DIGIT
                                      : OTHER;
    }
    size_t size = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;
    if (size == 1 || text.size - at < size) {
        return OTHER;
    }
    uint32_t code = c & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        unsigned char next = (unsigned char)text.data[at + i];
        if ((next & 0xc0) != 0x80) {
            return OTHER;
        }
        code = code << 6 | (next & 0x3fu);
    }
    *length = size;
    if ((code >= 0x3041 && code <= 0x30ff) || (code >= 0x3400 && code <= 0x4dbf) ||
        (code >= 0x4e00 && code <= 0x9fff) || (code >= 0xac00 && code <= 0xd7a3) ||
        (code >= 0xf900 && code <= 0xfaff) || (code >= 0x20000 && code <= 0x2ffff)) {
        return UNSPACED;
    }
    /* General punctuation, symbols, CJK punctuation and full-width forms cut words. */
    return (code >= 0x2000 && code <= 0x2bff) || (code >= 0x3000 && code <= 0x303f) ||
                   (code >= 0xff00 && code <= 0xffef) || code < 0xc0
               ? OTHER
               : LOWER;
}

static void put_word(struct bytes *out, struct blob text, size_t begin, size_t end) {
    bytes_put_u8(out, ' ');
    bytes_put(out, text.data + begin, end - begin);
}

/* Pairs of a run of unspaced characters, or its only character. Returns where the run ends. */
static size_t put_pairs(struct bytes *out, struct blob text, size_t begin) {
    size_t length, before = begin, at = begin;
    kind_at(text, at, &length);
    at += length;
    bool pairs = false;
    while (at < text.size && kind_at(text, at, &length) == UNSPACED) {
        put_word(out, text, before, at + length);
        pairs = true;
        before = at;
        at += length;
    }
    if (!pairs) {
        put_word(out, text, begin, at);
    }
    return at;
}

/* The end of the part of an identifier that begins at `begin`: one of aa, Aa, AA, 11. */
static size_t part_end(struct blob text, size_t begin) {
    size_t length, at = begin, last = begin;
    enum kind first = kind_at(text, begin, &length), kind = first;
    for (at += length; at < text.size; at += length) {
        enum kind next = kind_at(text, at, &length);
        if (next == OTHER || next == UNSPACED || (next == DIGIT) != (kind == DIGIT) ||
            (kind == LOWER && next == UPPER)) {
            break;
        }
        /* HTTPFile: the F belongs to what follows. */
        if (kind == UPPER && next == LOWER && last > begin) {
            return last;
        }
        last = at;
        kind = next;
    }
    return at;
}

void terms_split(struct blob text, struct bytes *out) {
    size_t at = 0, length;
    while (at < text.size) {
        enum kind kind = kind_at(text, at, &length);
        if (kind == OTHER) {
            at += length;
        } else if (kind == UNSPACED) {
            at = put_pairs(out, text, at);
        } else {
            size_t end = part_end(text, at);
            bool whole = true;
            for (; end < text.size; whole = false) {
                kind = kind_at(text, end, &length);
                if (kind == OTHER || kind == UNSPACED) {
                    break;
                }
                put_word(out, text, at, end);
                at = end;
                end = part_end(text, at);
            }
            if (!whole) {
                put_word(out, text, at, end);
            }
            at = end;
        }
    }
}
