/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps, measurements on what is set aside, checkpoints, and the move from stage to stage.
 */
#include "app/training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/interrupt.h"
#include "engine/base/clock.h"

static const double CHECKPOINT_EVERY = 300; /* seconds */
enum { MEASURE_EVERY = 32, HELD_OUT_MOST = 4, SPREAD_SEQUENCES = 2 };

double training_spent(const struct training *t) {
    return t->before + clock_seconds() - t->begin;
}

double training_progress(const struct training *t) {
    const double by_steps = (double)finetune_steps(t->finetune) / (double)t->run.steps;
    const double by_time = t->run.seconds > 0 ? training_spent(t) / t->run.seconds : 0;
    return by_steps > by_time ? by_steps : by_time;
}

/* And within the stage. */
static double stage_progress(const struct training *t) {
    const double share = t->run.share, whole = training_progress(t);
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
    if (t->run.seconds > 0 && t->run.seconds - training_spent(t) < left) {
        left = t->run.seconds - training_spent(t);
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
    return training_log(&t->files, "window", t->finetune, training_spent(t), &s, &sum, error);
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
    return training_log(&t->files, "held-out", t->finetune, training_spent(t), &s, &r, error) &&
           (!best || training_save_adapter(&t->files, t->finetune, &t->run, &t->corpus, error));
}

static bool checkpoint(struct training *t, struct error *error) {
    t->run.spent = training_spent(t);
    t->checkpoint_at = clock_seconds() + CHECKPOINT_EVERY;
    return training_save_checkpoint(&t->files, t->finetune, &t->run, error);
}

static bool one_step(struct training *t, struct error *error) {
    const uint64_t step = finetune_steps(t->finetune);
    const struct finetune_sequence s = finetune_plan(t->finetune, step, t->ids);
    const double begin = clock_seconds();
    corpus_sequence(&t->corpus, t->options->seed, step, t->ids);
    const struct finetune_result r = finetune_step(t->finetune, &s, stage_progress(t));
    t->trained += clock_seconds() - begin;
    t->tokens += s.length;
    show_step(t, &s, &r);
    return training_log(&t->files, "train", t->finetune, training_spent(t), &s, &r, error);
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

static bool show_trial(void *context, size_t done, size_t of) {
    progress_line(context, "spreading tokens over the layers, pass %zu of %zu", done, of);
    return !interrupt_requested();
}

/* How many of the kept and merged tokens each layer has. */
static void spread(struct training *t) {
    const struct session_watch watch = {show_trial, &t->progress};
    for (size_t i = 0; i < SPREAD_SEQUENCES; i++) {
        const struct finetune_sequence s = finetune_trial(t->finetune, 1, t->ids);
        corpus_sequence(&t->corpus, t->options->seed, i, t->ids);
        if (!finetune_spread_try(t->finetune, &s, &watch)) {
            return;
        }
    }
    finetune_spread(t->finetune);
    char shares[400] = ""; /* few: neighbours share a group */
    for (uint32_t l = 0; l < engine_info(t->loaded.engine)->layers; l++) {
        const size_t n = strlen(shares);
        const float share = finetune_share(t->finetune, l);
        if (l == 0 || share != finetune_share(t->finetune, l - 1)) {
            snprintf(shares + n, sizeof shares - n, "%s %.2f from %u", l ? "," : "", (double)share,
                     l);
        }
    }
    progress_message(&t->progress, "shares of the layers:%s", shares);
}

/* Before the first step. */
static bool start(struct training *t, struct error *error) {
    if (!t->from) {
        const struct finetune_sequence s = finetune_trial(t->finetune, 1, t->ids);
        corpus_sequence(&t->corpus, t->options->seed, 0, t->ids);
        finetune_calibrate(t->finetune, &s);
    }
    if (t->spread) {
        spread(t);
    }
    return t->run.share > 0 ? measure(t, error) : enter_distillation(t, error);
}

static bool second_stage_is_due(const struct training *t) {
    return finetune_stage(t->finetune) == FINETUNE_TRANSFER && t->run.share < 1 &&
           training_progress(t) >= t->run.share;
}

/* Whoever stopped while tokens were being spread has that done again. */
static bool start_or_go_on(struct training *t, struct error *error) {
    t->checkpoint_at = clock_seconds() + CHECKPOINT_EVERY;
    if (!t->started) {
        return start(t, error);
    }
    if (t->spread && finetune_steps(t->finetune) == 0) {
        spread(t);
    }
    return true;
}

bool training_run(struct training *t, struct error *error) {
    bool ok = start_or_go_on(t, error), measured = false, paused = false;
    while (ok && training_progress(t) < 1 && !interrupt_requested() && !paused) {
        if (second_stage_is_due(t)) {
            ok = enter_distillation(t, error);
        }
        ok = ok && one_step(t, error);
        paused = clock_seconds() >= t->pause_at;
        measured = finetune_steps(t->finetune) % MEASURE_EVERY == 0;
        ok = ok && (!measured || measure(t, error));
        ok = ok && (clock_seconds() < t->checkpoint_at || checkpoint(t, error));
    }
    const bool finished = training_progress(t) >= 1;
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
