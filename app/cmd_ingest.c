/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem ingest: reads documents into a saved session.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/interrupt.h"
#include "app/json.h"
#include "app/options.h"
#include "app/reading.h"
#include "app/safe_text.h"
#include "app/workspace.h"

struct ingest {
    bool dry_run, ignore;
    struct option_texts include, exclude;
    uint64_t marks, marks_bytes;
    double checkpoint;
};

static bool stop(void *context) {
    (void)context;
    return interrupt_requested();
}

struct shown {
    struct progress progress;
    double begin;
};

static void show_state(void *context, const struct ingest_state *s) {
    struct shown *shown = context;
    double elapsed = progress_clock() - shown->begin;
    double speed = elapsed > 0 ? (double)s->done / elapsed : 0;
    unsigned left = speed > 0 ? (unsigned)((double)(s->total - s->done) / speed + 0.5) : 0;
    progress_line(&shown->progress, "%llu %%, %.0f tokens/s, %u:%02u left, %s%s%s",
                  (unsigned long long)(s->total ? 100 * s->done / s->total : 100), speed, left / 60,
                  left % 60, s->document, *s->section ? ": " : "", s->section);
}

static struct ingest_options options_of(const struct ingest *ingest, struct shown *shown) {
    struct ingest_options o = ingest_options_default();
    o.walk.include = ingest->include.text;
    o.walk.include_count = ingest->include.count;
    o.walk.exclude = ingest->exclude.text;
    o.walk.exclude_count = ingest->exclude.count;
    o.walk.no_ignore = !ingest->ignore;
    o.walk.stop = stop;
    o.marks = (struct store_budget){ingest->marks, ingest->marks_bytes};
    o.checkpoint_seconds = ingest->checkpoint;
    o.progress = show_state;
    o.context = shown;
    return o;
}

static int print_json(const struct ingest_report *r, const struct workspace *w,
                      struct error *error) {
    json_t *documents = json_array(), *skipped = json_array(), *gone = json_array();
    for (size_t i = 0; i < r->library.count; i++) {
        json_array_append_new(documents, json_pack("{s:o, s:I, s:I}", "source",
                                                   json_text(r->library.documents[i].name),
                                                   "tokens", (json_int_t)r->tokens[i], "bytes",
                                                   (json_int_t)r->library.documents[i].size));
    }
    for (size_t i = 0; i < r->library.skips.count; i++) {
        const struct skip *s = &r->library.skips.items[i];
        json_array_append_new(skipped, json_pack("{s:o, s:o}", "source", json_text(s->name),
                                                 "reason", json_text(s->reason)));
    }
    for (size_t i = 0; i < r->gone.count; i++) {
        json_array_append_new(gone, json_text(r->gone.items[i].name));
    }
    return json_print(
        json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "documents", documents,
                  "skipped", skipped, "gone", gone, "added", (json_int_t)r->added, "changed",
                  (json_int_t)r->changed, "unchanged", (json_int_t)r->unchanged, "text_tokens",
                  (json_int_t)r->text_tokens, "read_tokens", (json_int_t)r->read_tokens, "position",
                  (json_int_t)w->position, "seconds", r->seconds),
        error);
}

static void print_text(const struct ingest_report *r, const struct options *options) {
    for (size_t i = 0; options->verbose && i < r->library.count; i++) {
        const char *name = r->library.documents[i].name;
        char *safe = safe_text_of(name, strlen(name), SAFE_NAME);
        printf("%9llu tokens  %s\n", (unsigned long long)r->tokens[i], safe ? safe : "?");
        free(safe);
    }
    printf("%zu documents new, %zu changed, %zu unchanged; %llu tokens of text read in %.1f s\n",
           r->added, r->changed, r->unchanged, (unsigned long long)r->text_tokens, r->seconds);
}

/* A memory of fast weights cannot forget one text alone. */
static void tell_unlearned(const struct ingest_report *r, const struct options *options) {
    struct progress p;
    progress_init(&p, options);
    for (size_t i = 0; i < r->gone.count; i++) {
        progress_message(&p, "no longer there: %s", r->gone.items[i].name);
    }
    if (r->changed || r->gone.count) {
        progress_message(&p,
                         "the memory cannot unlearn what changed or went; allmem session update %s "
                         "makes it anew",
                         options->session);
    }
}

/* Exit status 3 when something could not be read; what is left out by rule is no failure. */
static int exit_code(const struct ingest_report *r) {
    for (size_t i = 0; i < r->library.skips.count; i++) {
        if (!r->library.skips.items[i].by_rule) {
            return ERROR_NOT_IN_SOURCES;
        }
    }
    return 0;
}

static bool paths_exist(char **paths, size_t count, struct error *error) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(paths[i], "-") != 0 && access(paths[i], F_OK) != 0) {
            return error_set(error, ERROR_NOT_FOUND, "%s: %s", paths[i], strerror(errno));
        }
    }
    return true;
}

static int report_run(const struct ingest_report *r, const struct workspace *w,
                      const struct options *options, struct error *error) {
    int code = 0;
    reading_report_skips(&r->library.skips, options);
    tell_unlearned(r, options);
    if (options->json) {
        code = print_json(r, w, error);
    } else {
        print_text(r, options);
    }
    return code ? code : exit_code(r);
}

