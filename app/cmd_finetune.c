/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem finetune: trains an adapter for a model on texts, within a budget of steps or of time,
 * measuring on parts that are set aside and keeping the best.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/corpus.h"
#include "app/interrupt.h"
#include "app/loading.h"
#include "app/options.h"
#include "app/training_files.h"

static const double CHECKPOINT_EVERY = 300; /* seconds */
enum { MEASURE_EVERY = 32, HELD_OUT_MOST = 4, DEFAULT_STEPS = 1000 };

/* The command's own options. */
struct wishes {
    const char *output;
    uint64_t steps, seconds, length, width, chunk, sinks;
    double pause_after;
    bool resume, far_start;
};

struct training {
    const struct options *options;
    struct loaded loaded;
    struct corpus corpus;
    struct finetune *finetune;
    struct finetune_run run;
    struct training_files files;
    struct progress progress;
    token *ids;                     /* [length] */
    double begin, before;           /* clock at the start; seconds spent before it */
    double pause_at, checkpoint_at; /* clock */
    uint64_t first_step;            /* of this sitting */
    bool calibrated;                /* in an earlier sitting */
    double trained;                 /* seconds of this sitting in steps */
    double error;                   /* of the last steps, smoothed */
};

static bool stop_reading(void *context) {
    (void)context;
    return interrupt_requested();
}

static double spent(const struct training *t) {
    return t->before + progress_clock() - t->begin;
}

/* How far the schedule has come: by whichever budget ends first. */
static double schedule(const struct training *t) {
    const double by_steps = (double)finetune_steps(t->finetune) / (double)t->run.steps;
    const double by_time = t->run.seconds > 0 ? spent(t) / t->run.seconds : 0;
    return by_steps > by_time ? by_steps : by_time;
}

static void show_step(struct training *t, size_t window, const struct finetune_result *r) {
    const uint64_t step = finetune_steps(t->finetune);
    const double done = (double)(step - t->first_step), each = t->trained / done;
    float least = r->errors[0], most = r->errors[0];
    for (size_t l = 1; l < r->layers; l++) {
        least = fminf(least, r->errors[l]);
        most = fmaxf(most, r->errors[l]);
    }
    double left = (double)(t->run.steps - step) * each;
    if (t->run.seconds > 0 && t->run.seconds - spent(t) < left) {
        left = t->run.seconds - spent(t);
    }
    const unsigned seconds = left > 0 ? (unsigned)left : 0;
    t->error = done > 1 ? 0.9 * t->error + 0.1 * r->mean : r->mean;
    progress_line(&t->progress,
                  "step %llu/%llu, window %zu: error %.3f (layers %.2f to %.2f; smoothed %.3f), "
                  "%.0f tokens/s, %u:%02u:%02u left",
                  (unsigned long long)step, (unsigned long long)t->run.steps, window, r->mean,
                  (double)least, (double)most, t->error, (double)t->corpus.length / each,
                  seconds / 3600, seconds / 60 % 60, seconds % 60);
}

/* The error on what is set aside; the adapter is written if there was none better. */
static bool measure(struct training *t, struct error *error) {
    const size_t of = corpus_held_out_count(&t->corpus, HELD_OUT_MOST);
    const size_t window = finetune_window(t->finetune, 1);
    float *sums = NULL;
    struct finetune_result r = {0};
    double mean = 0;
    for (size_t i = 0; i < of && !interrupt_requested(); i++) {
        corpus_held_out(&t->corpus, i, of, t->ids);
        r = finetune_measure(t->finetune, t->ids, window);
        if (!sums && !(sums = calloc(r.layers, sizeof *sums))) {
            return error_set(error, ERROR_NO_SPACE, "out of memory");
        }
        mean += r.mean / (double)of;
        for (size_t l = 0; l < r.layers; l++) {
            sums[l] += r.errors[l] / (float)of;
        }
    }
    bool ok = true;
    if (!interrupt_requested()) {
        const uint64_t step = finetune_steps(t->finetune);
        r.errors = sums;
        r.mean = mean;
        const bool best = !(mean >= t->run.best) && isfinite(mean);
        t->run.best = best ? mean : t->run.best;
        progress_message(&t->progress, "step %llu: held-out error %.4f%s", (unsigned long long)step,
                         mean, best ? "" : " (not the best)");
        for (size_t l = 0; t->options->verbose && l < r.layers; l++) {
            progress_message(&t->progress, "  layer %zu: %.4f", l, (double)sums[l]);
        }
        ok = training_log(&t->files, "held-out", step, spent(t), window, &r, error) &&
             (!best || training_save_adapter(&t->files, t->finetune, &t->run, &t->corpus, error));
    }
    free(sums);
    return ok;
}

