/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps of training: which stage does them, at which learning rate, and how sequences are read.
 */
#include "engine/finetune/finetune.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "engine/finetune/finetune_private.h"
#include "engine/finetune/start.h"

static const double WARM_UP = 8;       /* steps */
static const double LEAST_RATE = 0.05; /* share of the highest, at the end */

void finetune_shape_layers(struct finetune *f, const struct finetune_sequence *s) {
    const struct window_shape mean = window_pass_shape(
        &f->engine->model.config, s->window, f->shape.chunk, f->shape.sinks, s->keep, s->merge);
    assert(s->length <= f->options.length && s->window <= f->most.window);
    for (size_t l = 0; l < f->layers; l++) {
        f->windows[l] = window_of_layer(&mean, f->shares[l]);
        assert(f->windows[l].keep <= f->most.keep && f->windows[l].merge <= f->most.merge &&
               window_pass_first(&f->windows[l], s->length) < s->length);
    }
}

static size_t window_of(const struct finetune *f, size_t length, size_t i) {
    const size_t share = length >> (4 - i), C = f->options.chunk;
    return share / C * C;
}

size_t finetune_window(const struct finetune *f, size_t i) {
    return window_of(f, f->options.length, i);
}

/* Not so many that a layer with the largest share would write nothing. */
static size_t twice(size_t length, size_t window) {
    return 2 * window <= length / 4 ? 2 * window : window;
}

size_t finetune_merge(const struct finetune *f, size_t many) {
    return f->options.width ? 0 : many < WINDOW_MAX_MERGE ? many : WINDOW_MAX_MERGE;
}

struct finetune_sequence finetune_plan(const struct finetune *f, uint64_t step, const token *ids) {
    const size_t C = f->options.chunk, half = f->options.length / 2 / C * C;
    uint64_t random = f->options.seed ^ step << 20;
    struct finetune_sequence s = {.ids = ids, .length = f->options.length};
    if (random_next(&random) % 4 == 0 && f->options.lengths && half >= 16 * C) {
        s.length = half;
    }
    s.window = window_of(f, s.length, random_next(&random) % FINETUNE_WINDOWS);
    const size_t many = twice(s.length, s.window), keep[] = {0, s.window, many};
    s.keep = f->options.kept ? keep[random_next(&random) % (sizeof keep / sizeof *keep)] : 0;
    const size_t merge[] = {s.window / 2, many};
    s.merge = finetune_merge(f, merge[s.keep == 0 && random_next(&random) % 2]);
    return s;
}

struct finetune_sequence finetune_trial(const struct finetune *f, size_t i, const token *ids) {
    const size_t length = f->options.length, window = finetune_window(f, 1);
    const size_t many = twice(length, window), keep = i % 2 && f->options.kept ? many : 0;
    return (struct finetune_sequence){ids, length, window, keep,
                                      finetune_merge(f, keep ? window / 2 : many)};
}

static struct finetune_result run(struct finetune *f, enum finetune_mode mode,
                                  const struct finetune_sequence *s, double rate) {
    return f->stage == FINETUNE_TRANSFER ? finetune_transfer(f, mode, s, rate)
                                         : finetune_distill(f, mode, s, rate);
}

void finetune_calibrate(struct finetune *f, const struct finetune_sequence *s) {
    if (f->options.width) {
        finetune_transfer(f, CALIBRATE, s, 0);
    }
}

struct finetune_result finetune_measure(struct finetune *f, const struct finetune_sequence *s) {
    return run(f, MEASURE, s, 0);
}

double finetune_measure_alone(struct finetune *f, const struct finetune_sequence *s) {
    return finetune_distill(f, MEASURE_ALONE, s, 0).mean;
}

/* ---- shares of the layers ---- */

/* Layers of `group` have this share, the others the mean. */
static void set_shares(struct finetune *f, size_t group, float share) {
    for (size_t l = 0; l < f->layers; l++) {
        f->shares[l] = spread_group(f->layers, l) == group ? share : 1;
    }
}

static double try_share(struct finetune *f, const struct finetune_sequence *s, size_t group,
                        float share) {
    set_shares(f, group, share);
    finetune_shape_layers(f, s);
    student_again(&f->student, s->ids, f->windows);
    return finetune_student_loss(f, true, false);
}

bool finetune_spread_try(struct finetune *f, const struct finetune_sequence *s,
                         const struct session_watch *watch) {
    const size_t groups = spread_groups(f->layers), of = 2 * groups + 1;
    set_shares(f, 0, SPREAD_FEW); /* as early as anything is written in any of the trials */
    finetune_shape_layers(f, s);
    student_begin(&f->student, s->ids, s->length, f->windows);
    f->spread.mean += try_share(f, s, 0, 1);
    bool go_on = watch->step(watch->context, 1, of);
    for (size_t g = 0; go_on && g < groups; g++) {
        f->spread.few[g] += try_share(f, s, g, SPREAD_FEW);
        f->spread.many[g] += try_share(f, s, g, SPREAD_MANY);
        go_on = watch->step(watch->context, 3 + 2 * g, of);
    }
    set_shares(f, 0, 1);
    return go_on;
}

void finetune_spread(struct finetune *f) {
    for (size_t l = 0; l < f->layers; l++) {
        f->shares[l] = spread_share(&f->spread, f->layers, l);
    }
}

float finetune_share(const struct finetune *f, uint32_t layer) {
    return f->shares[layer];
}

/* ---- steps ---- */

/* Warm-up, then a half cosine. */
struct finetune_result finetune_step(struct finetune *f, const struct finetune_sequence *s,
                                     double progress) {
    const double warm = fmin(1, ((double)f->stage_steps + 1) / WARM_UP);
    const double fall = 0.5 * (1 + cos(M_PI * fmin(1, fmax(0, progress))));
    const float highest = f->stage == FINETUNE_TRANSFER ? f->options.rate : f->options.distill_rate;
    const double rate = (double)highest * warm * (LEAST_RATE + (1 - LEAST_RATE) * fall);
    const struct finetune_result r = run(f, TRAIN, s, rate);
    f->steps++;
    f->stage_steps++;
    f->skipped += r.skipped;
    return r;
}

void finetune_enter(struct finetune *f, enum finetune_stage stage) {
    assert(stage == FINETUNE_TRANSFER ? f->options.width > 0 : f->options.distill);
    f->stage = stage;
    f->stage_steps = 0;
    memset(f->first, 0, f->layers * f->count * sizeof *f->first);
    memset(f->second, 0, f->layers * f->count * sizeof *f->second);
    memset(f->updates, 0, f->layers * sizeof *f->updates);
}

enum finetune_stage finetune_stage(const struct finetune *f) {
    return f->stage;
}

uint64_t finetune_steps(const struct finetune *f) {
    return f->steps;
}

uint64_t finetune_skipped(const struct finetune *f) {
    return f->skipped;
}

size_t finetune_parameters(const struct finetune *f) {
    const size_t set = f->options.width ? 1 : 0; /* v_scale is set, not trained */
    return f->layers * (f->count - set);
}

size_t finetune_bytes(const struct finetune *f) {
    return f->bytes;
}

const float *finetune_values(const struct finetune *f, uint32_t layer) {
    return f->values + layer * f->count;
}
