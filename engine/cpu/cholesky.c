/* SPDX-License-Identifier: Apache-2.0
 *
 * Cholesky's factor by rows: U's rows lie contiguously, so every inner step is y += a x.
 */
#include "engine/cpu/cholesky.h"

#include <math.h>
#include <string.h>

/* Rows that are worked on one by one before a product takes their effect to the rest. */
enum { BLOCK = 16 };

static size_t block_rows(size_t n, size_t at) {
    return n - at < BLOCK ? n - at : BLOCK;
}

static void copy_negative(const struct kernels *k, float *to, const float *from, size_t rows,
                          size_t width, size_t ld) {
    memset(to, 0, rows * width * sizeof *to);
    for (size_t i = 0; i < rows; i++) {
        k->add_scaled(to + i * width, -1, from + i * ld, width);
    }
}

void cholesky_factor(const struct kernels *k, float *a, size_t n, float *scratch) {
    for (size_t at = 0; at < n; at += BLOCK) {
        const size_t rows = block_rows(n, at), end = at + rows, rest = n - end;
        for (size_t j = at; j < end; j++) {
            float *row = a + j * n;
            k->scale(row + j, 1 / sqrtf(row[j]), n - j);
            for (size_t i = j + 1; i < end; i++) {
                k->add_scaled(a + i * n + i, -row[i], row + i, n - i);
            }
        }
        if (rest) {
            copy_negative(k, scratch, a + at * n + end, rows, rest, n);
            k->gemm(true, false, rest, rest, rows, scratch, rest, a + at * n + end, n,
                    a + end * n + end, n, true);
        }
    }
}

void cholesky_solve(const struct kernels *k, const float *u, size_t n, float *b, size_t width,
                    float *scratch) {
    for (size_t at = 0; at < n; at += BLOCK) { /* U^T Z = B */
        const size_t rows = block_rows(n, at), end = at + rows;
        for (size_t j = at; j < end; j++) {
            k->scale(b + j * width, 1 / u[j * n + j], width);
            for (size_t i = j + 1; i < end; i++) {
                k->add_scaled(b + i * width, -u[j * n + i], b + j * width, width);
            }
        }
        if (end < n) {
            copy_negative(k, scratch, b + at * width, rows, width, width);
            k->gemm(true, false, n - end, width, rows, u + at * n + end, n, scratch, width,
                    b + end * width, width, true);
        }
    }
    for (size_t left = n; left;) { /* U X = Z */
        const size_t rows = left % BLOCK ? left % BLOCK : BLOCK, at = left - rows, end = left;
        if (end < n) {
            copy_negative(k, scratch, b + end * width, n - end, width, width);
            k->gemm(false, false, rows, width, n - end, u + at * n + end, n, scratch, width,
                    b + at * width, width, true);
        }
        for (size_t j = end; j-- > at;) {
            for (size_t i = j + 1; i < end; i++) {
                k->add_scaled(b + j * width, -u[j * n + i], b + i * width, width);
            }
            k->scale(b + j * width, 1 / u[j * n + j], width);
        }
        left = at;
    }
}

size_t cholesky_scratch(size_t n, size_t width) {
    const size_t factor = BLOCK * n, solve = n * width;
    return factor > solve ? factor : solve;
}
