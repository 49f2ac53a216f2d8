/* SPDX-License-Identifier: Apache-2.0
 *
 * Folders are opened relative to the folder above, never through a symbolic link, and each (device,
 * inode) once, so neither loops nor bind mounts make it run for ever.
 */
#include "app/import/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/import/git.h"

struct inode {
    dev_t device;
    ino_t number;
};

struct walker {
    const struct walk_options *options;
    struct walk *out;
    struct error *error;
    void *seen; /* tsearch tree of struct inode: folders and files met */
    uint64_t total;
    size_t root, below; /* of the root being walked */
    size_t over_count, over_total;
};

struct walk_options walk_options_default(void) {
    return (struct walk_options){
        .file_bytes = 256u << 20, .total_bytes = (uint64_t)10 << 30, .files = 100000, .depth = 64};
}

void walk_finish(struct walk *w) {
    for (size_t i = 0; i < w->count; i++) {
        free(w->files[i].path);
    }
    free(w->files);
    skips_finish(&w->skips);
    *w = (struct walk){0};
}

static bool no_memory(struct walker *w) {
    return error_set(w->error, ERROR_NO_SPACE, "out of memory while listing files");
}

static bool skip(struct walker *w, const char *path, bool by_rule, const char *reason) {
    return skips_add(&w->out->skips, path, by_rule, "%s", reason) || no_memory(w);
}

static int compare_inodes(const void *a, const void *b) {
    const struct inode *x = a, *y = b;
    if (x->device != y->device) {
        return x->device < y->device ? -1 : 1;
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

/* True when met the first time. False also when memory runs out, with `failed` set. */
static bool first_time(struct walker *w, const struct stat *st, bool *failed) {
    struct inode *inode = malloc(sizeof *inode);
    if (!inode) {
        *failed = true;
        return false;
    }
    *inode = (struct inode){.device = st->st_dev, .number = st->st_ino};
    struct inode **found = tsearch(inode, &w->seen, compare_inodes);
    if (!found || *found != inode) {
        *failed = !found;
        free(inode);
        return false;
    }
    return true;
}

/* Whether a glob fits the path below the root, or a folder on the way to it. */
static bool fits(const char *glob, const char *below) {
    if (strchr(glob, '/')) {
        return fnmatch(glob, below, FNM_LEADING_DIR) == 0;
    }
    for (const char *part = below; *part;) {
        size_t n = strcspn(part, "/");
        char name[NAME_MAX + 1];
        if (n <= NAME_MAX) {
            memcpy(name, part, n);
            name[n] = '\0';
            if (fnmatch(glob, name, 0) == 0) {
                return true;
            }
        }
        part += n + (part[n] == '/');
    }
    return false;
}

static bool any_fits(const char *const *globs, size_t count, const char *below) {
    for (size_t i = 0; i < count; i++) {
        if (fits(globs[i], below)) {
            return true;
        }
    }
    return false;
}

/* Takes over nothing: the path is copied. */
static bool add_file(struct walker *w, const char *path, uint64_t size, bool named) {
    const struct walk_options *o = w->options;
    struct walk *out = w->out;
    const char *below = path + w->below;
    if (!named && (any_fits(o->exclude, o->exclude_count, below) ||
                   (o->include_count && !any_fits(o->include, o->include_count, below)))) {
        out->excluded++;
        return true;
    }
    if (out->count >= o->files) {
        w->over_count++;
        return true;
    }
    if (size > o->file_bytes) {
        return skips_add(&out->skips, path, false, "%llu MiB, larger than the limit of %llu MiB",
                         (unsigned long long)size >> 20, (unsigned long long)o->file_bytes >> 20) ||
               no_memory(w);
    }
    if (size > o->total_bytes - w->total) {
        w->over_total++;
        return true;
    }
    if ((out->count & (out->count - 1)) == 0) {
        size_t capacity = out->count ? 2 * out->count : 1;
        struct walked_file *files = reallocarray(out->files, capacity, sizeof *files);
        if (!files) {
            return no_memory(w);
        }
        out->files = files;
    }
    char *copy = strdup(path);
    if (!copy) {
        return no_memory(w);
    }
    w->total += size;
    out->files[out->count++] = (struct walked_file){
        .path = copy, .size = size, .named = named, .root = w->root, .below = w->below};
    return true;
}

/* A thing that is not a folder, found by listing. */
static bool add_entry(struct walker *w, const char *path, const struct stat *st) {
    const char *odd = import_not_regular(st->st_mode);
    if (odd) {
        return skip(w, path, true, odd);
    }
    bool failed = false;
    if (!first_time(w, st, &failed) && st->st_nlink == 1) {
        return !failed || no_memory(w); /* one of the other paths given holds it too */
    }
    return failed ? no_memory(w) : add_file(w, path, (uint64_t)st->st_size, false);
}

struct listed {
    char *name; /* folders have a slash at the end, so that they sort as in whole paths */
    struct stat st;
};

static int compare_listed(const void *a, const void *b) {
    return strcmp(((const struct listed *)a)->name, ((const struct listed *)b)->name);
}

static void free_listed(struct listed *entries, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(entries[i].name);
    }
    free(entries);
}

/* The path of `name` in `folder`; what is in "." goes without "./". */
static char *join(const char *folder, const char *name) {
    size_t n = strlen(folder);
    char *path = malloc(n + strlen(name) + 2);
    if (path) {
        bool here = strcmp(folder, ".") == 0;
        strcpy(path, here ? "" : folder);
        if (!here && n && folder[n - 1] != '/') {
            strcat(path, "/");
        }
        strcat(path, name);
    }
    return path;
}

/* Everything in the folder but . and .., sorted. Names that vanish meanwhile are left out. */
static bool list_folder(struct walker *w, DIR *dir, struct listed **entries, size_t *count) {
    *entries = NULL;
    *count = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if ((*count & (*count - 1)) == 0) {
            struct listed *more = reallocarray(*entries, *count ? 2 * *count : 1, sizeof *more);
            if (!more) {
                goto fail;
            }
            *entries = more;
        }
        char *name = join(e->d_name, "");
        if (!name) {
            goto fail;
        }
        if (!S_ISDIR(st.st_mode)) {
            name[strlen(name) - 1] = '\0';
        }
        (*entries)[(*count)++] = (struct listed){.name = name, .st = st};
    }
    if (*count) {
        qsort(*entries, *count, sizeof **entries, compare_listed);
    }
    return true;
fail:
    free_listed(*entries, *count);
    *entries = NULL;
    *count = 0;
    return no_memory(w);
}

