/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem finetune: trains an adapter for a model on texts, in two stages, within a budget of steps
 * or of time, measuring on parts that are set aside and keeping the best.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/corpus.h"
#include "app/interrupt.h"
#include "app/loading.h"
#include "app/options.h"
#include "app/training_files.h"
#include "engine/base/clock.h"

static const double CHECKPOINT_EVERY = 300; /* seconds */
static const double FIRST_STAGE = 0.3;      /* of the budget, where there are two */
enum { MEASURE_EVERY = 32, HELD_OUT_MOST = 4, DEFAULT_STEPS = 1000 };

/* The command's own options. */
struct wishes {
    const char *output, *from, *stage;
    uint64_t steps, seconds, length, width, chunk, sinks;
    double pause_after, rate, distill_rate;
    bool resume, far_start, kept, lengths;
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
    bool started;                   /* in an earlier sitting */
    double trained;                 /* seconds of this sitting in steps */
    uint64_t tokens;                /* that they read */
    const char *from;               /* an adapter to start from, or NULL */
    float *layer_errors;            /* [layers], or NULL yet */
    bool smoothed;                  /* there is an `error` */
    double error;                   /* or KL, of the last steps, smoothed */
};

static bool stop_reading(void *context) {
    (void)context;
    return interrupt_requested();
}

static double spent(const struct training *t) {
    return t->before + clock_seconds() - t->begin;
}

/* How far the schedule has come: by whichever budget ends first. */
static double schedule(const struct training *t) {
    const double by_steps = (double)finetune_steps(t->finetune) / (double)t->run.steps;
    const double by_time = t->run.seconds > 0 ? spent(t) / t->run.seconds : 0;
    return by_steps > by_time ? by_steps : by_time;
}

/* And within the stage. */
static double stage_schedule(const struct training *t) {
    const double share = t->run.share, whole = schedule(t);
    return finetune_stage(t->finetune) == FINETUNE_TRANSFER ? whole / share
                                                            : (whole - share) / (1 - share);
}

static void show_step(struct training *t, const struct finetune_sequence *s,
                      const struct finetune_result *r) {
    const uint64_t step = finetune_steps(t->finetune);
    const double done = (double)(step - t->first_step), each = t->trained / done;
    char figures[100];
    t->error = t->smoothed ? 0.9 * t->error + 0.1 * r->mean : r->mean;
    t->smoothed = true;
    if (r->errors) {
        float least = r->errors[0], most = r->errors[0];
        for (size_t l = 1; l < r->layers; l++) {
            least = fminf(least, r->errors[l]);
            most = fmaxf(most, r->errors[l]);
        }
        snprintf(figures, sizeof figures, "error %.3f (layers %.2f to %.2f; smoothed %.3f)",
                 r->mean, (double)least, (double)most, t->error);
    } else {
        snprintf(figures, sizeof figures, "KL %.4f (smoothed %.4f)", r->mean, t->error);
    }
    double left = (double)(t->run.steps - step) * each;
    if (t->run.seconds > 0 && t->run.seconds - spent(t) < left) {
        left = t->run.seconds - spent(t);
    }
    const unsigned seconds = left > 0 ? (unsigned)left : 0;
    progress_line(
        &t->progress, "step %llu/%llu, window %zu, %zu kept: %s, %.0f tokens/s, %u:%02u:%02u left",
        (unsigned long long)step, (unsigned long long)t->run.steps, s->window, s->keep, figures,
        (double)t->tokens / t->trained, seconds / 3600, seconds / 60 % 60, seconds % 60);
}

/* The i-th sequence of what is set aside, to be measured. */
static struct finetune_sequence held_out(struct training *t, size_t i, size_t of) {
    progress_line(&t->progress, "step %llu: measuring on what is set aside, %zu of %zu",
                  (unsigned long long)finetune_steps(t->finetune), i + 1, of);
    corpus_held_out(&t->corpus, i, of, t->ids);
    return finetune_trial(t->finetune, i, t->ids);
}

