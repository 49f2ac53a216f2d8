/* SPDX-License-Identifier: Apache-2.0
 *
 * View Files: one folder of this machine at a time, to choose what is to be read without knowing
 * its path. Called from where a path is asked for, it leads back there.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/progress.h"
#include "app/ui/app.h"
#include "app/ui/complete.h"

struct entry {
    char *name;
    bool folder;
    uint64_t size;
};

struct files {
    char *folder; /* absolute, no slash at its end but of "/" */
    struct entry *entries;
    size_t count;
    bool hidden;       /* names with a dot in front are shown */
    enum view_id back; /* where it was called, */
    bool typing;       /* and whether the input line had the keys there */
    void (*take)(struct app *a, const char *path);
    struct list list;
};

static void *create(struct app *a) {
    (void)a;
    return calloc(1, sizeof(struct files));
}

static void forget(struct files *v) {
    for (size_t i = 0; i < v->count; i++) {
        free(v->entries[i].name);
    }
    free(v->entries);
    v->entries = NULL;
    v->count = 0;
}

static void destroy(void *state) {
    struct files *v = state;
    if (v) {
        forget(v);
        free(v->folder);
        list_finish(&v->list);
        free(v);
    }
}

/* ---- the folder ---- */

/* Folders first, then by name. */
static int by_name(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    return x->folder != y->folder ? y->folder - x->folder : strcmp(x->name, y->name);
}

static void add_entry(struct files *v, DIR *dir, const char *name) {
    struct stat info;
    if ((name[0] == '.' && !v->hidden) || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        fstatat(dirfd(dir), name, &info, 0) != 0 ||
        !(S_ISDIR(info.st_mode) || S_ISREG(info.st_mode))) {
        return;
    }
    struct entry *grown = reallocarray(v->entries, v->count + 1, sizeof *grown);
    char *copy = strdup(name);
    v->entries = grown ? grown : v->entries;
    if (!grown || !copy) {
        free(copy);
        return;
    }
    v->entries[v->count++] = (struct entry){copy, S_ISDIR(info.st_mode),
                                            (uint64_t)(info.st_size > 0 ? info.st_size : 0)};
}

static void put_entry(struct files *v, size_t i) {
    const struct entry *e = &v->entries[i];
    char size[PROGRESS_SIZE];
    list_name(&v->list, e->name, strlen(e->name), e->folder ? STYLE_BOLD : STYLE_PLAIN);
    if (e->folder) {
        styled_puts(&v->list.styled, "/", STYLE_BOLD);
    } else {
        list_tail(&v->list, sizeof " 123456 bytes" - 1);
        styled_printf(&v->list.styled, STYLE_DIM, " %12s", progress_bytes(e->size, size));
    }
    list_end(&v->list, (long)i);
}

/* False when the folder cannot be looked into: the one before stays. */
static bool look(struct app *a, struct files *v, const char *path) {
    char *folder = realpath(path, NULL);
    DIR *dir = folder ? opendir(folder) : NULL;
    if (!dir) {
        app_say(a, STYLE_WARN, "cannot look into %s", path);
        free(folder);
        return false;
    }
    forget(v);
    free(v->folder);
    v->folder = folder;
    for (struct dirent *entry; (entry = readdir(dir));) {
        add_entry(v, dir, entry->d_name);
    }
    closedir(dir);
    if (v->count > 1) {
        qsort(v->entries, v->count, sizeof *v->entries, by_name);
    }
    list_clear(&v->list);
    v->list.chosen = v->list.top = 0;
    for (size_t i = 0; i < v->count; i++) {
        put_entry(v, i);
    }
    return true;
}

void files_browse(struct app *a, const char *typed, void (*take)(struct app *a, const char *path)) {
    struct files *v = a->states[VIEW_FILES];
    struct stat info;
    char *path = complete_expand(typed);
    char *slash = path ? strrchr(path, '/') : NULL;
    if (slash && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))) {
        slash[slash == path] = '\0'; /* the folder of what was begun to be typed */
    }
    const char *from = slash ? path : v->folder ? v->folder : ".";
    if (look(a, v, from) || look(a, v, ".")) {
        v->take = take;
        v->back = a->view;
        v->typing = a->typing;
        a->prompt.on = false;
        app_show(a, VIEW_FILES);
    }
    free(path);
}

/* ---- drawing and keys ---- */

static void draw(struct app *a, void *state, struct area area) {
    struct files *v = state;
    (void)a;
    struct styled s = {0};
    styled_put_safe(&s, v->folder ? v->folder : "", v->folder ? strlen(v->folder) : 0, SAFE_NAME,
                    STYLE_BOLD);
    if (!s.text.failed && !s.styles.failed) {
        screen_name(area, 0, 0, &s, 0, s.text.size, area.w, STYLE_PLAIN);
    }
    styled_finish(&s);
    struct area list = {area.y + 1, area.x, area.h - 1, area.w};
    if (v->count == 0 && list.h > 0) {
        screen_puts(list, 0, 0, STYLE_DIM, "  nothing to read here");
    }
    list_draw(&v->list, list, true);
}

static char *path_of(const struct files *v, const char *name) {
    char *path = NULL;
    const char *slash = strcmp(v->folder, "/") == 0 ? "" : "/";
    return asprintf(&path, "%s%s%s", v->folder, slash, name) < 0 ? NULL : path;
}

static void leave(struct app *a, struct files *v, const char *path) {
    char *copy = path ? strdup(path) : NULL;
    app_show(a, v->back);
    a->typing = v->typing;
    if (copy) {
        v->take(a, copy);
    }
    free(copy);
}

static void go_up(struct app *a, struct files *v) {
    const char *slash = strrchr(v->folder, '/');
    char *left = slash && slash[1] ? strdup(slash + 1) : NULL, *path = path_of(v, "..");
    if (path && look(a, v, path)) {
        for (size_t i = 0; left && i < v->count; i++) {
            if (strcmp(v->entries[i].name, left) == 0) {
                list_choose(&v->list, (long)i);
            }
        }
    }
    free(left);
    free(path);
}

static void open_chosen(struct app *a, struct files *v, bool whole) {
    long i = list_chosen(&v->list);
    char *path = i >= 0 ? path_of(v, v->entries[i].name) : NULL;
    if (path && v->entries[i].folder && !whole) {
        look(a, v, path);
    } else if (path) {
        leave(a, v, path);
    }
    free(path);
}

static bool act(struct app *a, void *state, enum action action) {
    struct files *v = state;
    switch (action) {
    case ACTION_OPEN:
    case ACTION_ADD:
        open_chosen(a, v, action == ACTION_ADD);
        return true;
    case ACTION_PARENT:
        go_up(a, v);
        return true;
    case ACTION_HIDDEN: {
        char *folder = strdup(v->folder);
        v->hidden = !v->hidden;
        look(a, v, folder ? folder : ".");
        free(folder);
        return true;
    }
    case ACTION_BACK:
        leave(a, v, NULL);
        return true;
    default:
        return app_list_act(a, &v->list, action);
    }
}

const struct view_ops view_files = {
    .name = "Files",
    .context = IN_FILES,
    .create = create,
    .destroy = destroy,
    .draw = draw,
    .act = act,
};
