/* SPDX-License-Identifier: Apache-2.0
 *
 * KL divergence between two models' next tokens, a block of rows at a time.
 */
#include "engine/finetune/kl.h"

#include <stdlib.h>
#include <string.h>

#include "engine/finetune/frozen.h"

size_t kl_bytes(size_t vocabulary, size_t threads) {
    return (2 * KL_ROWS + threads) * vocabulary * sizeof(float);
}

bool kl_init(struct kl *k, struct cpu_backend *cpu, struct matrix *output, struct error *error) {
    const struct backend_ops *ops = cpu->base.ops;
    const size_t logits = KL_ROWS * output->rows * sizeof(float);
    *k = (struct kl){.cpu = cpu, .output = output};
    k->teacher = ops->buffer_create(&cpu->base, logits, error);
    k->student = k->teacher ? ops->buffer_create(&cpu->base, logits, error) : NULL;
    k->spare = calloc(pool_threads(cpu->pool) * output->rows, sizeof *k->spare);
    k->sums = calloc(KL_ROWS, sizeof *k->sums);
    return k->teacher && k->student &&
           ((k->spare && k->sums) || error_set(error, ERROR_NO_SPACE, "no memory for logits"));
}

void kl_finish(struct kl *k) {
    if (k->cpu) {
        k->cpu->base.ops->buffer_destroy(&k->cpu->base, k->teacher);
        k->cpu->base.ops->buffer_destroy(&k->cpu->base, k->student);
    }
    free(k->spare);
    free(k->sums);
    *k = (struct kl){0};
}

struct job {
    const struct kl *k;
    float scale;
};

/* sum of p (t - s) */
static double mean_difference(const float *p, const float *t, const float *s, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i += 1024) {
        const size_t end = i + 1024 < n ? i + 1024 : n;
        float lanes[16] = {0};
        for (size_t j = i; j < end; j++) {
            lanes[j % 16] += p[j] * (t[j] - s[j]);
        }
        for (size_t l = 0; l < 16; l++) {
            sum += (double)lanes[l];
        }
    }
    return sum;
}

/* KL = sum p_t (t - s) - lse_t + lse_s, and at s its gradient is p_s - p_t. */
static void row(void *context, size_t i, size_t thread) {
    const struct job *j = context;
    const struct kernels *kernels = j->k->cpu->kernels;
    const size_t V = j->k->output->rows;
    const float *t = j->k->teacher->data + i * V;
    float *s = j->k->student->data + i * V, *p = j->k->spare + thread * V;
    memcpy(p, t, V * sizeof *p);
    const double lse_t = (double)kernels->softmax(p, V), difference = mean_difference(p, t, s, V);
    j->k->sums[i] = difference - lse_t + (double)kernels->softmax(s, V);
    for (size_t v = 0; v < V; v++) {
        s[v] = (s[v] - p[v]) * j->scale;
    }
}

double kl_rows(const struct kl *k, const float *teacher, const float *student, size_t n,
               double scale, float *dx, float *expanded) {
    struct backend *b = &k->cpu->base;
    const size_t d = k->output->columns;
    struct job j = {k, (float)scale};
    double sum = 0;
    for (size_t at = 0; at < n; at += KL_ROWS) {
        const size_t rows = n - at < KL_ROWS ? n - at : KL_ROWS;
        struct buffer of_teacher = {(float *)teacher + at * d, rows * d * sizeof(float)},
                      of_student = {(float *)student + at * d, rows * d * sizeof(float)};
        b->ops->matmul(b, 1, (struct buffer *[]){k->teacher}, (struct matrix *[]){k->output}, NULL,
                       &of_teacher, rows);
        b->ops->matmul(b, 1, (struct buffer *[]){k->student}, (struct matrix *[]){k->output}, NULL,
                       &of_student, rows);
        pool_run(k->cpu->pool, rows, row, &j);
        for (size_t i = 0; i < rows; i++) {
            sum += k->sums[i];
        }
        if (dx) {
            frozen_product_back(k->cpu, k->output, k->student->data, rows, dx + at * d, false,
                                expanded);
        }
    }
    return sum;
}
