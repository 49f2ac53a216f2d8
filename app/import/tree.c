/* SPDX-License-Identifier: Apache-2.0
 *
 * One path a line, each in full: a line that is quoted alone still says where the file is.
 */
#include "app/import/tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/import/encoding.h"

enum { KINDS_SHOWN = 12 };

struct ending {
    const char *text; /* ".c", or "" */
    size_t files;
};

static const char *ending_of(const char *path) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    return dot && dot > name ? dot : "";
}

static int compare_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_files(const void *a, const void *b) {
    const struct ending *x = a, *y = b;
    if (x->files != y->files) {
        return x->files > y->files ? -1 : 1;
    }
    return strcmp(x->text, y->text);
}

bool tree_is_useful(const struct walk *walk, size_t root) {
    size_t count = 0;
    for (size_t i = 0; i < walk->count; i++) {
        count += walk->files[i].root == root && !walk->files[i].named;
    }
    return count >= 2;
}

/* Names may hold anything; in the list a newline would look like another file. */
static void put_name(struct bytes *out, const char *name) {
    for (; *name; name++) {
        bytes_put_u8(out, (unsigned char)*name < 0x20 ? '?' : (uint8_t)*name);
    }
}

static void put_number(struct bytes *out, size_t number, const char *after) {
    char text[64];
    int n = snprintf(text, sizeof text, "%zu%s", number, after);
    bytes_put(out, text, (size_t)n);
}

/* "12 of .c, 8 of .h, 1 without ending" */
static bool put_kinds(struct bytes *out, const struct walk *walk, size_t root) {
    const char **endings = malloc((walk->count + 1) * sizeof *endings);
    struct ending *kinds = malloc((walk->count + 1) * sizeof *kinds);
    size_t count = 0, kind_count = 0;
    bool ok = endings && kinds;
    for (size_t i = 0; ok && i < walk->count; i++) {
        if (walk->files[i].root == root) {
            endings[count++] = ending_of(walk->files[i].path);
        }
    }
    if (ok && count) {
        qsort(endings, count, sizeof *endings, compare_text);
        for (size_t i = 0; i < count; i++) {
            if (i == 0 || strcmp(endings[i], endings[i - 1]) != 0) {
                kinds[kind_count++] = (struct ending){.text = endings[i]};
            }
            kinds[kind_count - 1].files++;
        }
        qsort(kinds, kind_count, sizeof *kinds, compare_files);
    }
    for (size_t i = 0; ok && i < kind_count && i < KINDS_SHOWN; i++) {
        bytes_put(out, ", ", i ? 2 : 0);
        put_number(out, kinds[i].files, *kinds[i].text ? " " : " without ending");
        put_name(out, kinds[i].text);
    }
    free(endings);
    free(kinds);
    return ok;
}

bool tree_document(const struct walk *walk, size_t root, const char *root_path,
                   struct document *document, struct error *error) {
    struct bytes raw = {0}, text = {0};
    size_t count = 0;
    for (size_t i = 0; i < walk->count; i++) {
        count += walk->files[i].root == root;
    }
    bytes_put(&raw, "Files of ", 9);
    put_name(&raw, root_path);
    bytes_put(&raw, ": ", 2);
    put_number(&raw, count, " in all (");
    bool ok = put_kinds(&raw, walk, root);
    bytes_put(&raw, ").\n\n", 4);
    for (size_t i = 0; i < walk->count; i++) {
        if (walk->files[i].root == root) {
            put_name(&raw, walk->files[i].path);
            bytes_put_u8(&raw, '\n');
        }
    }
    char *name = NULL;
    if (asprintf(&name, strcmp(root_path, ".") == 0 ? "TREE" : "TREE %s", root_path) < 0) {
        name = NULL;
    }
    ok = ok && !raw.failed && name && encoding_decode(raw.data, raw.size, "UTF-8", &text) &&
         document_set_name(document, name) && document_take_text(document, &text);
    document->kind = DOCUMENT_TREE;
    free(name);
    bytes_finish(&raw);
    bytes_finish(&text);
    if (!ok) {
        document_finish(document);
        error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    return ok;
}
