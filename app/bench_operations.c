/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of `allmem bench --operations`. How far an operation is from the machine's limits: the
 * larger of its two shares, of the products per second and of the bytes per second that were
 * measured at their best.
 */
#include "app/bench_operations.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_seconds(const void *a, const void *b) {
    const struct engine_work *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

void operations_take(struct operations *o, struct engine *e, double seconds) {
    o->seconds = seconds;
    engine_take_work(e, o->work);
    qsort(o->work, ENGINE_OPERATIONS, sizeof *o->work, by_seconds);
}

/* Weights in floating point meet activations in 16 bits at best; so does attention. */
static bool in_8_bits(const struct engine_work *w, const struct engine_info *info) {
    return strcmp(w->operation, "matrices") == 0 && !strchr(info->type, 'F');
}

/* Of the limits, 0 to 1 or so. */
static double part_of(const struct engine_work *w, const struct engine_info *info,
                      const struct engine_limits *limits) {
    const double products = in_8_bits(w, info) ? limits->products8 : limits->products16;
    return fmax(w->flops / products, w->bytes / limits->read) / w->seconds;
}

static double untimed(const struct operations *o) {
    double rest = o->seconds;
    for (size_t i = 0; i < ENGINE_OPERATIONS; i++) {
        rest -= o->work[i].seconds;
    }
    return rest;
}

void operations_print(const struct operations *o, const struct engine_info *info,
                      const struct engine_limits *limits) {
    printf("  %-14s %7s %9s %7s%s\n", "operation", "share", "GFLOP/s", "GB/s",
           limits ? "  of the limit" : "");
    for (size_t i = 0; i < ENGINE_OPERATIONS && o->work[i].calls; i++) {
        const struct engine_work *w = &o->work[i];
        printf("  %-14s %5.1f %%", w->operation, 100 * w->seconds / o->seconds);
        if (w->flops > 0) {
            printf(" %9.1f %7.1f", 1e-9 * w->flops / w->seconds, 1e-9 * w->bytes / w->seconds);
            if (limits) {
                printf(" %11.0f %%", 100 * part_of(w, info, limits));
            }
        }
        printf("\n");
    }
    printf("  %-14s %5.1f %%\n", "the rest", 100 * untimed(o) / o->seconds);
}

json_t *operations_json(const struct operations *o, const struct engine_info *info,
                        const struct engine_limits *limits) {
    json_t *list = json_array();
    for (size_t i = 0; i < ENGINE_OPERATIONS && o->work[i].calls; i++) {
        const struct engine_work *w = &o->work[i];
        json_t *row = json_pack("{s:s, s:I, s:f, s:f, s:f, s:f}", "operation", w->operation,
                                "calls", (json_int_t)w->calls, "seconds", w->seconds, "share",
                                w->seconds / o->seconds, "flops", w->flops, "bytes", w->bytes);
        if (limits && w->flops > 0) {
            json_object_set_new(row, "of_limit", json_real(part_of(w, info, limits)));
        }
        json_array_append_new(list, row);
    }
    return list;
}