static bool walk_folder(struct walker *w, int parent, const char *name, const char *path,
                        unsigned depth);

static bool walk_listed(struct walker *w, int folder, const char *path, struct listed *e,
                        unsigned depth) {
    char *below = join(path, e->name);
    if (!below) {
        return no_memory(w);
    }
    bool ok = true;
    size_t n = strlen(e->name);
    if (e->name[n - 1] != '/') {
        ok = add_entry(w, below, &e->st);
    } else {
        below[strlen(below) - 1] = '\0';
        e->name[n - 1] = '\0';
        if (e->name[0] == '.' && !w->options->hidden) {
            ok = skip(w, below, true, "a hidden folder");
        } else if (any_fits(w->options->exclude, w->options->exclude_count, below + w->below)) {
            w->out->excluded++;
        } else if (depth >= w->options->depth) {
            ok = skip(w, below, false, "too deep");
        } else {
            ok = walk_folder(w, folder, e->name, below, depth + 1);
        }
    }
    free(below);
    return ok;
}

static bool walk_folder(struct walker *w, int parent, const char *name, const char *path,
                        unsigned depth) {
    const struct walk_options *o = w->options;
    if (o->stop && o->stop(o->stop_context)) {
        return error_set(w->error, ERROR_INTERRUPTED, "stopped while listing files");
    }
    int flags = O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC;
    int fd = openat(parent, name, depth ? flags | O_NOFOLLOW : flags);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        bool ok = skip(w, path, false, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return ok;
    }
    struct stat st;
    bool failed = false, ok = true;
    if (import_is_kernel_file(fd)) {
        ok = skip(w, path, true, "a folder of the kernel");
    } else if (fstat(fd, &st) == 0 && first_time(w, &st, &failed)) {
        struct listed *entries;
        size_t count;
        ok = list_folder(w, dir, &entries, &count);
        for (size_t i = 0; ok && i < count; i++) {
            ok = walk_listed(w, fd, path, &entries[i], depth);
        }
        free_listed(entries, count);
    }
    closedir(dir);
    return failed ? no_memory(w) : ok;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names git gave, sorted, each taken once (an unmerged file is listed several times). */
static bool add_git_files(struct walker *w, const char *root, struct bytes *list) {
    size_t count = 0;
    bytes_put_u8(list, 0); /* whatever git wrote, it is ended */
    for (size_t i = 0; !list->failed && i < list->size; i++) {
        count += list->data[i] == 0;
    }
    const char **names = list->failed ? NULL : malloc(count * sizeof *names);
    if (!names) {
        return no_memory(w);
    }
    count = 0;
    for (size_t i = 0; i < list->size; i += strlen((char *)list->data + i) + 1) {
        if (list->data[i]) {
            names[count++] = (char *)list->data + i;
        }
    }
    qsort(names, count, sizeof *names, compare_names);
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        if (i && strcmp(names[i], names[i - 1]) == 0) {
            continue;
        }
        char *path = join(root, names[i]);
        struct stat st;
        if (!path) {
            ok = no_memory(w);
        } else if (lstat(path, &st) != 0) {
            ok = errno == ENOENT ? skip(w, path, true, "git has it, the folder no longer")
                                 : skip(w, path, false, strerror(errno));
        } else if (S_ISDIR(st.st_mode)) {
            ok = skip(w, path, true, "another git work tree; name it to read it");
        } else {
            ok = add_entry(w, path, &st);
        }
        free(path);
    }
    free(names);
    return ok;
}

