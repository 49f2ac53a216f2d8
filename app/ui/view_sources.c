/* SPDX-License-Identifier: Apache-2.0
 *
 * View Sources: the session's documents as a tree of folders, how far each is read, whether its
 * file has changed since, and what was not taken in and why.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/import/document.h"
#include "app/progress.h"
#include "app/source_file.h"
#include "app/ui/app.h"
#include "app/ui/list.h"

struct sources {
    struct store_documents documents;
    struct store_skips skips;
    size_t *order; /* documents by path */
    struct list list;
    bool stored; /* the list is to be read again when the reading shows progress */
};

static void forget(struct sources *v) {
    store_documents_finish(&v->documents);
    store_skips_finish(&v->skips);
    v->documents = (struct store_documents){0};
    v->skips = (struct store_skips){0};
    free(v->order);
    v->order = NULL;
}

static void *create(struct app *a) {
    (void)a;
    return calloc(1, sizeof(struct sources));
}

static void destroy(void *state) {
    struct sources *v = state;
    if (v) {
        forget(v);
        list_finish(&v->list);
        free(v);
    }
}

/* ---- the list ---- */

/* The list of a folder's files has no place of its own among them: these lists come first. */
static bool is_tree(const struct store_document *d) {
    return strcmp(d->kind.data, document_kind_name(DOCUMENT_TREE)) == 0;
}

static int by_path(const void *a, const void *b, void *documents) {
    const struct store_document *rows = documents;
    const struct store_document *x = &rows[*(const size_t *)a], *y = &rows[*(const size_t *)b];
    return is_tree(x) != is_tree(y) ? is_tree(y) - is_tree(x) : strcmp(x->path.data, y->path.data);
}

/* The folder part two paths share, in bytes; always up to a slash. */
static size_t shared_folder(const char *a, const char *b) {
    size_t shared = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++) {
        shared = a[i] == '/' ? i + 1 : shared;
    }
    return shared;
}

static void put_name(struct list *l, const char *name, size_t size, int depth, unsigned style) {
    for (int i = 0; i < depth && i < 20; i++) {
        styled_puts(&l->styled, "  ", STYLE_PLAIN);
    }
    list_name(l, name, size, style);
}

/* A line for each folder that the path is in and the one before was not. */
static int put_folders(struct list *l, const char *path, size_t root, const char *before) {
    size_t shared = before ? shared_folder(path, before) : 0;
    int depth = root > 0;
    for (size_t at = root; path[at];) {
        const char *slash = strchr(path + at, '/');
        if (!slash) {
            break;
        }
        size_t end = (size_t)(slash - path) + 1;
        if (end > shared) {
            put_name(l, path + at, end - at, depth, STYLE_BOLD);
            list_end(l, -1);
        }
        depth++;
        at = end;
    }
    return depth;
}

static const char *stale(const struct store_document *d) {
    enum source_file file = source_file_of(d);
    return file == SOURCE_FILE_GONE      ? "  ! file gone"
           : file == SOURCE_FILE_CHANGED ? "  ! changed: u reads it again"
                                         : "";
}

static void put_document(struct list *l, const struct store_document *d, int depth, long index,
                         int64_t position) {
    const char *slash = is_tree(d) ? NULL : strrchr(d->path.data, '/');
    const char *name = slash && slash[1] ? slash + 1 : d->path.data;
    put_name(l, name, strlen(name), depth, STYLE_PLAIN);
    list_tail(l, sizeof " 1234567890 tokens  read 99 %" - 1);
    int64_t read = store_tokens_read(d, position);
    if (d->tokens > 0) {
        styled_printf(&l->styled, STYLE_PLAIN, " %10lld tokens", (long long)d->tokens);
    } else {
        char size[PROGRESS_SIZE];
        styled_printf(&l->styled, STYLE_PLAIN, " %17s", progress_bytes(d->size, size));
    }
    if (store_is_read(d, position)) {
        styled_puts(&l->styled, "  read", STYLE_PLAIN);
    } else {
        styled_printf(&l->styled, STYLE_DIM, "  read %lld %%",
                      (long long)(d->tokens > 0 ? 100 * read / d->tokens : 0));
    }
    if (d->same_as) {
        styled_puts(&l->styled, "  same text as another", STYLE_DIM);
    }
    styled_puts(&l->styled, stale(d), STYLE_WARN);
    list_end(l, index);
}

