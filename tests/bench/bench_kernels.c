/* SPDX-License-Identifier: Apache-2.0
 *
 * Speed of every kernel set that runs here, on one thread, in the shapes of a small model (width
 * 576, inner width 1536). Run by hand:  bench_kernels [set [kernel]]
 * Each figure is the best of several repeats: GFLOP/s where multiplications bound the kernel, GB/s
 * of weights or keys where memory does. Weights are read from a set larger than the caches.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/cpu/kernels.h"

enum { REPEATS = 7, WEIGHT_BYTES = 96 << 20 };

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *room(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!p) {
        fprintf(stderr, "bench_kernels: no memory\n");
        exit(1);
    }
    memset(p, 0, bytes);
    return p;
}

static float *random_floats(size_t n) {
    float *x = room(n * sizeof *x);
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525 + 1013904223;
        x[i] = (float)(state >> 8) / (1 << 23) - 1;
    }
    return x;
}

static bool wanted(int argc, char **argv, const char *name) {
    return argc < 3 || strcmp(argv[2], name) == 0;
}

static const enum quant_type types[] = {
    QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_1, QUANT_Q8_0, QUANT_Q4_K, QUANT_Q5_K,
    QUANT_Q6_K, QUANT_Q2_K, QUANT_Q3_K, QUANT_F16,  QUANT_BF16, QUANT_F32,
};

/* Rows of 0x3c1c pairs are finite numbers in every type. */
static uint8_t *weights_of(size_t bytes) {
    uint8_t *w = room(bytes);
    for (size_t i = 0; i < bytes; i++) {
        w[i] = i % 2 ? 0x3c : 0x1c;
    }
    return w;
}

static void bench_product(const struct product *p, size_t n, size_t k, enum quant_type type,
                          uint8_t *w, double *gflops, double *gbytes) {
    enum { ROWS = 64 };
    size_t row_bytes = quant_row_bytes(type, k), tasks = WEIGHT_BYTES / (ROWS * row_bytes);
    if (n > 16) {
        tasks = 16;
    }
    float *x = random_floats(n * k), *y = room(n * ROWS * sizeof *y);
    char *packed = room(n * p->packed_bytes(k)), *scratch = room(p->scratch_bytes(k));
    for (size_t i = 0; i < n; i++) {
        p->pack(x + i * k, k, packed + i * p->packed_bytes(k));
    }
    double best = 1e9;
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        double start = seconds();
        for (size_t t = 0; t < tasks; t++) {
            p->multiply(type, w + t * ROWS * row_bytes, ROWS, k, packed, n, y, ROWS, scratch);
        }
        double spent = seconds() - start;
        best = spent < best ? spent : best;
    }
    *gflops = 2e-9 * (double)(tasks * ROWS * k * n) / best;
    *gbytes = 1e-9 * (double)(tasks * ROWS * row_bytes) / best;
    free(x);
    free(y);
    free(packed);
    free(scratch);
}

static void bench_products(const struct kernels *set, int argc, char **argv) {
    static const size_t widths[] = {576, 1536};
    uint8_t *w = weights_of(WEIGHT_BYTES);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const char *name = quant_info(types[i])->name;
        if (!wanted(argc, argv, name) && !wanted(argc, argv, "multiply")) {
            continue;
        }
        printf("%-12s multiply %-5s", set->name, name);
        for (size_t j = 0; j < 2; j++) {
            size_t k = widths[j] % quant_info(types[i])->block ? 768 : widths[j];
            double gflops, gbytes;
            printf("  k=%-4zu", k);
            bench_product(&set->batch, 512, k, types[i], w, &gflops, &gbytes);
            printf(" n=512 %5.0f", gflops);
            bench_product(&set->batch, 64, k, types[i], w, &gflops, &gbytes);
            printf(" n=64 %5.0f GFLOP/s", gflops);
            bench_product(&set->single, 1, k, types[i], w, &gflops, &gbytes);
            printf(" n=1 %5.1f", gbytes);
            bench_product(&set->single, 4, k, types[i], w, &gflops, &gbytes);
            printf(" n=4 %5.1f GB/s", gbytes);
        }
        printf("\n");
    }
    free(w);
}

static void bench_pack(const struct kernels *set, int argc, char **argv) {
    enum { N = 64, K = 1536 };
    if (!wanted(argc, argv, "pack")) {
        return;
    }
    float *x = random_floats(N * K);
    char *packed = room(N * set->batch.packed_bytes(K));
    double best = 1e9;
    for (int repeat = 0; repeat < 20; repeat++) {
        double start = seconds();
        for (size_t i = 0; i < N; i++) {
            set->batch.pack(x + i * K, K, packed + i * set->batch.packed_bytes(K));
        }
        double spent = seconds() - start;
        best = spent < best ? spent : best;
    }
    printf("%-12s pack  %.2f G values/s\n", set->name, 1e-9 * N * K / best);
    free(x);
    free(packed);
}