/* Of what is set aside: the error or KL, in the mean, and each layer's. */
static bool measure_held_out(struct training *t, struct finetune_result *sum, struct error *error) {
    const size_t of = corpus_held_out_count(&t->corpus, HELD_OUT_MOST);
    *sum = (struct finetune_result){0};
    for (size_t i = 0; i < of && !interrupt_requested(); i++) {
        const struct finetune_sequence s = held_out(t, i, of);
        const struct finetune_result r = finetune_measure(t->finetune, &s);
        if (!t->layer_errors && !(t->layer_errors = calloc(r.layers, sizeof *t->layer_errors))) {
            return error_set(error, ERROR_NO_SPACE, "out of memory");
        }
        sum->layers = r.layers;
        sum->mean += r.mean / (double)of;
        sum->errors = r.errors ? t->layer_errors : NULL;
        for (size_t l = 0; r.errors && l < r.layers; l++) {
            t->layer_errors[l] = (i ? t->layer_errors[l] : 0) + r.errors[l] / (float)of;
        }
    }
    return true;
}

/* Stage 2 is measured against what the window alone leaves, once. */
static bool measure_alone(struct training *t, struct error *error) {
    const size_t of = corpus_held_out_count(&t->corpus, HELD_OUT_MOST);
    struct finetune_result sum = {0};
    for (size_t i = 0; i < of && !interrupt_requested(); i++) {
        const struct finetune_sequence s = held_out(t, i, of);
        sum.mean += finetune_measure_alone(t->finetune, &s) / (double)of;
    }
    if (interrupt_requested()) {
        return true;
    }
    const struct finetune_sequence s = finetune_trial(t->finetune, 0, NULL);
    progress_message(&t->progress, "step %llu: held-out KL without an adapter %.5f",
                     (unsigned long long)finetune_steps(t->finetune), sum.mean);
    return training_log(&t->files, "window", t->finetune, spent(t), &s, &sum, error);
}

/* The figure on what is set aside; the adapter is written if there was none better. */
static bool measure(struct training *t, struct error *error) {
    struct finetune_result r;
    if (!measure_held_out(t, &r, error)) {
        return false;
    }
    if (interrupt_requested()) {
        return true;
    }
    const struct finetune_sequence s = finetune_trial(t->finetune, 0, NULL);
    const bool best = !(r.mean >= t->run.best) && isfinite(r.mean);
    t->run.best = best ? r.mean : t->run.best;
    progress_message(&t->progress, "step %llu: held-out %s %.5f%s",
                     (unsigned long long)finetune_steps(t->finetune), r.errors ? "error" : "KL",
                     r.mean, best ? "" : " (not the best)");
    for (size_t l = 0; t->options->verbose && r.errors && l < r.layers; l++) {
        progress_message(&t->progress, "  layer %zu: %.4f", l, (double)r.errors[l]);
    }
    return training_log(&t->files, "held-out", t->finetune, spent(t), &s, &r, error) &&
           (!best || training_save_adapter(&t->files, t->finetune, &t->run, &t->corpus, error));
}

static bool checkpoint(struct training *t, struct error *error) {
    t->run.spent = spent(t);
    t->checkpoint_at = clock_seconds() + CHECKPOINT_EVERY;
    return training_save_checkpoint(&t->files, t->finetune, &t->run, error);
}

static bool one_step(struct training *t, struct error *error) {
    const uint64_t step = finetune_steps(t->finetune);
    const struct finetune_sequence s = finetune_plan(t->finetune, step, t->ids);
    const double begin = clock_seconds();
    corpus_sequence(&t->corpus, t->options->seed, step, t->ids);
    const struct finetune_result r = finetune_step(t->finetune, &s, stage_schedule(t));
    t->trained += clock_seconds() - begin;
    t->tokens += s.length;
    show_step(t, &s, &r);
    return training_log(&t->files, "train", t->finetune, spent(t), &s, &r, error);
}

