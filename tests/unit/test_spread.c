/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/finetune/spread: the layers' shares from losses, against small moves to others by the same
 * account.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/finetune/spread.h"

enum { MOST_LAYERS = 40 };

/* The loss of a spread, by the account of spread.h. */
static double loss_of(const struct spread *s, size_t layers, const double *shares) {
    double loss = s->mean;
    size_t group = SPREAD_GROUPS;
    for (size_t l = 0; l < layers; l++) {
        if (spread_group(layers, l) != group) { /* all of a group have the same */
            group = spread_group(layers, l);
            const double more = log2(shares[l]);
            loss += more > 0 ? more * (s->many[group] - s->mean) / log2((double)SPREAD_MANY)
                             : more * (s->few[group] - s->mean) / log2((double)SPREAD_FEW);
        }
    }
    return loss;
}

static const struct {
    const char *title;
    size_t layers;
    struct spread s;
    double least, most; /* of the shares; 0: whatever */
} cases[] = {
    {"nothing matters",
     30,
     {1, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
     1,
     1},
    {"all alike",
     30,
     {1, {3, 3, 3, 3, 3, 3, 3, 3, 3, 3}, {.5, .5, .5, .5, .5, .5, .5, .5, .5, .5}},
     1,
     1},
    {"the middle",
     30,
     {1, {1.1, 1.1, 1.2, 2, 3, 3, 2, 1.2, 1, 1}, {1, 1, .98, .8, .5, .5, .7, .95, 1, 1}},
     0.25,
     2},
    {"chance: more is worse", 5, {1, {1.2, .9, 1.4, 1.1, 1}, {.9, 1.1, .9, 1, 1.1}}, 0.25, 0},
    {"chance: more is worth more than less",
     5,
     {1, {1.1, 1.1, 1.1, 1.1, 1.1}, {.5, .9, .9, .9, .9}},
     0,
     2},
    {"groups of different sizes",
     31,
     {2, {3, 3, 3, 4, 5, 5, 4, 3, 3, 3}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
     0,
     0},
    {"two layers", 2, {1, {3, 1.2}, {.2, .9}}, 0, 0},
    {"one layer", 1, {1, {3}, {.2}}, 1, 1},
};

static void shares_are_the_best(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t layers = cases[i].layers;
        double shares[MOST_LAYERS], sum = 0, least = 9, most = 0;
        for (size_t l = 0; l < layers; l++) {
            shares[l] = (double)spread_share(&cases[i].s, layers, l);
            sum += shares[l];
            least = fmin(least, shares[l]);
            most = fmax(most, shares[l]);
            if (l && spread_group(layers, l) == spread_group(layers, l - 1)) {
                assert_true(shares[l] == shares[l - 1]);
            }
        }
        if (!(sum <= (double)layers * 1.0001) || !(sum > 0.97 * (double)layers) ||
            !(least >= (double)SPREAD_FEW) || !(most <= (double)SPREAD_MANY) ||
            (cases[i].least > 0 && fabs(least - cases[i].least) > 1e-3) ||
            (cases[i].most > 0 && fabs(most - cases[i].most) > 1e-3)) {
            fail_msg("%s: shares from %g to %g, %g in the mean", cases[i].title, least, most,
                     sum / (double)layers);
        }
    }
}

/* Where the account is convex no small move from one group to another lowers the loss. */
static void no_move_is_better(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct spread *s = &cases[i].s;
        const size_t layers = cases[i].layers, groups = spread_groups(layers);
        double shares[MOST_LAYERS];
        size_t sizes[SPREAD_GROUPS] = {0};
        bool convex = true;
        for (size_t l = 0; l < layers; l++) {
            const size_t g = spread_group(layers, l);
            shares[l] = (double)spread_share(s, layers, l);
            sizes[g]++;
            convex = convex && s->mean - s->many[g] <= (s->few[g] - s->mean) / 2;
        }
        const double loss = loss_of(s, layers, shares);
        for (size_t move = 0; convex && move < groups * groups; move++) {
            const size_t from = move / groups, to = move % groups;
            const double step = 0.01;
            double moved[MOST_LAYERS];
            bool possible = from != to;
            for (size_t l = 0; l < layers; l++) {
                const size_t g = spread_group(layers, l);
                moved[l] = shares[l] + (g == to ? step / (double)sizes[to] : 0) -
                           (g == from ? step / (double)sizes[from] : 0);
                possible =
                    possible && moved[l] >= (double)SPREAD_FEW && moved[l] <= (double)SPREAD_MANY;
            }
            if (possible && !(loss_of(s, layers, moved) >= loss - 1e-6)) {
                fail_msg("%s: from group %zu to %zu the loss falls from %g to %g", cases[i].title,
                         from, to, loss, loss_of(s, layers, moved));
            }
        }
    }
}

static void groups_are_even(void **state) {
    (void)state;
    for (size_t layers = 1; layers <= MOST_LAYERS; layers++) {
        size_t sizes[SPREAD_GROUPS] = {0};
        for (size_t l = 0; l < layers; l++) {
            assert_true(spread_group(layers, l) < spread_groups(layers));
            assert_true(l == 0 || spread_group(layers, l) >= spread_group(layers, l - 1));
            sizes[spread_group(layers, l)]++;
        }
        for (size_t g = 0; g < spread_groups(layers); g++) {
            const size_t least = layers / spread_groups(layers);
            assert_true(sizes[g] == least || sizes[g] == least + 1);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_the_best),
        cmocka_unit_test(no_move_is_better),
        cmocka_unit_test(groups_are_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