/* What all paths from the i-th on have in front is shown once, if it ends with a slash. */
static size_t common_root(const struct sources *v, size_t i) {
    const char *first = v->documents.rows[v->order[i]].path.data;
    const char *slash = strrchr(first, '/');
    size_t root = slash ? (size_t)(slash - first) + 1 : 0;
    while (++i < v->documents.count) {
        size_t shared = shared_folder(first, v->documents.rows[v->order[i]].path.data);
        root = shared < root ? shared : root;
    }
    return root;
}

static void build(struct app *a, struct sources *v) {
    struct list *l = &v->list;
    list_clear(l);
    size_t i = 0, count = v->documents.count;
    for (; i < count && is_tree(&v->documents.rows[v->order[i]]); i++) {
        put_document(l, &v->documents.rows[v->order[i]], 0, (long)v->order[i],
                     (int64_t)a->position);
    }
    size_t root = i < count ? common_root(v, i) : 0;
    if (root > 0) {
        put_name(l, v->documents.rows[v->order[i]].path.data, root, 0, STYLE_BOLD);
        list_end(l, -1);
    }
    const char *before = NULL;
    for (; i < count; i++) {
        const struct store_document *d = &v->documents.rows[v->order[i]];
        int depth = put_folders(l, d->path.data, root, before);
        put_document(l, d, depth, (long)v->order[i], (int64_t)a->position);
        before = d->path.data;
    }
    if (v->skips.count) {
        styled_printf(&l->styled, STYLE_BOLD, "Not taken: %zu", v->skips.count);
        list_end(l, -1);
    }
    for (i = 0; i < v->skips.count; i++) {
        styled_puts(&l->styled, "  ", STYLE_PLAIN);
        list_name(l, v->skips.rows[i].path.data, v->skips.rows[i].path.size, STYLE_DIM);
        styled_puts(&l->styled, ": ", STYLE_DIM);
        styled_put_safe(&l->styled, v->skips.rows[i].reason.data, v->skips.rows[i].reason.size,
                        SAFE_NAME, STYLE_DIM);
        list_end(l, (long)(v->documents.count + i));
    }
}

static void refresh(struct app *a, void *state) {
    struct sources *v = state;
    struct error error;
    long chosen = list_chosen(&v->list);
    int64_t id =
        chosen >= 0 && (size_t)chosen < v->documents.count ? v->documents.rows[chosen].id : 0;
    forget(v);
    if (a->store) {
        if (!store_documents_list(a->store, false, &v->documents, &error) ||
            !store_skips_list(a->store, &v->skips, &error)) {
            app_say(a, STYLE_WARN, "%s", error.text);
        }
        v->order = calloc(v->documents.count + 1, sizeof *v->order);
        if (!v->order) {
            forget(v);
        }
        for (size_t i = 0; i < v->documents.count; i++) {
            v->order[i] = i;
        }
        if (v->documents.count > 1) {
            qsort_r(v->order, v->documents.count, sizeof *v->order, by_path, v->documents.rows);
        }
    }
    build(a, v);
    for (size_t i = 0; i < v->documents.count; i++) {
        if (v->documents.rows[i].id == id) {
            list_choose(&v->list, (long)i);
        }
    }
}

/* The documents are in the store when the first of them is being read. */
static void message(struct app *a, void *state, const struct message *m) {
    struct sources *v = state;
    if (m->job != JOB_INGEST && m->job != JOB_UPDATE && m->job != JOB_WITHDRAW) {
        return;
    }
    if (m->kind == MESSAGE_BEGIN) {
        v->stored = true;
    } else if (m->kind == MESSAGE_STORED ||
               (m->kind == MESSAGE_PROGRESS && v->stored && a->store)) {
        v->stored = false;
        refresh(a, v);
    } else if (m->kind == MESSAGE_PROGRESS && a->view == VIEW_SOURCES) {
        build(a, v); /* how far each is read */
    }
}

/* ---- drawing and keys ---- */