static bool checkpoint(struct training *t, struct error *error) {
    t->run.spent = spent(t);
    t->checkpoint_at = progress_clock() + CHECKPOINT_EVERY;
    return training_save_checkpoint(&t->files, t->finetune, &t->run, error);
}

static bool one_step(struct training *t, struct error *error) {
    const uint64_t step = finetune_steps(t->finetune), seed = t->options->seed;
    const size_t window = finetune_window(t->finetune, corpus_choice(seed, step, FINETUNE_WINDOWS));
    const double begin = progress_clock();
    corpus_sequence(&t->corpus, seed, step, t->ids);
    const struct finetune_result r = finetune_step(t->finetune, t->ids, window, schedule(t));
    t->trained += progress_clock() - begin;
    show_step(t, window, &r);
    return training_log(&t->files, "train", step + 1, spent(t), window, &r, error);
}

/* Until the budget is spent, or for now: after --pause-after, or when the user interrupts. */
static bool train(struct training *t, struct error *error) {
    bool ok = true, measured = false, paused = false;
    if (!t->calibrated) {
        corpus_sequence(&t->corpus, t->options->seed, 0, t->ids);
        finetune_calibrate(t->finetune, t->ids, finetune_window(t->finetune, 1));
        ok = measure(t, error);
    }
    while (ok && schedule(t) < 1 && !interrupt_requested() && !paused) {
        ok = one_step(t, error);
        paused = progress_clock() >= t->pause_at;
        measured = finetune_steps(t->finetune) % MEASURE_EVERY == 0;
        ok = ok && (!measured || measure(t, error));
        ok = ok && (progress_clock() < t->checkpoint_at || checkpoint(t, error));
    }
    const bool finished = schedule(t) >= 1;
    ok = ok && (!finished || measured || measure(t, error)) && checkpoint(t, error);
    progress_end(&t->progress);
    if (ok && interrupt_requested()) {
        progress_message(&t->progress, "stopped after %llu steps; %s %s, --resume goes on",
                         (unsigned long long)finetune_steps(t->finetune), t->files.adapter,
                         isfinite(t->run.best) ? "is the best so far" : "is not there yet");
        return interrupt_error(error);
    }
    return ok;
}

static struct finetune_options options_of(const struct training *t, const struct wishes *w) {
    struct finetune_options o = finetune_defaults();
    o.length = (uint32_t)w->length;
    o.width = (uint32_t)w->width;
    o.chunk = (uint32_t)w->chunk;
    o.sinks = (uint32_t)w->sinks;
    o.far_start = w->far_start;
    o.seed = t->options->seed;
    return o;
}

/* The plan, and where an earlier sitting left off. */
static bool prepare_run(struct training *t, const struct wishes *w, struct error *error) {
    t->run = (struct finetune_run){.best = INFINITY};
    if (!training_files_open(&t->files, w->output, w->resume, t->finetune, &t->run, error)) {
        return false;
    }
    if (w->resume && memcmp(t->run.texts, t->corpus.fingerprint, HASH_BYTES) != 0) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "checkpoint %s was made with other texts; give the same ones, in the "
                         "same order",
                         t->files.checkpoint);
    }
    memcpy(t->run.texts, t->corpus.fingerprint, HASH_BYTES);
    if (w->steps || w->seconds || !w->resume) {
        t->run.seconds = (double)w->seconds;
        t->run.steps = w->steps ? w->steps : w->seconds ? UINT32_MAX : DEFAULT_STEPS;
    }
    progress_init(&t->progress, t->options);
    t->begin = progress_clock();
    t->before = t->run.spent;
    t->first_step = finetune_steps(t->finetune);
    t->checkpoint_at = t->begin + CHECKPOINT_EVERY;
    t->pause_at = w->pause_after > 0 ? t->begin + w->pause_after : INFINITY;
    t->calibrated = w->resume;
    return true;
}

