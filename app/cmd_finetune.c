/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem finetune: trains an adapter for a model on texts. Options, the texts, and the plan of a
 * run (training.h).
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
#include "app/training.h"
#include "engine/base/clock.h"

static const double FIRST_STAGE = 0.3; /* of the budget, where there are two */
enum { DEFAULT_STEPS = 1000 };

/* The command's own options. */
struct wishes {
    const char *output, *from, *stage;
    uint64_t steps, seconds, length, width, chunk, sinks;
    double pause_after, rate, distill_rate;
    bool resume, far_start, kept, lengths, spread;
};

static bool stop_reading(void *context) {
    (void)context;
    return interrupt_requested();
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
    t->pause_at = w->pause_after > 0 ? t->begin + w->pause_after : INFINITY;
    t->started = w->resume;
    t->from = w->from;
    t->spread = w->spread;
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
           (unsigned long long)finetune_steps(t->finetune), t->corpus.length, training_spent(t),
           finetune_stage(t->finetune) == FINETUNE_TRANSFER ? "error" : "KL", t->run.best);
    if (t->trained > 0) {
        printf(", %.0f tokens/s", (double)t->tokens / t->trained);
    }
    if (finetune_skipped(t->finetune)) {
        printf(", %llu updates skipped", (unsigned long long)finetune_skipped(t->finetune));
    }
    printf("%s\n", training_progress(t) < 1 ? " (not finished; --resume goes on)" : "");
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
    ok = t->finetune && prepare_run(t, w, error) && training_run(t, error);
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
        {.name = "spread", .kind = OPTION_FLAG, .value = &w.spread},
    };
    if (!options_read(table, sizeof table / sizeof *table, &argc, argv, error)) {
        return error->code;
    }
    if (argc == 0 || !w.output) {
        error_set(error, ERROR_USAGE, "%s, expected: allmem %s",
                  argc ? "-o is missing" : "no texts to train on", command_finetune.usage);
        return ERROR_USAGE;
    }
    if (w.spread && strcmp(w.stage, "1") == 0) {
        error_set(error, ERROR_USAGE,
                  "--spread with --stage 1: shares are found by what stage 2 measures");
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
            "  --spread           first find how many tokens each layer should keep and merge\n"
            "  --no-kept          never read with kept tokens; two of three sequences are\n"
            "  --no-lengths       no sequences of half the length; a quarter of them have it\n"
            "  --length L         tokens of a sequence (4096)\n"
            "  --width F          memory width (256); 0 trains the gate of merged tokens alone\n"
            "  --chunk C          tokens that are written at once (64)\n"
            "  --sinks S          first tokens that are always kept (4)\n"
            "  --no-far-start     start the maps at identity, not at the average far rotation\n",
    .run = run,
};
