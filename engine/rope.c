/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotary position embedding (Su et al. 2021), with linear and YaRN (Peng et al. 2023) scaling.
 */
#include "engine/rope.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* The pair whose frequency turns `rotations` times within the original context. */
static double yarn_pair(const struct rope_config *c, double rotations) {
    return c->dims * log(c->original_context / (rotations * 2 * M_PI)) / (2 * log(c->base));
}

/* Share of the interpolated (slowed) frequency in pair i: 0 keeps it as trained, 1 divides it by
 * the factor; between the two corner pairs it rises linearly. */
static double yarn_share(const struct rope_config *c, double i) {
    double low = fmax(0, floor(yarn_pair(c, c->yarn_beta_fast)));
    double high = fmin(c->dims - 1.0, ceil(yarn_pair(c, c->yarn_beta_slow)));
    double share = (i - low) / fmax(high - low, 0.001);
    return fmin(1, fmax(0, share));
}

bool rope_init(struct rope *r, const struct rope_config *c, struct error *error) {
    *r = (struct rope){.interleaved = c->interleaved, .dims = c->dims, .magnitude = 1};
    r->frequency = calloc(c->dims / 2, sizeof *r->frequency);
    if (!r->frequency) {
        return error_set(error, ERROR_NO_SPACE, "no memory for %u rotation frequencies",
                         c->dims / 2);
    }
    float divisors[MODEL_MAX_HEAD / 2];
    assert(c->dims <= MODEL_MAX_HEAD);
    if (c->frequencies) {
        quant_row(QUANT_F32, c->frequencies->data, divisors, c->dims / 2);
    }
    for (uint32_t i = 0; i < c->dims / 2; i++) {
        double f = pow(c->base, -2.0 * i / c->dims);
        if (c->frequencies) {
            f /= divisors[i];
        }
        if (c->scaling == ROPE_LINEAR) {
            f /= c->factor;
        } else if (c->scaling == ROPE_YARN) {
            double share = yarn_share(c, i);
            f = f * (1 - share) + f / c->factor * share;
        }
        r->frequency[i] = f;
    }
    if (c->scaling == ROPE_YARN) {
        r->magnitude = c->yarn_attn_factor * (1 + 0.1f * logf(c->factor));
    }
    return true;
}

void rope_finish(struct rope *r) {
    free(r->frequency);
    *r = (struct rope){0};
}

void rope_row(const struct rope *r, uint64_t position, float *row) {
    uint32_t half = r->dims / 2;
    for (uint32_t i = 0; i < half; i++) {
        double angle = fmod((double)position * r->frequency[i], 2 * M_PI);
        row[i] = (float)cos(angle);
        row[half + i] = (float)sin(angle);
    }
}

void rope_mean_row(const struct rope *r, uint64_t from, uint64_t to, float *row) {
    const uint32_t half = r->dims / 2;
    const double n = (double)(to - from);
    for (uint32_t i = 0; i < half; i++) {
        /* The sum of a geometric row of turns: at the middle one's angle, as long as this. */
        const double turn = fmod(r->frequency[i], 2 * M_PI), s = sin(turn / 2);
        const double length = fabs(s) < 1e-12 ? 1 : sin(fmod(n * turn / 2, 2 * M_PI)) / (n * s);
        const double angle = fmod(((double)from + (n - 1) / 2) * turn, 2 * M_PI);
        row[i] = (float)(length * cos(angle));
        row[half + i] = (float)(length * sin(angle));
    }
}

void rope_turn(const struct rope *r, const float *row, bool back, float *x) {
    uint32_t half = r->dims / 2;
    size_t step = r->interleaved ? 2 : 1, apart = r->interleaved ? 1 : half;
    for (uint32_t i = 0; i < half; i++) {
        float c = row[i], s = back ? -row[half + i] : row[half + i];
        float *a = x + i * step, *b = a + apart;
        float turned = *a * c - *b * s;
        *b = *a * s + *b * c;
        *a = turned;
    }
}