/* No session is made for a path that is not there. */
static int read_in(const struct options *options, const struct ingest *ingest, char **paths,
                   size_t count, struct error *error) {
    struct workspace w = {0};
    struct shown shown = {.begin = progress_clock()};
    struct ingest_report report = {0};
    struct ingest_options o = options_of(ingest, &shown);
    progress_init(&shown.progress, options);
    bool ok = paths_exist(paths, count, error) &&
              workspace_open(&w, options, options->session, WORKSPACE_READ, NULL, error);
    shown.begin = progress_clock();
    ok = ok && workspace_ingest(&w, (const char *const *)paths, count, &o, &report, error);
    progress_end(&shown.progress);
    int code = ok ? report_run(&report, &w, options, error) : (int)error->code;
    if (code == ERROR_INTERRUPTED) {
        progress_message(&shown.progress, "%s", error->text);
    }
    ingest_report_finish(&report);
    workspace_close(&w);
    return code;
}

/* Tokens/s of a short read, for the estimate. */
static bool measure_speed(const struct options *options, struct loaded *loaded, double *speed,
                          size_t *state, struct error *error) {
    struct session_options so = session_options_of(options, loaded->engine);
    struct session *session = session_create(loaded->engine, &so, error);
    if (!session) {
        return false;
    }
    static const token filler[512];
    double begin = progress_clock();
    bool ok = session_append(session, filler, 512, NULL, error);
    *speed = 512 / (progress_clock() - begin);
    *state = session_state_bytes(session);
    session_destroy(session);
    return ok;
}

static int dry_run(const struct options *options, const struct ingest *ingest, char **paths,
                   size_t count, struct error *error) {
    struct shown unused = {0};
    struct ingest_options o = options_of(ingest, &unused);
    struct library library = {0};
    struct loaded loaded = {0};
    double speed = 0;
    size_t state = 0;
    bool ok = library_read(&library, (const char *const *)paths, count, &o.walk, error) &&
              load_engine(&loaded, options, true, error) &&
              measure_speed(options, &loaded, &speed, &state, error);
    uint64_t total = 0;
    for (size_t i = 0; ok && i < library.count; i++) {
        const struct document *d = &library.documents[i];
        size_t tokens =
            answer_token_cost((void *)engine_tokenizer(loaded.engine), d->text, d->size);
        char *name = safe_text_of(d->name, strlen(d->name), SAFE_NAME);
        printf("%9zu tokens  %s\n", tokens, name ? name : "?");
        free(name);
        total += tokens;
    }
    if (ok) {
        char size[PROGRESS_SIZE];
        reading_report_skips(&library.skips, options);
        printf("%9llu tokens in %zu documents, about %.0f s at %.0f tokens/s, %s of memory\n",
               (unsigned long long)total, library.count, (double)total / speed, speed,
               progress_bytes(state, size));
    }
    loaded_finish(&loaded);
    library_finish(&library);
    return ok ? 0 : (int)error->code;
}

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    const struct ingest_options standard = ingest_options_default();
    struct ingest ingest = {.ignore = true,
                            .marks = standard.marks.marks,
                            .marks_bytes = standard.marks.bytes,
                            .checkpoint = standard.checkpoint_seconds};
    const struct option table[] = {
        {.name = "dry-run", .kind = OPTION_FLAG, .value = &ingest.dry_run},
        {.name = "ignore", .kind = OPTION_FLAG, .value = &ingest.ignore},
        {.name = "include", .kind = OPTION_TEXTS, .value = &ingest.include},
        {.name = "exclude", .kind = OPTION_TEXTS, .value = &ingest.exclude},
        {.name = "marks", .kind = OPTION_COUNT, .value = &ingest.marks, .most = 1000},
        {.name = "marks-bytes", .kind = OPTION_BYTES, .value = &ingest.marks_bytes},
        {.name = "checkpoint-seconds",
         .kind = OPTION_REAL,
         .value = &ingest.checkpoint,
         .least = 0.01,
         .most = 30},
    };
    if (!options_read(table, sizeof table / sizeof *table, &argc, argv, error)) {
        return error->code;
    }
    if (!options->session && !ingest.dry_run) {
        error_set(error, ERROR_USAGE, "-s NAME is missing, expected: allmem %s",
                  command_ingest.usage);
        return ERROR_USAGE;
    }
    if (argc == 0 && ingest.dry_run) {
        error_set(error, ERROR_USAGE, "no path, expected: allmem %s", command_ingest.usage);
        return ERROR_USAGE;
    }
    return ingest.dry_run ? dry_run(options, &ingest, argv, (size_t)argc, error)
                          : read_in(options, &ingest, argv, (size_t)argc, error);
}

const struct command command_ingest = {
    .name = "ingest",
    .usage = "ingest -s NAME [--dry-run] [--include G] [--exclude G] [PATH|-]...",
    .summary = "read files and folders into a saved session",
    .help = "  -s, --session NAME the session; made if there is none\n"
            "  --dry-run          only show what would be read, and for how long\n"
            "  --include GLOB     only files like this; may be given more than once\n"
            "  --exclude GLOB     no files like this; may be given more than once\n"
            "  --no-ignore        in a git work tree, also what git ignores\n"
            "  --marks N          keep the memory at so many chapters, for ask --as-of (8)\n"
            "  --marks-bytes SIZE and in so many bytes (500M, 2G)\n"
            "  --checkpoint-seconds N  save the memory at least so often (20)\n"
            "Without a path it goes on with what an earlier run began.\n"
            "Exit status 3: something could not be read (each thing is listed).\n",
    .run = run,
};
