/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem session: the saved sessions of this machine, as files and as what they hold.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cmd_session_update.h"
#include "app/commands.h"
#include "app/json.h"
#include "app/options.h"
#include "app/paths.h"
#include "app/safe_text.h"
#include "app/update.h"
#include "storage/files.h"
#include "storage/verify.h"

static void print_safe(const char *format, const char *text, size_t size) {
    char *safe = safe_text_of(text ? text : "", size, SAFE_NAME);
    printf(format, safe ? safe : "?");
    free(safe);
}

/* ---- list ---- */

struct row {
    char *name;
    struct store_session session;
    struct store_sizes sizes;
    struct error error; /* text "" when it could be read */
};

static void read_row(struct row *row, const struct options *options) {
    struct workspace w;
    if (workspace_open(&w, options, row->name, WORKSPACE_LOOK, NULL, &row->error) &&
        store_session_get(w.store, &row->session, &row->error) &&
        store_sizes(w.store, &row->sizes, &row->error)) {
        row->error.text[0] = '\0';
    }
    workspace_close(&w);
}

static int print_rows(struct row *rows, size_t count, const struct options *options,
                      struct error *error) {
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct row *r = &rows[i];
        const char *problem = *r->error.text ? r->error.text : NULL;
        if (options->json) {
            json_array_append_new(
                array,
                json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:o}", "name", json_text(r->name),
                          "model", json_text(r->session.maker.model.data), "documents",
                          (json_int_t)r->session.documents, "tokens_read",
                          (json_int_t)r->session.position, "turns", (json_int_t)r->session.turns,
                          "bytes", (json_int_t)r->sizes.file, "problem", json_text(problem)));
            continue;
        }
        char size[PROGRESS_SIZE];
        print_safe("%-20s ", r->name, strlen(r->name));
        if (problem) {
            print_safe("%s\n", problem, strlen(problem));
        } else {
            printf("%9" PRId64 " tokens %4" PRIu64 " documents %4" PRIu64 " turns %9s  ",
                   r->session.position, r->session.documents, r->session.turns,
                   progress_bytes(r->sizes.file, size));
            print_safe("%s\n", r->session.maker.model.data, r->session.maker.model.size);
        }
    }
    int code = options->json ? json_print(json_incref(array), error) : 0;
    json_decref(array);
    return code;
}

static int is_session(const struct dirent *entry) {
    size_t n = strlen(entry->d_name);
    return n > 3 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 3, ".db") == 0;
}

