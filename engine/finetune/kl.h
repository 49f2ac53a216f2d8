/* SPDX-License-Identifier: Apache-2.0
 *
 * The loss of stage 2: KL(teacher || student) of the next token's distribution, and its gradient at
 * the student's last rows. Logits of a block of rows exist at a time, never all of them.
 */
#pragma once

#include "engine/cpu/cpu.h"

/* Rows whose logits are held. */
enum { KL_ROWS = 128 };

struct kl {
    struct cpu_backend *cpu;
    struct matrix *output;            /* (V, d) */
    struct buffer *teacher, *student; /* [KL_ROWS][V]: logits */
    float *spare;                     /* [threads][V] */
    double *sums;                     /* [KL_ROWS] */
};

bool kl_init(struct kl *k, struct cpu_backend *cpu, struct matrix *output, struct error *error);
void kl_finish(struct kl *k); /* accepts a zeroed struct */
size_t kl_bytes(size_t vocabulary, size_t threads);

/* Sum over n rows, n a multiple of more than 8 or all there are, of KL(teacher || student), both
 * [n][d] after the last norm; with `dx`, dx[n][d] = scale * its gradient at the student's.
 * `expanded`: as in frozen_product_back. */
double kl_rows(const struct kl *k, const float *teacher, const float *student, size_t n,
               double scale, float *dx, float *expanded);
