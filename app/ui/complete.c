/* SPDX-License-Identifier: Apache-2.0
 *
 * Completion of paths and words: the longest beginning that all candidates share.
 */
#include "app/ui/complete.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A path of `size` bytes. */
static char *expand(const char *typed, size_t size) {
    const char *home = getenv("HOME");
    char *path = NULL;
    bool tilde = size > 0 && typed[0] == '~' && (size == 1 || typed[1] == '/') && home && *home;
    if (asprintf(&path, "%s%.*s", tilde ? home : "", (int)(size - tilde), typed + tilde) < 0) {
        return NULL;
    }
    return path;
}

char *complete_expand(const char *typed) {
    typed += strspn(typed, " \n");
    size_t size = strlen(typed);
    while (size > 0 && strchr(" \n", typed[size - 1])) {
        size--;
    }
    return expand(typed, size);
}

/* What candidates have in common; starts as {0}. */
struct common {
    char text[256];
    size_t count, size; /* `size` of text */
    bool folder;
};

static void consider(struct common *c, const char *name, bool folder, struct styled *choices) {
    if (c->count++ == 0) {
        snprintf(c->text, sizeof c->text, "%s", name);
        c->size = strlen(c->text);
        c->folder = folder;
    }
    size_t same = 0;
    while (same < c->size && name[same] == c->text[same]) {
        same++;
    }
    while (same < c->size && same > 0 && ((unsigned char)c->text[same] & 0xC0) == 0x80) {
        same--; /* not inside a character */
    }
    c->size = same;
    if (choices->text.size < 2000) {
        styled_puts(choices, choices->text.size ? "  " : "", STYLE_PLAIN);
        styled_put_safe(choices, name, strlen(name), SAFE_NAME, STYLE_PLAIN);
        styled_puts(choices, folder ? "/" : "", STYLE_PLAIN);
    }
}

static void take(struct editor *e, const struct common *c, size_t typed, const char *after,
                 struct styled *choices) {
    if (c->count > 0 && c->size > typed) {
        editor_insert(e, c->text + typed, c->size - typed);
    }
    if (c->count == 1) {
        editor_insert(e, after, strlen(after));
        styled_clear(choices);
    } else if (c->count == 0) {
        styled_puts(choices, "nothing begins like that", STYLE_WARN);
    }
}

static bool is_folder(const char *folder, const char *name) {
    char *path;
    struct stat info;
    if (asprintf(&path, "%s/%s", folder, name) < 0) {
        return false;
    }
    bool yes = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    free(path);
    return yes;
}

void complete_path(struct editor *e, size_t begin, struct styled *choices) {
    styled_clear(choices);
    const char *text = editor_text(e);
    begin += strspn(text + begin, " \n");
    begin = begin < e->at ? begin : e->at;
    char *path = expand(text + begin, e->at - begin); /* a space at its end may be of the name */
    if (path) {
        char *slash = strrchr(path, '/');
        const char *last = slash ? slash + 1 : path;
        char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
        struct dirent **entries = NULL;
        int n = folder ? scandir(folder, &entries, NULL, alphasort) : -1;
        struct common c = {0};
        for (int i = 0; i < n; i++) {
            const char *name = entries[i]->d_name;
            bool hidden = name[0] == '.' && last[0] != '.';
            bool self = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
            if (!hidden && !self && strncmp(name, last, strlen(last)) == 0) {
                consider(&c, name, is_folder(folder, name), choices);
            }
            free(entries[i]);
        }
        free(entries);
        free(folder);
        take(e, &c, strlen(last), c.folder ? "/" : "", choices);
    }
    free(path);
}

void complete_word(struct editor *e, size_t begin, const char *const *words,
                   struct styled *choices) {
    styled_clear(choices);
    char *typed = strndup(editor_text(e) + begin, e->at - begin);
    struct common c = {0};
    for (size_t i = 0; typed && words[i]; i++) {
        if (strncmp(words[i], typed, strlen(typed)) == 0) {
            consider(&c, words[i], false, choices);
        }
    }
    take(e, &c, typed ? strlen(typed) : 0, " ", choices);
    free(typed);
}
