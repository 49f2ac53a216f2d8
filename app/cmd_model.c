/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem model: the models on this machine and those of the catalogue.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/catalogue.h"
#include "app/commands.h"
#include "app/files.h"
#include "app/interrupt.h"
#include "app/json.h"
#include "app/model_describe.h"
#include "app/model_get.h"
#include "app/models.h"
#include "app/options.h"
#include "app/paths.h"
#include "app/progress.h"
#include "app/safe_text.h"
#include "engine/base/clock.h"
#include "engine/base/hash.h"

/* Takes the sub-subcommand's own options and looks at how many words are left. */
static bool read_words(const struct option *table, size_t count, const char *usage, int least,
                       int most, int *argc, char **argv, struct error *error) {
    if (!options_read(table, count, argc, argv, error)) {
        return false;
    }
    if (*argc < least || *argc > most) {
        return error_set(error, ERROR_USAGE, "found %d arguments, expected: allmem model %s", *argc,
                         usage);
    }
    return true;
}

struct hashing {
    struct progress progress;
    const char *path;
};

static bool show_hashing(void *context, uint64_t done, uint64_t total) {
    struct hashing *h = context;
    progress_line(&h->progress, "checking %s: %" PRIu64 " %%", h->path, 100 * done / total);
    return !interrupt_requested();
}

/* SHA-256 of a file, with progress; stops when interrupted. */
static bool hash_file(const char *path, const struct options *options, char hex[HASH_HEX],
                      uint64_t *bytes, struct error *error) {
    struct hashing h = {.path = path};
    progress_init(&h.progress, options);
    bool ok = file_hash(path, show_hashing, &h, hex, bytes, error);
    progress_end(&h.progress);
    return ok;
}

static const struct installed_model *find_installed(const struct installed_models *list,
                                                    const char *name) {
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->models[i].name, name) == 0) {
            return &list->models[i];
        }
    }
    return NULL;
}

static json_t *list_json(const struct catalogue *catalogue, const struct installed_models *list) {
    json_t *installed = json_array(), *offered = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const struct installed_model *m = &list->models[i];
        json_array_append_new(
            installed, json_pack("{s:o, s:o, s:I, s:b, s:b, s:b, s:o, s:o}", "name",
                                 json_text(m->name), "path", json_text(m->path), "bytes",
                                 (json_int_t)m->bytes, "linked", m->linked, "there", m->there,
                                 "default", strcmp(m->name, catalogue->standard->name) == 0,
                                 "sha256", json_text(*m->record.sha256 ? m->record.sha256 : NULL),
                                 "source", json_text(*m->record.source ? m->record.source : NULL)));
    }
    for (size_t i = 0; i < catalogue->count; i++) {
        const struct catalogue_entry *e = &catalogue->entries[i];
        json_array_append_new(
            offered,
            json_pack("{s:s, s:s, s:I, s:s, s:o, s:b, s:b, s:b}", "name", e->name, "about",
                      e->about, "bytes", (json_int_t)e->bytes, "licence", e->licence, "sha256",
                      json_text(e->sha256), "adapter", e->adapter != NULL, "installed",
                      find_installed(list, e->name) != NULL, "default", e == catalogue->standard));
    }
    return json_pack("{s:o, s:o}", "installed", installed, "catalogue", offered);
}

static void list_text(const struct catalogue *catalogue, const struct installed_models *list) {
    char size[PROGRESS_SIZE];
    printf("On this machine:\n");
    for (size_t i = 0; i < list->count; i++) {
        const struct installed_model *m = &list->models[i];
        printf("  %-30s %8s%s%s%s%s\n", m->name, m->there ? progress_bytes(m->bytes, size) : "gone",
               m->linked ? "  " : "", m->linked ? m->path : "",
               *m->record.sha256 && !m->record.pinned && !m->linked ? "  trusted on first use" : "",
               strcmp(m->name, catalogue->standard->name) == 0 ? "  (default)" : "");
    }
    if (list->count == 0) {
        printf("  none; allmem model get fetches the default model\n");
    }
    printf("\nTo fetch with allmem model get NAME:\n");
    for (size_t i = 0; i < catalogue->count; i++) {
        const struct catalogue_entry *e = &catalogue->entries[i];
        if (!find_installed(list, e->name)) {
            printf("  %-30s %8s  %s%s%s%s\n", e->name, progress_bytes(e->bytes, size), e->licence,
                   e->adapter ? "  with adapter" : "",
                   e->sha256 ? "" : "  no known hash: trusted on first use",
                   e == catalogue->standard ? "  (default)" : "");
        }
    }
}

