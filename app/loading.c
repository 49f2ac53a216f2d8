/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading a model for a command, and watching it read.
 */
#include "app/loading.h"

#include <stdlib.h>
#include <string.h>

#include "app/interrupt.h"
#include "app/paths.h"
#include "engine/base/clock.h"

static void print_notice(void *context, const char *text) {
    (void)context;
    const struct options aloud = {0};
    struct progress progress;
    progress_init(&progress, &aloud);
    progress_message(&progress, "%s", text);
}

/* Where compiled shaders are kept, or NULL: they are made anew then. */
static char *cache_folder(void) {
    struct paths paths;
    struct error none;
    if (!paths_init(&paths, &none)) {
        return NULL;
    }
    char *folder = paths_make(paths.cache, &none) ? strdup(paths.cache) : NULL;
    paths_finish(&paths);
    return folder;
}

bool load_engine(struct loaded *loaded, const struct options *options, bool adapter,
                 struct error *error) {
    if (!model_choose(&loaded->choice, options->model, error)) {
        return false;
    }
    char *cache = strcmp(options->backend, "cpu") == 0 ? NULL : cache_folder();
    struct engine_options o = {.model = loaded->choice.path,
                               .adapter = adapter ? loaded->choice.adapter : NULL,
                               .backend = options->backend,
                               .threads = options->threads,
                               .device = options->device,
                               .cache = cache,
                               .timed = options->timed,
                               .notice = options->notice  ? options->notice
                                         : options->quiet ? NULL
                                                          : print_notice,
                               .notice_context = options->notice_context,
                               .details = options->verbose > 0};
    loaded->engine = engine_open(&o, error);
    free(cache);
    return loaded->engine != NULL;
}

void loaded_finish(struct loaded *loaded) {
    engine_close(loaded->engine);
    model_choice_finish(&loaded->choice);
    *loaded = (struct loaded){0};
}

struct session_options session_options_of(const struct options *options, const struct engine *e) {
    struct session_options o = session_defaults(e);
    if (options->window) {
        o.window = options->window;
    }
    if (options->keep == 0) { /* the memory stays as large: merged tokens get the places */
        o.merge += o.merge ? o.keep : 0;
    }
    if (options->keep >= 0) {
        o.keep = (uint32_t)options->keep;
    }
    if (options->merge >= 0) {
        o.merge = (uint32_t)options->merge;
    }
    return o;
}

struct sampler_options sampler_options_of(const struct options *options) {
    return (struct sampler_options){.temperature = options->temperature,
                                    .top_k = 40,
                                    .top_p = 0.95f,
                                    .min_p = 0.05f,
                                    .seed = options->seed};
}

static bool show_reading(void *context, size_t done, size_t total) {
    (void)total;
    struct reading_watch *w = context;
    size_t read = w->before + done;
    double elapsed = clock_seconds() - w->begin;
    double speed = elapsed > 0 ? (double)read / elapsed : 0;
    unsigned left = speed > 0 ? (unsigned)((double)(w->total - read) / speed + 0.5) : 0;
    progress_line(&w->progress, "%s: %zu %%, %.0f tokens/s, %u:%02u left", w->label,
                  100 * read / w->total, speed, left / 60, left % 60);
    return !interrupt_requested();
}

void reading_watch_init(struct reading_watch *w, const struct options *options, size_t total) {
    *w = (struct reading_watch){
        .watch = {show_reading, w}, .label = "reading", .begin = clock_seconds(), .total = total};
    progress_init(&w->progress, options);
}
