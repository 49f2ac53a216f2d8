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
#include "app/ingest_show.h"
#include "app/options.h"
#include "app/reading.h"
#include "app/safe_text.h"
#include "app/sources.h"
#include "engine/base/clock.h"

struct ingest {
    bool dry_run, ignore;
    struct option_texts include, exclude;
    uint64_t marks, marks_bytes;
    double checkpoint;
};

static struct ingest_options options_of(const struct options *options, const struct ingest *ingest,
                                        struct ingest_show *shown) {
    struct ingest_options o = ingest_options_default();
    o.walk.include = ingest->include.text;
    o.walk.include_count = ingest->include.count;
    o.walk.exclude = ingest->exclude.text;
    o.walk.exclude_count = ingest->exclude.count;
    o.walk.no_ignore = !ingest->ignore;
    o.marks = (struct store_budget){ingest->marks, ingest->marks_bytes};
    o.checkpoint_seconds = ingest->checkpoint;
    ingest_show_init(shown, options, &o);
    return o;
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

static bool paths_exist(char **paths, size_t count, struct error *error) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(paths[i], "-") != 0 && !source_is_url(paths[i]) && access(paths[i], F_OK) != 0) {
            return error_set(error, ERROR_NOT_FOUND, "%s: %s", paths[i], strerror(errno));
        }
    }
    return true;
}

/* No session is made for a path that is not there. */
static int read_in(const struct options *options, const struct ingest *ingest, char **paths,
                   size_t count, struct error *error) {
    struct workspace w = {0};
    struct ingest_show shown;
    struct ingest_report report = {0};
    struct ingest_options o = options_of(options, ingest, &shown);
    bool ok = paths_exist(paths, count, error) &&
              workspace_open(&w, options, options->session, WORKSPACE_READ, NULL, error);
    ok = ok && workspace_ingest(&w, (const char *const *)paths, count, &o, &report, error);
    progress_end(&shown.progress);
    int code = ok ? ingest_show_report(&report, options, NULL, error) : (int)error->code;
    if (ok) {
        tell_unlearned(&report, options);
    }
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
    double begin = clock_seconds();
    bool ok = session_append(session, filler, 512, NULL, error);
    *speed = 512 / (clock_seconds() - begin);
    *state = session_state_bytes(session);
    session_destroy(session);
    return ok;
}

static int dry_run(const struct options *options, const struct ingest *ingest, char **paths,
                   size_t count, struct error *error) {
    struct ingest_show unused;
    struct ingest_options o = options_of(options, ingest, &unused);
    struct library library = {0};
    struct loaded loaded = {0};
    double speed = 0;
    size_t state = 0;
    bool ok =
        sources_read(&library, (const char *const *)paths, count, &o.walk, o.offline, error) &&
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
    .usage = "ingest -s NAME [--dry-run] [--include G] [--exclude G] [PATH|URL|-]...",
    .summary = "read files, folders and web pages into a saved session",
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