static int run_list(const struct options *options, int argc, char **argv, struct error *error) {
    struct catalogue catalogue;
    struct installed_models list;
    if (!read_words(NULL, 0, "list", 0, 0, &argc, argv, error) ||
        !catalogue_open(&catalogue, error)) {
        return error->code;
    }
    int code = 0;
    if (!installed_models_read(&list, error)) {
        code = error->code;
    } else if (options->json) {
        code = json_print(list_json(&catalogue, &list), error);
    } else {
        list_text(&catalogue, &list);
    }
    installed_models_finish(&list);
    catalogue_finish(&catalogue);
    return code;
}

static int run_add(const struct options *options, int argc, char **argv, struct error *error) {
    const char *name = NULL;
    const struct option own[] = {{.name = "name", .kind = OPTION_TEXT, .value = &name}};
    struct model_record record = {0};
    struct model_description description;
    char from_path[PATHS_NAME_MAX + 1];
    if (!read_words(own, 1, "add PATH [--name NAME]", 1, 1, &argc, argv, error) ||
        (!name && !model_name_of(argv[0], from_path, error)) ||
        !model_describe(&description, argv[0], error) ||
        !hash_file(argv[0], options, record.sha256, &record.bytes, error)) {
        return error->code;
    }
    name = name ? name : from_path;
    char *full = realpath(argv[0], NULL);
    snprintf(record.source, sizeof record.source, "%s", full ? full : argv[0]);
    free(full);
    if (!model_link(name, argv[0], error) || !model_record_save(name, &record, error)) {
        return error->code;
    }
    struct progress progress;
    progress_init(&progress, options);
    progress_message(&progress, "%s uses %s in place", name, record.source);
    if (*description.refusal) {
        progress_message(&progress, "note: it cannot run here: %s", description.refusal);
    }
    return 0;
}

static int run_rm(const struct options *options, int argc, char **argv, struct error *error) {
    (void)options;
    if (!read_words(NULL, 0, "rm NAME...", 1, 1000, &argc, argv, error)) {
        return error->code;
    }
    for (int i = 0; i < argc; i++) {
        if (!model_remove(argv[i], error)) {
            return error->code;
        }
    }
    return 0;
}

static bool verify_one(const struct options *options, const char *name, struct error *error) {
    struct model_choice choice;
    if (!model_choose(&choice, name, error)) {
        return false;
    }
    char wanted[HASH_HEX], found[HASH_HEX];
    uint64_t bytes;
    bool ok = model_known_hash(choice.name, wanted, error) &&
              hash_file(choice.path, options, found, &bytes, error);
    if (ok && *wanted && strcmp(wanted, found) != 0) {
        ok = error_set(error, ERROR_CHECKSUM, "%s: the SHA-256 is %s, expected %s", choice.path,
                       found, wanted);
    } else if (ok) {
        printf("%s  %s%s\n", found, choice.name, *wanted ? "" : "  (nothing to compare with)");
    }
    model_choice_finish(&choice);
    return ok;
}

static int run_verify(const struct options *options, int argc, char **argv, struct error *error) {
    if (!read_words(NULL, 0, "verify [NAME...]", 0, 1000, &argc, argv, error)) {
        return error->code;
    }
    int code = 0;
    struct installed_models list = {0};
    if (argc == 0 && !installed_models_read(&list, error)) {
        return error->code;
    }
    int count = argc > 0 ? argc : (int)list.count;
    for (int i = 0; i < count && code == 0; i++) {
        code =
            verify_one(options, argc > 0 ? argv[i] : list.models[i].name, error) ? 0 : error->code;
    }
    installed_models_finish(&list);
    return code;
}

