/* SPDX-License-Identifier: Apache-2.0
 *
 * Thin helpers over jansson.
 */
#include "app/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

#define FILE_MOST (64 * 1024)

json_t *json_text(const char *text) {
    json_t *json = text ? json_string(text) : json_null();
    if (json) {
        return json;
    }
    static const char replacement[] = "\xef\xbf\xbd";
    size_t size = strlen(text), n = 0;
    char *clean = malloc(3 * size + 1);
    if (!clean) {
        return NULL;
    }
    for (size_t at = 0; at < size;) {
        utf8proc_int32_t codepoint;
        utf8proc_ssize_t got = utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                                (utf8proc_ssize_t)(size - at), &codepoint);
        const char *from = got > 0 ? text + at : replacement;
        size_t length = got > 0 ? (size_t)got : 3;
        memcpy(clean + n, from, length);
        n += length;
        at += got > 0 ? (size_t)got : 1;
    }
    json = json_stringn(clean, n);
    free(clean);
    return json;
}

int json_print(json_t *value, struct error *error) {
    bool ok = value && json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY) == 0;
    json_decref(value);
    if (!ok && !ferror(stdout)) {
        error_set(error, ERROR_NO_SPACE, "out of memory");
        return ERROR_NO_SPACE;
    }
    putchar('\n');
    return 0;
}

bool json_save(json_t *value, const char *path, struct error *error) {
    char *temporary = NULL, *text = value ? json_dumps(value, JSON_INDENT(2)) : NULL;
    json_decref(value);
    if (!text || asprintf(&temporary, "%s.new", path) < 0) {
        free(text);
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    size_t size = strlen(text);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text, size) == (ssize_t)size && fsync(fd) == 0;
    int cause = errno;
    if (fd >= 0 && close(fd) != 0 && ok) {
        ok = false;
        cause = errno;
    }
    if (ok && rename(temporary, path) != 0) {
        ok = false;
        cause = errno;
    }
    if (!ok) {
        if (fd >= 0) {
            unlink(temporary);
        }
        error_set(error, cause == ENOSPC || cause == EFBIG ? ERROR_NO_SPACE : ERROR_FAILURE,
                  "cannot write %s: %s", path, strerror(cause));
    }
    free(text);
    free(temporary);
    return ok;
}

json_t *json_read(const char *path) {
    FILE *file = fopen(path, "rbe");
    char *text = file ? malloc(FILE_MOST) : NULL;
    json_t *json = NULL;
    if (text) {
        size_t size = fread(text, 1, FILE_MOST, file);
        json = size < FILE_MOST ? json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
    }
    if (file) {
        fclose(file);
    }
    free(text);
    if (json && !json_is_object(json)) {
        json_decref(json);
        json = NULL;
    }
    return json;
}