static void bench_attention(const struct kernels *set, int argc, char **argv) {
    static const size_t cases[][3] = {/* m, n, e */
                                      {32, 2700, 64},
                                      {192, 2700, 64},
                                      {3, 2700, 64},
                                      {3, 65536, 64},
                                      {32, 2700, 128}};
    if (!wanted(argc, argv, "attention")) {
        return;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t m = cases[i][0], n = cases[i][1], e = cases[i][2];
        float *q = random_floats(m * e), *s = random_floats(m * n);
        float *values = random_floats(n * e);
        uint16_t *keys = room(n * e * sizeof *keys);
        void *scratch = room(set->attention_scratch_bytes(n, e));
        set->to_f16(keys, values, n * e);
        double best[3] = {1e9, 1e9, 1e9};
        for (int repeat = 0; repeat < REPEATS; repeat++) {
            double t0 = seconds();
            set->scores(q, m, e, keys, n, e, 0.1f, s, n, scratch);
            double t1 = seconds();
            for (size_t r = 0; r < m; r++) {
                set->softmax(s + r * n, n);
            }
            double t2 = seconds();
            set->mix(s, m, n, keys, n, e, q, e, scratch);
            double spent[3] = {t1 - t0, t2 - t1, seconds() - t2};
            for (size_t j = 0; j < 3; j++) {
                best[j] = spent[j] < best[j] ? spent[j] : best[j];
            }
        }
        double flop = 2e-9 * (double)(m * n * e), bytes = 2e-9 * (double)(n * e);
        printf("%-12s attention m=%-3zu n=%-5zu e=%-3zu scores %5.0f GFLOP/s %5.1f GB/s, softmax "
               "%.2f G/s, mix %5.0f GFLOP/s %5.1f GB/s\n",
               set->name, m, n, e, flop / best[0], bytes / best[0],
               1e-9 * (double)(m * n) / best[1], flop / best[2], bytes / best[2]);
        free(q);
        free(s);
        free(values);
        free(keys);
        free(scratch);
    }
}

static void bench_gemm(const struct kernels *set, int argc, char **argv) {
    static const size_t cases[][3] = {/* m, n, k */
                                      {32, 256, 64}, {32, 64, 256}, {256, 64, 64},
                                      {64, 64, 64},  {1, 256, 64},  {512, 512, 512}};
    if (!wanted(argc, argv, "gemm")) {
        return;
    }
    float *a = random_floats(512 * 512), *b = random_floats(512 * 512), *c = room(512 * 512 * 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t m = cases[i][0], n = cases[i][1], k = cases[i][2];
        printf("%-12s gemm %zux%zux%zu:", set->name, m, n, k);
        for (int kind = 0; kind < 3; kind++) {
            bool ta = kind == 2, tb = kind == 1;
            double best = 1e9;
            for (int repeat = 0; repeat < REPEATS; repeat++) {
                double start = seconds();
                for (int turn = 0; turn < 20; turn++) {
                    set->gemm(ta, tb, m, n, k, a, ta ? m : k, b, tb ? k : n, c, n, false);
                }
                double spent = (seconds() - start) / 20;
                best = spent < best ? spent : best;
            }
            printf(" %s %.0f",
                   ta   ? "A^T B"
                   : tb ? "A B^T"
                        : "A B",
                   2e-9 * (double)(m * n * k) / best);
        }
        printf(" GFLOP/s\n");
    }
    free(a);
    free(b);
    free(c);
}

static void bench_rows(const struct kernels *set, int argc, char **argv) {
    enum { N = 1536, TURNS = 2000 };
    if (!wanted(argc, argv, "rows")) {
        return;
    }
    float *x = random_floats(N), *y = random_floats(N), *z = random_floats(N);
    uint16_t *h = room(N * sizeof *h);
    double best[5] = {1e9, 1e9, 1e9, 1e9, 1e9};
    for (int repeat = 0; repeat < REPEATS; repeat++) {
        for (int kind = 0; kind < 5; kind++) {
            double start = seconds();
            for (int turn = 0; turn < TURNS; turn++) {
                switch (kind) {
                case 0:
                    set->rms_norm(y, x, z, N, 1e-5f);
                    break;
                case 1:
                    set->silu_mul(y, x, z, N);
                    break;
                case 2:
                    set->add(y, x, N);
                    break;
                case 3:
                    set->to_f16(h, x, N);
                    break;
                default:
                    set->from_f16(y, h, N);
                }
            }
            double spent = seconds() - start;
            best[kind] = spent < best[kind] ? spent : best[kind];
        }
    }
    double values = 1e-9 * N * TURNS;
    printf("%-12s rows, G values/s: rms_norm %.1f silu_mul %.1f add %.1f to_f16 %.1f from_f16 "
           "%.1f\n",
           set->name, values / best[0], values / best[1], values / best[2], values / best[3],
           values / best[4]);
    free(x);
    free(y);
    free(z);
    free(h);
}

int main(int argc, char **argv) {
    for (const struct kernels *const *set = kernels_all(); *set; set++) {
        if (!(*set)->runs_here() || (argc > 1 && strcmp(argv[1], (*set)->name) != 0)) {
            continue;
        }
        bench_products(*set, argc, argv);
        bench_pack(*set, argc, argv);
        bench_attention(*set, argc, argv);
        bench_gemm(*set, argc, argv);
        bench_rows(*set, argc, argv);
    }
    return 0;
}