static json_t *show_json(const struct model_choice *choice, const struct model_description *d,
                         const struct model_record *record) {
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:b, s:o, s:o, s:o, s:o}",
        "name", json_text(choice->name), "path", json_text(choice->path), "title",
        json_text(d->name), "architecture", json_text(d->architecture), "type", d->type, "bytes",
        (json_int_t)d->bytes, "parameters", (json_int_t)d->parameters, "context",
        (json_int_t)d->context, "layers", (json_int_t)d->layers, "width", (json_int_t)d->width,
        "vocabulary", (json_int_t)d->vocabulary, "licence", json_text(d->licence), "chat_template",
        d->chat_template, "adapter", json_text(choice->adapter), "refusal",
        json_text(*d->refusal ? d->refusal : NULL), "sha256",
        json_text(*record->sha256 ? record->sha256 : NULL), "source",
        json_text(*record->source ? record->source : NULL));
}

/* What is printed may come from the file. */
static void show_line(const char *label, const char *text) {
    char *safe = safe_text_of(text, strlen(text), SAFE_NAME);
    printf("%-13s %s\n", label, !safe ? "out of memory" : *safe ? safe : "not said");
    free(safe);
}

static void show_text(const struct model_choice *choice, const struct model_description *d,
                      const struct model_record *record) {
    char line[256], size[PROGRESS_SIZE];
    show_line("model", choice->name);
    show_line("title", d->name);
    show_line("file", choice->path);
    snprintf(line, sizeof line, "%s, %.4g million parameters, mostly %s, %" PRIu64 " layers",
             d->architecture, (double)d->parameters / 1e6, d->type, d->layers);
    show_line("architecture", line);
    snprintf(line, sizeof line, "%s (%" PRIu64 " bytes)", progress_bytes(d->bytes, size), d->bytes);
    show_line("size", line);
    snprintf(line, sizeof line, "%" PRIu64 " tokens", d->context);
    show_line("context", d->context ? line : "");
    show_line("licence", d->licence);
    show_line("chat template", d->chat_template ? "yes" : "no");
    show_line("adapter", choice->adapter ? choice->adapter
                                         : "none: window, sinks, kept tokens and the store only "
                                           "(allmem finetune makes one)");
    show_line("runs here", *d->refusal ? d->refusal : "yes");
    if (*record->sha256) {
        snprintf(line, sizeof line, "%s%s", record->sha256,
                 record->pinned ? "" : " (trusted on first use)");
        show_line("SHA-256", line);
        show_line("source", record->source);
    }
}

/* ---- get ---- */

struct getting {
    struct progress progress;
    const char *what;
    double started;
    uint64_t started_at; /* bytes that an earlier run left */
    bool measuring;
};

static void on_progress(void *context, uint64_t done, uint64_t total) {
    struct getting *g = context;
    char have[PROGRESS_SIZE], all[PROGRESS_SIZE], speed[PROGRESS_SIZE];
    double now = clock_seconds(), seconds = now - g->started;
    if (done == 0) {
        progress_line(&g->progress, "fetching %s ... %.0f s", g->what, seconds);
        return;
    }
    if (!g->measuring) {
        g->measuring = true;
        g->started = now;
        g->started_at = done;
        return;
    }
    double rate = seconds > 0 ? (double)(done - g->started_at) / seconds : 0;
    progress_bytes(done, have);
    progress_bytes((unsigned long long)rate, speed);
    if (total > 0 && rate > 0) {
        progress_line(&g->progress, "fetching %s: %.0f %%, %s of %s, %s/s, %.0f s left", g->what,
                      100.0 * (double)done / (double)total, have, progress_bytes(total, all), speed,
                      (double)(total - done) / rate);
    } else {
        progress_line(&g->progress, "fetching %s: %s, %s/s", g->what, have, speed);
    }
}

static void on_message(void *context, const char *text) {
    struct getting *g = context;
    progress_message(&g->progress, "%s", text);
}