static bool walk_root(struct walker *w, const char *path) {
    const struct walk_options *o = w->options;
    struct bytes list = {0};
    struct error why = {0};
    bool ok;
    enum git_answer answer =
        o->no_ignore ? GIT_NONE : git_list(path, o->stop, o->stop_context, &list, &why);
    if (answer == GIT_FAILED && why.code == ERROR_INTERRUPTED) {
        ok = error_set(w->error, why.code, "%s", why.text);
    } else if (answer == GIT_FILES) {
        ok = add_git_files(w, path, &list);
    } else {
        /* Better too much than nothing, but said. */
        ok = answer != GIT_FAILED ||
             skips_add(&w->out->skips, path, false, "git could not list it (%s): read without git",
                       why.text);
        ok = ok ? walk_folder(w, AT_FDCWD, path, path, 0) : no_memory(w);
    }
    bytes_finish(&list);
    return ok;
}

/* Of "src/" the slash goes. */
static char *tidy_root(const char *path) {
    char *root = strdup(path);
    for (size_t n = root ? strlen(root) : 0; n > 1 && root[n - 1] == '/'; n--) {
        root[n - 1] = '\0';
    }
    return root;
}

static bool walk_path(struct walker *w, const char *path) {
    w->below = 0;
    if (strcmp(path, "-") == 0) {
        return add_file(w, path, 0, true);
    }
    struct stat st;
    if (stat(path, &st) != 0) {
        bool missing = errno == ENOENT || errno == ENOTDIR;
        return missing ? error_set(w->error, ERROR_NOT_FOUND, "%s: %s", path, strerror(errno))
                       : skip(w, path, false, strerror(errno));
    }
    if (!S_ISDIR(st.st_mode)) {
        const char *odd = import_not_regular(st.st_mode);
        bool failed = false;
        if (odd) {
            return skip(w, path, false, odd);
        }
        if (!first_time(w, &st, &failed)) {
            return !failed || no_memory(w);
        }
        return add_file(w, path, (uint64_t)st.st_size, true);
    }
    char *root = tidy_root(path);
    if (!root) {
        return no_memory(w);
    }
    size_t n = strlen(root);
    w->below = strcmp(root, ".") == 0 ? 0 : n + (n && root[n - 1] != '/');
    bool ok = walk_root(w, root);
    free(root);
    return ok;
}

bool walk_paths(struct walk *out, const char *const *paths, size_t count,
                const struct walk_options *options, struct error *error) {
    struct walker w = {.options = options, .out = out, .error = error};
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        w.root = i;
        size_t over_count = w.over_count, over_total = w.over_total;
        ok = walk_path(&w, paths[i]);
        if (ok && w.over_count > over_count) {
            ok = skips_add(&out->skips, paths[i], false, "%zu more files: the limit is %zu",
                           w.over_count - over_count, options->files) ||
                 no_memory(&w);
        }
        if (ok && w.over_total > over_total) {
            ok = skips_add(
                     &out->skips, paths[i], false, "%zu more files: the limit is %llu MiB in all",
                     w.over_total - over_total, (unsigned long long)options->total_bytes >> 20) ||
                 no_memory(&w);
        }
    }
    tdestroy(w.seen, free);
    return ok;
}
