/* SPDX-License-Identifier: Apache-2.0
 *
 * One character at a time. Within a quotation all is held back; a blank line ends what was opened
 * by mistake.
 */
#include "app/quotations.h"

#include <string.h>

static const struct pair {
    const char *open, *close;
} pairs[] = {{"\"", "\""}, {"\xE2\x80\x9C", "\xE2\x80\x9D"}, {"\xC2\xAB", "\xC2\xBB"}};
enum { PAIRS = sizeof pairs / sizeof *pairs, FENCE = 3 };

void quotations_finish(struct quotations *q) {
    bytes_finish(&q->known);
    bytes_finish(&q->held);
    *q = (struct quotations){0};
}

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void put_squeezed(struct bytes *out, const char *text, size_t size) {
    bool space = false;
    for (size_t i = 0; i < size; i++) {
        if (is_space(text[i])) {
            space = true;
            continue;
        }
        if (space && out->size) {
            bytes_put_u8(out, ' ');
        }
        space = false;
        bytes_put_u8(out, (uint8_t)text[i]);
    }
}

bool quotations_know(struct quotations *q, const struct retrieval *retrieval, const char *question,
                     struct error *error) {
    for (size_t i = 0; i < retrieval->count; i++) {
        put_squeezed(&q->known, retrieval->items[i].text, strlen(retrieval->items[i].text));
        bytes_put_u8(&q->known, '\n'); /* which no squeezed quotation has: none spans two */
    }
    put_squeezed(&q->known, question, strlen(question));
    return !q->known.failed || error_set(error, ERROR_NO_SPACE, "no memory for the passages");
}

static bool is_known(const struct quotations *q, const char *text, size_t size) {
    struct bytes words = {0};
    put_squeezed(&words, text, size);
    while (words.size && strchr(" .,;:!?", words.data[words.size - 1])) {
        words.size--;
    }
    size_t skip = words.size && words.data[0] == ' ';
    bool known = words.size == skip ||
                 (!words.failed && q->known.size &&
                  memmem(q->known.data, q->known.size, words.data + skip, words.size - skip));
    bytes_finish(&words);
    return known;
}

static const struct pair *opened_by(const char *at, size_t size) {
    for (size_t i = 0; i < PAIRS; i++) {
        size_t n = strlen(pairs[i].open);
        if (n <= size && memcmp(at, pairs[i].open, n) == 0) {
            return &pairs[i];
        }
    }
    return NULL;
}

/* `end`: bytes of the closing mark; 0: it was not closed. */
static void release(struct quotations *q, size_t end, struct bytes *out) {
    const char *held = (const char *)q->held.data;
    const struct pair *pair = opened_by(held, q->held.size);
    size_t open = strlen(pair->open), inner = q->held.size - open - end;
    if (end && is_known(q, held + open, inner)) {
        bytes_put(out, held, q->held.size);
    } else {
        bytes_put(out, held + open, inner);
    }
    q->before = held[q->held.size - 1];
    q->held.size = 0;
}

static void hold(struct quotations *q, const char *at, size_t size, struct bytes *out) {
    bool opens = q->held.size == 0;
    bytes_put(&q->held, at, size);
    if (q->held.failed || opens) {
        out->failed = out->failed || q->held.failed;
        return;
    }
    const char *held = (const char *)q->held.data;
    const char *close = opened_by(held, q->held.size)->close;
    if (size == strlen(close) && memcmp(at, close, size) == 0) {
        release(q, size, out);
    } else if (memcmp(held + q->held.size - 2, "\n\n", 2) == 0) {
        release(q, 0, out);
    }
}

/* Code ends with a run of backticks as long as the one that began it, or with the line, unless a
 * fence began it. */
static void track_code(struct quotations *q, char c) {
    if (c == '`') {
        q->run++;
        return;
    }
    if (q->run) {
        q->backticks = !q->backticks ? q->run : q->run >= q->backticks ? 0 : q->backticks;
        q->run = 0;
    }
    if (c == '\n' && q->backticks < FENCE) {
        q->backticks = 0;
    }
}

static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t character_size(const char *at, size_t left) {
    size_t n = 1;
    while (n < left && ((unsigned char)at[n] & 0xC0) == 0x80) {
        n++;
    }
    return n;
}

void quotations_put(struct quotations *q, const char *text, size_t size, struct bytes *out) {
    for (size_t i = 0, n; i < size && !out->failed; i += n) {
        n = character_size(text + i, size - i);
        if (q->held.size) {
            hold(q, text + i, n, out);
            continue;
        }
        track_code(q, text[i]);
        bool code = q->backticks || q->run;
        /* After a letter or digit a straight mark opens nothing: 5" is an inch. */
        if (!code && opened_by(text + i, n) && !(text[i] == '"' && is_word(q->before))) {
            hold(q, text + i, n, out);
            continue;
        }
        bytes_put(out, text + i, n);
        q->before = text[i + n - 1];
    }
}

void quotations_end(struct quotations *q, struct bytes *out) {
    if (q->held.size) {
        release(q, 0, out);
    }
}
