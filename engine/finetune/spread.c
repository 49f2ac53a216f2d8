/* SPDX-License-Identifier: Apache-2.0
 *
 * With c the loss per doubling of what a group of n layers has, what c log2(share) adds up to is
 * largest, for a given sum of n share, where share = c / (n price): one price for all.
 */
#include "engine/finetune/spread.h"

#include <math.h>

struct worth {
    double below, above; /* the mean: loss per doubling and layer, above <= below */
    size_t layers;
};

size_t spread_groups(size_t layers) {
    return layers < SPREAD_GROUPS ? layers : SPREAD_GROUPS;
}

size_t spread_group(size_t layers, size_t layer) {
    return layer * spread_groups(layers) / layers;
}

static struct worth worth_of(const struct spread *s, size_t group, size_t layers) {
    const double down = -log2((double)SPREAD_FEW), up = log2((double)SPREAD_MANY);
    const double lost = s->few[group] - s->mean, won = s->mean - s->many[group];
    struct worth w = {.below = lost / down, .above = won / up};
    for (size_t l = 0; l < layers; l++) {
        w.layers += spread_group(layers, l) == group;
    }
    if (w.above > w.below) { /* by chance: more of the same is worth less */
        w.above = w.below = (lost + won) / (down + up);
    }
    w.below = fmax(w.below, 0) / (double)w.layers;
    w.above = fmax(w.above, 0) / (double)w.layers;
    return w;
}

static double share_at(const struct worth *w, double price) {
    if (w->above > price) {
        return fmin(w->above / price, (double)SPREAD_MANY);
    }
    return w->below < price ? fmax(w->below / price, (double)SPREAD_FEW) : 1;
}

float spread_share(const struct spread *s, size_t layers, size_t layer) {
    const size_t groups = spread_groups(layers);
    struct worth worth[SPREAD_GROUPS];
    double most = 0;
    for (size_t g = 0; g < groups; g++) {
        worth[g] = worth_of(s, g, layers);
        most = fmax(most, worth[g].below);
    }
    double cheap = most * 1e-6, dear = most;
    for (int i = 0; i < 60 && most > 0; i++) {
        const double price = sqrt(cheap * dear);
        double sum = 0;
        for (size_t g = 0; g < groups; g++) {
            sum += (double)worth[g].layers * share_at(&worth[g], price);
        }
        *(sum > (double)layers ? &cheap : &dear) = price;
    }
    return most > 0 ? (float)share_at(&worth[spread_group(layers, layer)], dear) : 1;
}