/* Stage 1 ends with its figure. */
static bool enter_distillation(struct training *t, struct error *error) {
    if (finetune_steps(t->finetune) > 0 && !measure(t, error)) {
        return false;
    }
    finetune_enter(t->finetune, FINETUNE_DISTILL);
    t->run.best = INFINITY; /* a KL is no error */
    t->smoothed = false;
    return measure_alone(t, error) && measure(t, error);
}

/* Before the first step. */
static bool start(struct training *t, struct error *error) {
    if (!t->from) {
        const struct finetune_sequence s = finetune_trial(t->finetune, 1, t->ids);
        corpus_sequence(&t->corpus, t->options->seed, 0, t->ids);
        finetune_calibrate(t->finetune, &s);
    }
    return t->run.share > 0 ? measure(t, error) : enter_distillation(t, error);
}

static bool second_stage_is_due(const struct training *t) {
    return finetune_stage(t->finetune) == FINETUNE_TRANSFER && t->run.share < 1 &&
           schedule(t) >= t->run.share;
}

/* Until the budget is spent, or for now: after --pause-after, or when the user interrupts. */
static bool train(struct training *t, struct error *error) {
    bool ok = t->started || start(t, error), measured = false, paused = false;
    while (ok && schedule(t) < 1 && !interrupt_requested() && !paused) {
        if (second_stage_is_due(t)) {
            ok = enter_distillation(t, error);
        }
        ok = ok && one_step(t, error);
        paused = clock_seconds() >= t->pause_at;
        measured = finetune_steps(t->finetune) % MEASURE_EVERY == 0;
        ok = ok && (!measured || measure(t, error));
        ok = ok && (clock_seconds() < t->checkpoint_at || checkpoint(t, error));
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
    o.rate = (float)w->rate;
    o.distill_rate = (float)w->distill_rate;
    o.kept = w->kept;
    o.lengths = w->lengths;
    o.distill = strcmp(w->stage, "1") != 0;
    o.far_start = w->far_start;
    o.seed = t->options->seed;
    return o;
}

/* The plan, and where an earlier sitting left off. */
static bool prepare_run(struct training *t, const struct wishes *w, struct error *error) {
    const bool both = strcmp(w->stage, "both") == 0;
    const double share = both ? (w->width ? FIRST_STAGE : 0) : w->stage[0] == '1';
    t->run = (struct finetune_run){.best = INFINITY, .share = share};
    if (!training_files_open(&t->files, w->output, w->resume, t->finetune, &t->run, error)) {
        return false;
    }
    if (w->resume && memcmp(t->run.texts, t->corpus.fingerprint, HASH_BYTES) != 0) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "checkpoint %s was made with other texts; give the same ones, in the "
                         "same order",
                         t->files.checkpoint);
    }
    if (t->run.share != share) {
        return error_set(error, ERROR_INCOMPATIBLE,
                         "checkpoint %s was made with another --stage than %s", t->files.checkpoint,
                         w->stage);
    }
    memcpy(t->run.texts, t->corpus.fingerprint, HASH_BYTES);
    if (w->steps || w->seconds || !w->resume) {
        t->run.seconds = (double)w->seconds;
        t->run.steps = w->steps ? w->steps : w->seconds ? UINT32_MAX : DEFAULT_STEPS;
    }
    progress_init(&t->progress, t->options);
    t->begin = clock_seconds();
    t->before = t->run.spent;
    t->first_step = finetune_steps(t->finetune);
    t->checkpoint_at = t->begin + CHECKPOINT_EVERY;
    t->pause_at = w->pause_after > 0 ? t->begin + w->pause_after : INFINITY;
    t->started = w->resume;
    t->from = w->from;
    if (w->from && !w->resume && !finetune_start_from(t->finetune, w->from, error)) {
        return false;
    }
    progress_message(&t->progress, "training takes %zu MB of memory",
                     finetune_bytes(t->finetune) / 1000000);
    return true;
}

