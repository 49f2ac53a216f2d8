/* SPDX-License-Identifier: Apache-2.0
 *
 * The optimiser's step.
 */
#include "engine/finetune/adamw.h"

#include <math.h>

static const double BETA1 = 0.9, BETA2 = 0.95, EPS = 1e-8, MOST_NORM = 1;

bool adamw_step(const struct adamw *a, float *g, double scale, double rate) {
    double square = 0;
    for (size_t i = 0; i < a->n; i++) {
        square += (double)g[i] * (double)g[i];
    }
    const double norm = sqrt(square) * fabs(scale);
    if (!isfinite(norm)) {
        return false;
    }
    scale *= norm > MOST_NORM ? MOST_NORM / norm : 1;
    const uint32_t t = ++*a->updates;
    const float rate1 = (float)(rate / (1 - pow(BETA1, t)));
    const float slow1 = (float)(rate * a->slow_share / (1 - pow(BETA1, t)));
    const float root2 = (float)(1 / sqrt(1 - pow(BETA2, t)));
    const float factor = (float)scale, b1 = (float)BETA1, b2 = (float)BETA2, eps = (float)EPS;
    for (size_t i = 0; i < a->n; i++) {
        const float gi = g[i] * factor;
        a->first[i] = b1 * a->first[i] + (1 - b1) * gi;
        a->second[i] = b2 * a->second[i] + (1 - b2) * gi * gi;
        const float own = i < a->slow ? slow1 : rate1;
        a->values[i] -= own * a->first[i] / (sqrtf(a->second[i]) * root2 + eps);
    }
    return true;
}