static void draw(struct app *a, void *state, struct area area) {
    struct sources *v = state;
    if (v->list.count == 0) {
        screen_puts(area, 0, 0, STYLE_DIM,
                    a->session ? "This session has read nothing yet." : "No session is open.");
        screen_puts(area, 1, 0, STYLE_DIM, "a: a file or folder to read");
    }
    struct area list = area;
    if (app_reads(a)) {
        char progress[200];
        app_progress(&a->reading, progress, sizeof progress);
        screen_puts(area, 0, 0, STYLE_BOLD, "reading ");
        screen_puts(area, 0, 8, STYLE_BOLD, progress);
        list.y += 1;
        list.h -= 1;
    }
    list_draw(&v->list, list, true);
}

static void open_chosen(struct app *a, struct sources *v) {
    long i = list_chosen(&v->list);
    if (i >= 0 && (size_t)i < v->documents.count) {
        app_show_span(a, v->documents.rows[i].id, (struct store_span){0, 0});
    } else if (i >= 0) {
        app_say(a, STYLE_PLAIN, "not taken: %s",
                v->skips.rows[(size_t)i - v->documents.count].reason.data);
    }
}

static void add_path(struct app *a, const char *path) {
    app_read(a, &path, 1, false);
}

/* What is still there is compared by its bytes; what is not changed costs no reading. */
static void update(struct app *a, struct sources *v) {
    const char **paths = calloc(v->documents.count + 1, sizeof *paths);
    size_t count = 0;
    for (size_t i = 0; paths && i < v->documents.count; i++) {
        const struct store_document *d = &v->documents.rows[i];
        const char *path = d->path.data;
        path +=
            is_tree(d) && strncmp(path, "TREE ", 5) == 0 ? 5 : 0; /* a folder: all of it again */
        if (access(path, R_OK) == 0) {
            paths[count++] = path;
        }
    }
    if (count > 0) {
        app_read(a, paths, count, false);
    } else {
        app_say(a, STYLE_PLAIN, "none of the files is there to be read again");
    }
    free(paths);
}

static void withdraw(struct app *a, const char *yes) {
    (void)yes;
    app_submit(a, JOB_WITHDRAW, a->session, a->subject);
}

static void ask_to_withdraw(struct app *a, struct sources *v) {
    long i = list_chosen(&v->list);
    char text[300];
    if (i < 0 || (size_t)i >= v->documents.count) {
        app_say(a, STYLE_PLAIN, "it was not taken");
        return;
    }
    const struct blob *path = &v->documents.rows[i].path;
    const char *slash = strrchr(path->data, '/'),
               *name = slash && slash[1] ? slash + 1 : path->data;
    char *safe = app_safe(name, strlen(name)), *brief = text_short_name(safe, 24);
    snprintf(text, sizeof text, "Take out %s? y/n (its gist stays in the memory until U) ",
             brief ? brief : "it");
    free(brief);
    free(safe);
    app_about(a, path->data);
    app_question(a, text, withdraw);
}

static void rebuild(struct app *a, const char *yes) {
    (void)yes;
    app_submit(a, JOB_UPDATE, a->session, NULL);
}

static void ask_to_rebuild(struct app *a, struct sources *v) {
    char text[200];
    int64_t tokens = 0;
    if (v->documents.count == 0 || app_reads(a)) {
        app_say(a, STYLE_PLAIN, app_reads(a) ? "it is reading" : "there is nothing to read");
        return;
    }
    for (size_t i = 0; i < v->documents.count; i++) {
        tokens += v->documents.rows[i].tokens;
    }
    snprintf(text, sizeof text, "Read all %lld tokens again, to forget what went? y/n ",
             (long long)tokens);
    app_question(a, text, rebuild);
}

static bool act(struct app *a, void *state, enum action action) {
    struct sources *v = state;
    switch (action) {
    case ACTION_OPEN:
        open_chosen(a, v);
        return true;
    case ACTION_ADD:
        app_prompt(a, "File or folder to read: ", "", true, add_path);
        return true;
    case ACTION_UPDATE:
        update(a, v);
        return true;
    case ACTION_REMOVE:
        ask_to_withdraw(a, v);
        return true;
    case ACTION_REBUILD:
        ask_to_rebuild(a, v);
        return true;
    default:
        return app_list_act(a, &v->list, action);
    }
}

const struct view_ops view_sources = {
    .name = "Sources",
    .context = IN_SOURCES,
    .create = create,
    .destroy = destroy,
    .show = refresh,
    .refresh = refresh,
    .message = message,
    .draw = draw,
    .act = act,
};