static void report(const struct training *t) {
    printf("adapter %s: %zu parameters, %llu steps of %zu tokens, %.0f s, held-out %s %.4f",
           t->files.adapter, finetune_parameters(t->finetune),
           (unsigned long long)finetune_steps(t->finetune), t->corpus.length, spent(t),
           finetune_stage(t->finetune) == FINETUNE_TRANSFER ? "error" : "KL", t->run.best);
    if (t->trained > 0) {
        printf(", %.0f tokens/s", (double)t->tokens / t->trained);
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
    /* Texts first: importers are processes of their own, and a large one is slow to fork. */
    bool ok = corpus_read(&t->corpus, (const char *const *)argv, (size_t)argc,
                          engine_tokenizer(t->loaded.engine), w->length, stop_reading, error);
    t->finetune = ok ? finetune_create(t->loaded.engine, &o, error) : NULL;
    ok = t->finetune && prepare_run(t, w, error) && train(t, error);
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
                       .stage = "both",
                       .rate = (double)d.rate,
                       .distill_rate = (double)d.distill_rate,
                       .kept = d.kept,
                       .lengths = d.lengths,
                       .far_start = d.far_start};
    const struct option table[] = {
        {.name = "output", .letter = 'o', .kind = OPTION_TEXT, .value = &w.output},
        {.name = "steps", .kind = OPTION_COUNT, .value = &w.steps, .least = 1, .most = 1e9},
        {.name = "seconds", .kind = OPTION_COUNT, .value = &w.seconds, .least = 1, .most = 1e9},
        {.name = "pause-after", .kind = OPTION_REAL, .value = &w.pause_after, .most = 1e9},
        {.name = "resume", .kind = OPTION_FLAG, .value = &w.resume},
        {.name = "length", .kind = OPTION_COUNT, .value = &w.length, .least = 16, .most = 1 << 20},
        {.name = "width", .kind = OPTION_COUNT, .value = &w.width, .most = 1 << 14},
        {.name = "chunk", .kind = OPTION_COUNT, .value = &w.chunk, .least = 1, .most = 4096},
        {.name = "sinks", .kind = OPTION_COUNT, .value = &w.sinks, .most = 4096},
        {.name = "far-start", .kind = OPTION_FLAG, .value = &w.far_start},
        {.name = "stage", .kind = OPTION_CHOICE, .value = &w.stage, .choices = "1|2|both"},
        {.name = "from", .kind = OPTION_TEXT, .value = &w.from},
        {.name = "rate", .kind = OPTION_REAL, .value = &w.rate, .most = 1},
        {.name = "distill-rate", .kind = OPTION_REAL, .value = &w.distill_rate, .most = 1},
        {.name = "kept", .kind = OPTION_FLAG, .value = &w.kept},
        {.name = "lengths", .kind = OPTION_FLAG, .value = &w.lengths},
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
    free(t.layer_errors);
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
            "  --stage 1|2|both   layer by layer, end to end, or one after the other (both)\n"
            "  --from ADAPTER     start from the parameters of an adapter\n"
            "  --rate R           highest learning rate layer by layer (0.005)\n"
            "  --distill-rate R   and end to end (0.005)\n"
            "  --no-kept          never read with kept tokens; half of the sequences are\n"
            "  --no-lengths       no sequences of half the length; a quarter of them have it\n"
            "  --length L         tokens of a sequence (4096)\n"
            "  --width F          memory width (256); 0 trains the gate of merged tokens alone\n"
            "  --chunk C          tokens that are written at once (64)\n"
            "  --sinks S          first tokens that are always kept (4)\n"
            "  --no-far-start     start the maps at identity, not at the average far rotation\n",
    .run = run,
};
