/* SPDX-License-Identifier: Apache-2.0
 *
 * Products with frozen matrices from the other side, and norms back.
 */
#include "engine/finetune/frozen.h"

#include <math.h>

/* Rows of gradients that one task takes on. */
enum { TASK_ROWS = 64, EXPAND_ROWS = 16 };

struct product_back {
    const struct kernels *kernels;
    const struct matrix *w;
    const float *dy;
    float *dx, *expanded;
    size_t n, from, rows; /* which rows of the matrix */
    bool accumulate;
};

static void expand(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct product_back *c = context;
    const size_t end = (index + 1) * EXPAND_ROWS;
    for (size_t i = index * EXPAND_ROWS; i < end && i < c->rows; i++) {
        quant_row(c->w->type, c->w->data + (c->from + i) * c->w->row_bytes,
                  c->expanded + i * c->w->columns, c->w->columns);
    }
}

static void multiply(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct product_back *c = context;
    const size_t at = index * TASK_ROWS, columns = c->w->columns;
    const size_t rows = c->n - at < TASK_ROWS ? c->n - at : TASK_ROWS;
    c->kernels->gemm(false, false, rows, columns, c->rows, c->dy + at * c->w->rows + c->from,
                     c->w->rows, c->expanded, columns, c->dx + at * columns, columns,
                     c->accumulate || c->from);
}

void frozen_product_back(struct cpu_backend *cpu, const struct matrix *w, const float *dy, size_t n,
                         float *dx, bool accumulate, float *expanded) {
    struct product_back c = {.kernels = cpu->kernels,
                             .w = w,
                             .dy = dy,
                             .dx = dx,
                             .expanded = expanded,
                             .n = n,
                             .accumulate = accumulate};
    for (c.from = 0; c.from < w->rows; c.from += FROZEN_ROWS) {
        c.rows = w->rows - c.from < FROZEN_ROWS ? w->rows - c.from : FROZEN_ROWS;
        pool_run(cpu->pool, (c.rows + EXPAND_ROWS - 1) / EXPAND_ROWS, expand, &c);
        pool_run(cpu->pool, (n + TASK_ROWS - 1) / TASK_ROWS, multiply, &c);
    }
}

struct norm_back {
    const float *x, *weight, *dy;
    float *dx;
    size_t n, width;
    float eps;
    bool accumulate;
};

static void norm_rows_back(void *context, size_t index, size_t thread) {
    (void)thread;
    const struct norm_back *c = context;
    const size_t end = (index + 1) * TASK_ROWS, width = c->width;
    for (size_t i = index * TASK_ROWS; i < end && i < c->n; i++) {
        const float *x = c->x + i * width, *dy = c->dy + i * width;
        float *dx = c->dx + i * width;
        double square = 0, along = 0;
        for (size_t j = 0; j < width; j++) {
            square += (double)(x[j] * x[j]);
            along += (double)(dy[j] * c->weight[j] * x[j]);
        }
        const double mean = square / (double)width + (double)c->eps;
        const float factor = (float)(1 / sqrt(mean)),
                    back = (float)(along / ((double)width * mean));
        for (size_t j = 0; j < width; j++) {
            const float g = factor * (dy[j] * c->weight[j] - x[j] * back);
            dx[j] = c->accumulate ? dx[j] + g : g;
        }
    }
}

void frozen_norm_back(struct cpu_backend *cpu, const float *x, const float *weight, const float *dy,
                      size_t n, size_t width, float eps, float *dx, bool accumulate) {
    struct norm_back c = {x, weight, dy, dx, n, width, eps, accumulate};
    pool_run(cpu->pool, (n + TASK_ROWS - 1) / TASK_ROWS, norm_rows_back, &c);
}
