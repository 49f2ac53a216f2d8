/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 is checked here, everything else goes through iconv first, by pieces, so that one bad byte
 * costs one U+FFFD.
 */
#include "app/import/encoding.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

enum { SNIFF = 8000 };
static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

/* Bytes of the character at the start; 0: invalid. */
static size_t character_size(const uint8_t *data, size_t size) {
    if (data[0] < 0x80) {
        return 1;
    }
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate(data, size < 4 ? (utf8proc_ssize_t)size : 4, &c);
    return n > 0 ? (size_t)n : 0;
}

static bool has_mark(const uint8_t *data, size_t size, const char *mark, size_t mark_size) {
    return size >= mark_size && memcmp(data, mark, mark_size) == 0;
}

const char *encoding_guess(const uint8_t *data, size_t size) {
    bool little = has_mark(data, size, "\xFF\xFE", 2);
    if (little || has_mark(data, size, "\xFE\xFF", 2)) {
        /* In text no character is U+0000; in binary that begins so by chance many are. */
        size_t nul = 0;
        for (size_t i = 2; i + 1 < size && i < SNIFF; i += 2) {
            nul += data[i] == 0 && data[i + 1] == 0;
        }
        return nul ? NULL : little ? "UTF-16LE" : "UTF-16BE";
    }
    if (size && memchr(data, 0, size < SNIFF ? size : SNIFF)) {
        return NULL;
    }
    size_t invalid = 0, wide = 0;
    for (size_t i = 0; i < size;) {
        size_t n = character_size(data + i, size - i);
        invalid += n == 0;
        wide += n > 1;
        i += n ? n : 1;
    }
    if (invalid > size / 10) {
        return NULL;
    }
    return invalid > wide ? "WINDOWS-1252" : "UTF-8";
}

static void put_text(const uint8_t *data, size_t size, struct bytes *out) {
    size_t plain = 0; /* start of the run that can be copied as it is */
    for (size_t i = 0; i < size;) {
        size_t n = character_size(data + i, size - i);
        if (n > 0 && data[i] != '\r' && data[i] != 0) {
            i += n;
            continue;
        }
        bytes_put(out, data + plain, i - plain);
        if (data[i] == '\r') {
            bytes_put(out, "\n", 1);
            i += i + 1 < size && data[i + 1] == '\n' ? 2 : 1;
        } else {
            bytes_put(out, replacement, 3);
            i++;
        }
        plain = i;
    }
    bytes_put(out, data + plain, size - plain);
}

/* All of the input to UTF-8 in `out`. Bad units of `unit` bytes become U+FFFD. */
static void convert(iconv_t cd, const uint8_t *data, size_t size, size_t unit, struct bytes *out) {
    char *in = (char *)data;
    size_t left = size;
    while (left > 0 && !out->failed) {
        char buffer[4096], *to = buffer;
        size_t room = sizeof buffer;
        size_t n = iconv(cd, &in, &left, &to, &room);
        int why = errno;
        bytes_put(out, buffer, sizeof buffer - room);
        if (n == (size_t)-1 && why != E2BIG) {
            bytes_put(out, replacement, 3);
            size_t bad = left < unit ? left : unit;
            in += bad;
            left -= bad;
        }
    }
}

bool encoding_decode(const uint8_t *data, size_t size, const char *charset, struct bytes *out) {
    if (strcasecmp(charset, "UTF-8") == 0) {
        size_t mark = has_mark(data, size, "\xEF\xBB\xBF", 3) ? 3 : 0;
        put_text(data + mark, size - mark, out);
        return true;
    }
    bool wide = strncasecmp(charset, "UTF-16", 6) == 0;
    size_t mark =
        wide && (has_mark(data, size, "\xFF\xFE", 2) || has_mark(data, size, "\xFE\xFF", 2)) ? 2
                                                                                             : 0;
    iconv_t cd = iconv_open("UTF-8", charset);
    if (cd == (iconv_t)-1) {
        return false;
    }
    struct bytes utf8 = {0};
    convert(cd, data + mark, size - mark, wide ? 2 : 1, &utf8);
    iconv_close(cd);
    put_text(utf8.data, utf8.size, out);
    out->failed |= utf8.failed;
    bytes_finish(&utf8);
    return true;
}