static void report(const struct training *t) {
    printf("adapter %s: %zu parameters, %llu steps of %zu tokens, %.0f s, held-out error %.4f",
           t->files.adapter, finetune_parameters(t->finetune),
           (unsigned long long)finetune_steps(t->finetune), t->corpus.length, spent(t),
           t->run.best);
    if (t->trained > 0) {
        printf(", %.0f tokens/s",
               (double)((finetune_steps(t->finetune) - t->first_step) * t->corpus.length) /
                   t->trained);
    }
    if (finetune_skipped(t->finetune)) {
        printf(", %llu updates skipped", (unsigned long long)finetune_skipped(t->finetune));
    }
    printf("%s\n", schedule(t) < 1 ? " (not finished; --resume goes on)" : "");
}

static bool finetune_texts(struct training *t, const struct wishes *w, int argc, char **argv,
                           struct error *error) {
    struct options cpu = *t->options;
    cpu.backend = "cpu";
    cpu.device = 0;
    t->ids = calloc(w->length, sizeof *t->ids);
    if (!t->ids) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    if (!load_engine(&t->loaded, &cpu, false, error)) {
        return false;
    }
    const struct finetune_options o = options_of(t, w);
    t->finetune = finetune_create(t->loaded.engine, &o, error);
    bool ok = t->finetune &&
              corpus_read(&t->corpus, (const char *const *)argv, (size_t)argc,
                          engine_tokenizer(t->loaded.engine), w->length, stop_reading, error) &&
              prepare_run(t, w, error) && train(t, error);
    if (ok) {
        report(t);
    }
    return ok;
}

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    const struct finetune_options d = finetune_defaults();
    struct wishes w = {.length = d.length,
                       .width = d.width,
                       .chunk = d.chunk,
                       .sinks = d.sinks,
                       .far_start = d.far_start};
    const struct option table[] = {
        {.name = "output", .letter = 'o', .kind = OPTION_TEXT, .value = &w.output},
        {.name = "steps", .kind = OPTION_COUNT, .value = &w.steps, .least = 1, .most = 1e9},
        {.name = "seconds", .kind = OPTION_COUNT, .value = &w.seconds, .least = 1, .most = 1e9},
        {.name = "pause-after", .kind = OPTION_REAL, .value = &w.pause_after, .most = 1e9},
        {.name = "resume", .kind = OPTION_FLAG, .value = &w.resume},
        {.name = "length", .kind = OPTION_COUNT, .value = &w.length, .least = 16, .most = 1 << 20},
        {.name = "width", .kind = OPTION_COUNT, .value = &w.width, .least = 16, .most = 1 << 14},
        {.name = "chunk", .kind = OPTION_COUNT, .value = &w.chunk, .least = 1, .most = 4096},
        {.name = "sinks", .kind = OPTION_COUNT, .value = &w.sinks, .most = 4096},
        {.name = "far-start", .kind = OPTION_FLAG, .value = &w.far_start},
    };
    if (!options_read(table, sizeof table / sizeof *table, &argc, argv, error)) {
        return error->code;
    }
    if (argc == 0 || !w.output) {
        error_set(error, ERROR_USAGE, "%s, expected: allmem %s",
                  argc ? "-o is missing" : "no texts to train on", command_finetune.usage);
        return ERROR_USAGE;
    }
    struct training t = {.options = options};
    const bool ok = finetune_texts(&t, &w, argc, argv, error);
    training_files_close(&t.files);
    finetune_destroy(t.finetune);
    corpus_finish(&t.corpus);
    loaded_finish(&t.loaded);
    free(t.ids);
    return ok ? 0 : error->code;
}

const struct command command_finetune = {
    .name = "finetune",
    .usage = "finetune [-m MODEL] -o ADAPTER [--steps N] [--seconds N] [--resume] TEXT...",
    .summary = "train a model's memory on texts of your own",
    .help = "  -o, --output FILE  the adapter; FILE.checkpoint and FILE.tsv stand beside it\n"
            "  --steps N          sequences to train on (1000)\n"
            "  --seconds N        time to train for, over all sittings\n"
            "  --pause-after S    stop for now after S seconds; --resume goes on\n"
            "  --resume           continue from the checkpoint\n"
            "  --length L         tokens of a sequence (4096)\n"
            "  --width F          memory width (256)\n"
            "  --chunk C          tokens that are written at once (64)\n"
            "  --sinks S          first tokens that are always kept (4)\n"
            "  --far-start        start the maps at the average far rotation, not at identity\n",
    .run = run,
};
