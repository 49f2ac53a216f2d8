/* SPDX-License-Identifier: Apache-2.0
 *
 * Cutting a text into passages.
 */
#include "storage/split.h"

static bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* Where to end a passage that begins at `begin` and cannot reach the end of the text. */
static size_t cut(struct blob text, size_t begin) {
    size_t blank = 0, line = 0, space = 0, end = begin + SPLIT_MAX;
    for (size_t i = begin + SPLIT_MIN; i < end; i++) {
        if (text.data[i] == '\n') {
            line = i + 1;
            blank = text.data[i - 1] == '\n' ? i + 1 : blank;
        } else if (is_space(text.data[i])) {
            space = i + 1;
        }
    }
    if (blank || line || space) {
        return blank ? blank : line ? line : space;
    }
    while (end > begin + SPLIT_MIN && ((unsigned char)text.data[end] & 0xc0) == 0x80) {
        end--;
    }
    return end;
}

bool split_next(struct blob text, size_t *at, struct store_span *span) {
    size_t begin = *at;
    while (begin < text.size && is_space(text.data[begin])) {
        begin++;
    }
    if (begin == text.size) {
        *at = begin;
        return false;
    }
    /* Keep the indentation of the first line, which code needs. */
    while (begin > *at && text.data[begin - 1] != '\n' && is_space(text.data[begin - 1])) {
        begin--;
    }
    size_t end = text.size - begin > SPLIT_MAX ? cut(text, begin) : text.size;
    *at = end;
    while (end > begin && is_space(text.data[end - 1])) {
        end--;
    }
    if (end == begin) { /* a very long indentation */
        return split_next(text, at, span);
    }
    *span = (struct store_span){begin, end};
    return true;
}