static bool on_stop(void *context) {
    (void)context;
    return interrupt_requested();
}

static void say_what_came(const struct model_got *got, struct getting *g) {
    const struct model_description *d = &got->description;
    char size[PROGRESS_SIZE];
    progress_message(&g->progress, "%s %s: %s, %.4g million parameters, %s, %s, licence %s",
                     got->name, got->already ? "is there already" : "is here", d->architecture,
                     (double)d->parameters / 1e6, d->type, progress_bytes(d->bytes, size),
                     *d->licence ? d->licence : "not said");
    if (!got->already && got->trusted) {
        progress_message(&g->progress,
                         "nobody had told its SHA-256 before; trusted from now on: %s",
                         got->sha256);
    }
    if (*d->refusal) {
        progress_message(&g->progress, "note: it cannot run here: %s", d->refusal);
    }
}

static int run_get(const struct options *options, int argc, char **argv, struct error *error) {
    struct getting g = {.started = clock_seconds(), .what = "the default model"};
    struct model_get get = {.offline = options->offline,
                            .watch = {&g, on_progress, on_message, on_stop}};
    const struct option own[] = {
        {.name = "sha256", .kind = OPTION_TEXT, .value = &get.sha256},
        {.name = "name", .kind = OPTION_TEXT, .value = &get.name},
    };
    if (!read_words(own, 2, "get [URL|NAME] [--sha256 HEX] [--name NAME]", 0, 1, &argc, argv,
                    error)) {
        return error->code;
    }
    get.what = argc > 0 ? argv[0] : NULL;
    g.what = argc > 0 ? argv[0] : g.what;
    progress_init(&g.progress, options);
    struct model_got got;
    bool ok = model_get(&get, &got, error);
    progress_end(&g.progress);
    if (!ok) {
        return error->code;
    }
    say_what_came(&got, &g);
    return 0;
}

static int run_show(const struct options *options, int argc, char **argv, struct error *error) {
    if (!read_words(NULL, 0, "show [NAME|PATH]", 0, 1, &argc, argv, error)) {
        return error->code;
    }
    struct model_choice choice;
    struct model_description d;
    struct model_record record;
    if (!model_choose(&choice, argc > 0 ? argv[0] : options->model, error)) {
        return error->code;
    }
    int code = 0;
    if (!model_describe(&d, choice.path, error)) {
        code = error->code;
    } else {
        model_record_read(choice.name, &record);
        if (options->json) {
            code = json_print(show_json(&choice, &d, &record), error);
        } else {
            show_text(&choice, &d, &record);
        }
    }
    model_choice_finish(&choice);
    return code;
}

static const struct {
    const char *name;
    int (*run)(const struct options *options, int argc, char **argv, struct error *error);
} actions[] = {
    {"add", run_add}, {"get", run_get},   {"list", run_list},
    {"rm", run_rm},   {"show", run_show}, {"verify", run_verify},
};

static int run_model(const struct options *options, int argc, char **argv, struct error *error) {
    if (argc > 0) {
        for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
            if (strcmp(argv[0], actions[i].name) == 0) {
                return actions[i].run(options, argc - 1, argv + 1, error);
            }
        }
        error_set(error, ERROR_USAGE, "found '%s', expected: allmem %s", argv[0],
                  command_model.usage);
    } else {
        error_set(error, ERROR_USAGE, "expected: allmem %s", command_model.usage);
    }
    return ERROR_USAGE;
}

const struct command command_model = {
    .name = "model",
    .usage = "model get|add|list|show|verify|rm ...",
    .summary = "fetch, list and check models",
    .help = "  get [URL|NAME] [--sha256 HEX] [--name NAME]\n"
            "                           fetch a model; without a name, the default one\n"
            "  add PATH [--name NAME]   use a GGUF file where it is\n"
            "  list                     models here and in the catalogue\n"
            "  show [NAME|PATH]         what a model is, and whether it runs here\n"
            "  verify [NAME...]         compare with the SHA-256 that they had\n"
            "  rm NAME...               remove from this machine (a file used in place stays)\n",
    .run = run_model,
};
