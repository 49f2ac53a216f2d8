/* SPDX-License-Identifier: Apache-2.0
 *
 * Greedy choice, or temperature, top-k, top-p and min-p, in this order, and one draw.
 */
#include "engine/sampler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
    float p; /* scaled distance below the best logit, then probability */
    token id;
};

struct sampler {
    struct sampler_options options;
    size_t vocabulary;
    uint64_t state;
    struct candidate *candidates; /* [vocabulary] */
    float *logits;                /* [vocabulary]: after the penalty */
    token chosen[SAMPLER_MEMORY]; /* the last ones, in a ring */
    size_t count;                 /* chosen in all */
};

struct sampler *sampler_create(const struct sampler_options *o, size_t vocabulary,
                               struct error *error) {
    if (!(o->repeat_penalty >= 0 && o->repeat_penalty <= 10) ||
        !(o->temperature >= 0 && o->temperature <= 100) || !(o->top_p > 0 && o->top_p <= 1) ||
        !(o->min_p >= 0 && o->min_p <= 1)) {
        error_set(
            error, ERROR_USAGE,
            "temperature %g, top-p %g, min-p %g, repeat penalty %g: expected 0 to 100, above 0 "
            "to 1, 0 to 1, 0 to 10",
            (double)o->temperature, (double)o->top_p, (double)o->min_p, (double)o->repeat_penalty);
        return NULL;
    }
    struct sampler *s = calloc(1, sizeof *s);
    if (s) {
        *s = (struct sampler){.options = *o,
                              .vocabulary = vocabulary,
                              .state = o->seed,
                              .candidates = calloc(vocabulary, sizeof *s->candidates),
                              .logits = calloc(vocabulary, sizeof *s->logits)};
    }
    if (!s || !s->candidates || !s->logits) {
        error_set(error, ERROR_NO_SPACE, "no memory for the sampler");
        sampler_destroy(s);
        return NULL;
    }
    return s;
}

void sampler_destroy(struct sampler *s) {
    if (s) {
        free(s->candidates);
        free(s->logits);
        free(s);
    }
}

/* splitmix64 (Steele, Lea, Flood 2014), as a number in [0, 1). */
static double draw(struct sampler *s) {
    uint64_t z = s->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static int more_likely_first(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    if (x->p != y->p) {
        return x->p < y->p ? 1 : -1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

static token greedy(const float *logits, size_t n) {
    token best = 0;
    for (size_t i = 1; i < n; i++) {
        if (logits[i] > logits[best]) {
            best = (token)i;
        }
    }
    return best;
}

static token choose(struct sampler *s, const float *logits) {
    for (size_t i = 0; i < s->vocabulary; i++) {
        if (!isfinite(logits[i])) {
            return TOKEN_NONE;
        }
    }
    token best = greedy(logits, s->vocabulary);
    if (s->options.temperature == 0) {
        return best;
    }
    /* Measured from the best, so that no temperature and no logit overflows. Below e^-30 of it a
     * token is never drawn: leaving it out keeps the sort short. */
    size_t n = 0;
    for (size_t i = 0; i < s->vocabulary; i++) {
        float below = (logits[i] - logits[best]) / s->options.temperature;
        if (below >= -30) {
            s->candidates[n++] = (struct candidate){below, (token)i};
        }
    }
    qsort(s->candidates, n, sizeof *s->candidates, more_likely_first);
    if (s->options.top_k && s->options.top_k < n) {
        n = s->options.top_k;
    }
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        s->candidates[i].p = expf(s->candidates[i].p);
        sum += (double)s->candidates[i].p;
    }
    double mass = 0, wanted = (double)s->options.top_p * sum;
    size_t chosen = 0;
    while (chosen < n &&
           (chosen == 0 || (mass < wanted && s->candidates[chosen].p >= s->options.min_p))) {
        mass += (double)s->candidates[chosen++].p;
    }
    double point = draw(s) * mass;
    for (size_t i = 0; i < chosen; i++) {
        point -= (double)s->candidates[i].p;
        if (point < 0) {
            return s->candidates[i].id;
        }
    }
    return s->candidates[chosen - 1].id;
}

/* logits, with those of the tokens chosen lately moved, each once. */
static const float *penalised(struct sampler *s, const float *logits) {
    float penalty = s->options.repeat_penalty;
    size_t held = s->count < SAMPLER_MEMORY ? s->count : SAMPLER_MEMORY;
    if (penalty == 0 || penalty == 1 || held == 0) {
        return logits;
    }
    memcpy(s->logits, logits, s->vocabulary * sizeof *logits);
    for (size_t i = 0; i < held; i++) {
        float before = logits[s->chosen[i]];
        float after = before > 0 ? before / penalty : before * penalty;
        s->logits[s->chosen[i]] = fmaxf(-FLT_MAX, fminf(after, FLT_MAX));
    }
    return s->logits;
}

token sampler_next(struct sampler *s, const float *logits) {
    token next = choose(s, penalised(s, logits));
    if (next != TOKEN_NONE) {
        s->chosen[s->count++ % SAMPLER_MEMORY] = next;
    }
    return next;
}