static int run_list(const struct options *options, char **argv, struct error *error) {
    (void)argv;
    struct paths paths;
    if (!paths_init(&paths, error)) {
        return error->code;
    }
    char *folder = paths_join(paths.data, "sessions", "");
    paths_finish(&paths);
    if (folder) {
        store_tidy(folder);
    }
    struct dirent **entries = NULL;
    int n = folder ? scandir(folder, &entries, is_session, alphasort) : -1;
    struct row *rows = calloc((size_t)(n > 0 ? n : 0) + 1, sizeof *rows);
    for (int i = 0; rows && i < n; i++) {
        rows[i].name = strndup(entries[i]->d_name, strlen(entries[i]->d_name) - 3);
        if (rows[i].name) {
            read_row(&rows[i], options);
        }
    }
    int code = rows ? print_rows(rows, (size_t)(n > 0 ? n : 0), options, error) : ERROR_NO_SPACE;
    if (!rows) {
        error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    for (int i = 0; i < n; i++) {
        if (rows) {
            free(rows[i].name);
            store_session_finish(&rows[i].session);
        }
        free(entries[i]);
    }
    free(entries);
    free(rows);
    free(folder);
    return code;
}

/* ---- show ---- */

static json_t *marks_json(const struct store_snapshots *snapshots) {
    json_t *array = json_array();
    for (size_t i = 0; i < snapshots->count; i++) {
        const struct store_snapshot *s = &snapshots->rows[i];
        json_array_append_new(
            array, json_pack("{s:I, s:I, s:o, s:I}", "generation", (json_int_t)s->generation,
                             "position", (json_int_t)s->position, "mark", json_text(s->mark.data),
                             "bytes", (json_int_t)s->size));
    }
    return array;
}

static void show_bytes(const char *what, uint64_t bytes) {
    char size[PROGRESS_SIZE];
    printf("  %-12s %12" PRIu64 " bytes (%s)\n", what, bytes, progress_bytes(bytes, size));
}

static void show_text(const struct store_session *s, const struct store_sizes *z,
                      const struct store_snapshots *snapshots) {
    print_safe("model        %s\n", s->maker.model.data, s->maker.model.size);
    print_safe("adapter      %s\n", s->maker.adapter.size ? s->maker.adapter.data : "none",
               s->maker.adapter.size ? s->maker.adapter.size : 4);
    printf("tokens read  %" PRId64 "\ndocuments    %" PRIu64 " (%" PRIu64
           " things skipped)\nturns        %" PRIu64 "\nsize\n",
           s->position, s->documents, s->skips, s->turns);
    show_bytes("documents", z->documents);
    show_bytes("index", z->index);
    show_bytes("transcript", z->transcript);
    show_bytes("memory", z->memory);
    show_bytes("file", z->file);
    printf("saved states of the memory (for ask --as-of)\n");
    for (size_t i = 0; i < snapshots->count; i++) {
        const struct store_snapshot *snapshot = &snapshots->rows[i];
        printf("  %10" PRId64 " tokens  ", snapshot->position);
        print_safe("%s\n", snapshot->mark.data ? snapshot->mark.data : "(a checkpoint)",
                   snapshot->mark.data ? snapshot->mark.size : 14);
    }
}

/* Of the newest state, in hexadecimal; "" when nothing was read yet. */
static bool hash_memory(struct store *store, const struct store_snapshots *states,
                        char hex[HASH_HEX], struct error *error) {
    uint8_t hash[HASH_BYTES];
    hex[0] = '\0';
    if (states->count == 0) {
        return true;
    }
    bool ok = store_snapshot_hash(store, states->rows[states->count - 1].generation, hash, error);
    if (ok) {
        hash_hex(hash, hex);
    }
    return ok;
}

static int run_show(const struct options *options, char **argv, struct error *error) {
    struct workspace w;
    struct store_session s = {0};
    struct store_sizes z;
    struct store_snapshots snapshots = {0};
    char hash[HASH_HEX] = "";
    bool ok = workspace_open(&w, options, argv[0], WORKSPACE_LOOK, NULL, error) &&
              store_session_get(w.store, &s, error) && store_sizes(w.store, &z, error) &&
              store_snapshots_list(w.store, &snapshots, error) &&
              hash_memory(w.store, &snapshots, hash, error);
    int code = ok ? 0 : (int)error->code;
    if (ok && options->json) {
        code = json_print(
            json_pack(
                "{s:o, s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:o}",
                "name", json_text(argv[0]), "title", json_text(s.title.data), "model",
                json_text(s.maker.model.data), "adapter", json_text(s.maker.adapter.data),
                "memory_hash", hash, "tokens_read", (json_int_t)s.position, "documents",
                (json_int_t)s.documents, "skipped", (json_int_t)s.skips, "turns",
                (json_int_t)s.turns, "bytes", "documents", (json_int_t)z.documents, "index",
                (json_int_t)z.index, "transcript", (json_int_t)z.transcript, "memory",
                (json_int_t)z.memory, "file", (json_int_t)z.file, "states", marks_json(&snapshots)),
            error);
    } else if (ok) {
        show_text(&s, &z, &snapshots);
    }
    store_snapshots_finish(&snapshots);
    store_session_finish(&s);
    workspace_close(&w);
    return code;
}

/* ---- whole files ---- */

static int run_fork(const struct options *options, char **argv, struct error *error) {
    struct workspace w;
    char *to = session_file(argv[1], false, error);
    bool ok = to && workspace_open(&w, options, argv[0], WORKSPACE_LOOK, NULL, error);
    if (ok) {
        ok = store_fork(w.store, to, blob_of(argv[1]), error);
        workspace_close(&w);
    }
    free(to);
    return ok ? 0 : (int)error->code;
}

static int run_rename(const struct options *options, char **argv, struct error *error) {
    (void)options;
    char *from = session_file(argv[0], true, error);
    char *to = from ? session_file(argv[1], false, error) : NULL;
    bool ok = to && store_rename_file(from, to, error);
    free(from);
    free(to);
    return ok ? 0 : (int)error->code;
}

static int run_rm(const struct options *options, char **argv, struct error *error) {
    (void)options;
    char *path = session_file(argv[0], true, error);
    char *update = path ? session_update_file(argv[0], error) : NULL;
    bool ok = update && store_remove_file(path, error) &&
              (access(update, F_OK) != 0 || store_remove_file(update, error));
    free(update);
    free(path);
    return ok ? 0 : (int)error->code;
}

static int run_rewind(const struct options *options, char **argv, struct error *error) {
    struct workspace w;
    char *end;
    long long generation = strtoll(argv[1], &end, 10);
    if (*argv[1] < '0' || *argv[1] > '9' || *end) {
        error_set(error, ERROR_USAGE, "found '%s', expected a generation (session show --json)",
                  argv[1]);
        return ERROR_USAGE;
    }
    bool ok = workspace_open(&w, options, argv[0], WORKSPACE_EDIT, NULL, error) &&
              store_snapshot_rewind(w.store, generation, error);
    workspace_close(&w);
    return ok ? 0 : (int)error->code;
}

static int run_export(const struct options *options, char **argv, struct error *error) {
    struct workspace w;
    bool ok = workspace_open(&w, options, argv[0], WORKSPACE_LOOK, NULL, error) &&
              store_copy(w.store, argv[1], false, error);
    workspace_close(&w);
    return ok ? 0 : (int)error->code;
}

static int run_import(const struct options *options, char **argv, struct error *error) {
    (void)options;
    char *to = session_file(argv[1], false, error);
    bool ok = to && store_import(argv[0], to, error);
    free(to);
    return ok ? 0 : (int)error->code;
}

static void tell_damage(void *context, const char *sentence) {
    (void)context;
    print_safe("%s\n", sentence, strlen(sentence));
}

static int run_verify(const struct options *options, char **argv, struct error *error) {
    struct workspace w;
    bool ok = workspace_open(&w, options, argv[0], WORKSPACE_LOOK, NULL, error) &&
              store_verify(w.store, tell_damage, NULL, error);
    workspace_close(&w);
    if (ok) {
        printf("session %s is sound\n", argv[0]);
    }
    return ok ? 0 : (int)error->code;
}

static const struct {
    const char *name, *usage;
    int words;
    int (*run)(const struct options *options, char **argv, struct error *error);
} actions[] = {
    {"export", "export NAME FILE", 2, run_export},
    {"fork", "fork NAME NEW", 2, run_fork},
    {"import", "import FILE NAME", 2, run_import},
    {"list", "list", 0, run_list},
    {"rename", "rename NAME NEW", 2, run_rename},
    {"rewind", "rewind NAME GENERATION", 2, run_rewind},
    {"rm", "rm NAME", 1, run_rm},
    {"show", "show NAME", 1, run_show},
    {"update", "update NAME", 1, session_update_run},
    {"verify", "verify NAME", 1, run_verify},
};

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    if (!options_read(NULL, 0, &argc, argv, error)) {
        return error->code;
    }
    for (size_t i = 0; argc > 0 && i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(argv[0], actions[i].name) == 0) {
            if (argc - 1 != actions[i].words) {
                error_set(error, ERROR_USAGE, "found %d names, expected: allmem session %s",
                          argc - 1, actions[i].usage);
                return ERROR_USAGE;
            }
            return actions[i].run(options, argv + 1, error);
        }
    }
    error_set(error, ERROR_USAGE, "expected: allmem %s", command_session.usage);
    return ERROR_USAGE;
}

const struct command command_session = {
    .name = "session",
    .usage = "session list|show|update|fork|rename|rewind|rm|export|import|verify ...",
    .summary = "list and handle saved sessions",
    .help =
        "  list                 the sessions on this machine\n"
        "  show NAME            model, sizes, and the saved states of the memory\n"
        "  update NAME          reads the sources again where files changed or went: a memory\n"
        "                       cannot unlearn; and where the memory is of an older version or\n"
        "                       another adapter. The transcript stays. With -m MODEL: for another\n"
        "                       model, in any case\n"
        "  fork NAME NEW        a copy to go on from on another way\n"
        "  rename NAME NEW\n"
        "  rewind NAME GENERATION  back to an earlier saved state (0: the beginning); ingest\n"
        "                       reads again what came after it\n"
        "  rm NAME\n"
        "  export NAME FILE     one plain file to hand on\n"
        "  import FILE NAME     checks it first\n"
        "  verify NAME          every hash and the file's structure\n",
    .run = run,
};
