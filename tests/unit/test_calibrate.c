/* SPDX-License-Identifier: Apache-2.0
 *
 * engine/finetune/calibrate: what is left of a start where keys nearly agree and scores are large,
 * and that nothing is scaled where they are not.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/finetune/calibrate.h"
#include "engine/finetune/start.h"

enum { L = 64, C = 8, W = 16, H = 4, M = 2, E = 8 };

static const struct branch_shape shape = {
    .width = 1, .heads = H, .kv_heads = M, .head_dim = E, .memory_width = 16, .chunk = C};

/* A layer's inputs and the parameters that are calibrated. */
struct layer {
    float q[L * H * E], k[L * M * E], v[L * M * E], lse[L * H];
    float q_map[H * E * E], ev_q[H * E * E], k_map[M * E * E], ev_k[M * E * E];
    float gate_lse[H], v_scale;
};

/* Numbers in [-size, size), about `offset`, which alternates along a vector. */
static void fill(float *x, size_t n, double size, double offset, uint64_t *random) {
    for (size_t i = 0; i < n; i++) {
        x[i] = (float)(size * (2 * random_unit(random) - 1) + (i % 2 ? -offset : offset));
    }
}

static void identities(float *map, size_t n) {
    for (size_t i = 0; i < n * E * E; i++) {
        map[i] = i % (E * E) % (E + 1) == 0;
    }
}

static void calibrated(struct layer *l, double size, double offset, double lse) {
    uint64_t random = 1;
    fill(l->q, L * H * E, size, offset, &random);
    fill(l->k, L * M * E, size, offset, &random);
    fill(l->v, L * M * E, size, 0, &random);
    fill(l->lse, L * H, lse, 0, &random);
    identities(l->q_map, H);
    identities(l->ev_q, H);
    identities(l->k_map, M);
    identities(l->ev_k, M);
    for (size_t h = 0; h < H; h++) {
        l->gate_lse[h] = -1;
    }
    const struct branch_pass p = {.shape = &shape,
                                  .length = L,
                                  .window = W,
                                  .q = l->q,
                                  .k = l->k,
                                  .v = l->v,
                                  .lse = l->lse,
                                  .values = {.q_map = l->q_map,
                                             .k_map = l->k_map,
                                             .ev_q = l->ev_q,
                                             .ev_k = l->ev_k,
                                             .gate_lse = l->gate_lse,
                                             .v_scale = &l->v_scale}};
    calibrate_values(&p);
    for (size_t h = 0; h < H; h++) {
        calibrate_head(&p, h);
    }
}

/* The mean square of map x, and the length of the mean over the directions x / |x|, mapped. */
static double products(const float *map, const float *x, size_t stride, double *direction) {
    double square = 0, mean[E] = {0}, length = 0;
    for (size_t i = 0; i < L; i++) {
        double y[E] = {0}, size = 0;
        for (size_t c = 0; c < E; c++) {
            size += (double)x[i * stride + c] * (double)x[i * stride + c];
        }
        for (size_t r = 0; r < E; r++) {
            for (size_t c = 0; c < E; c++) {
                y[r] += (double)map[r * E + c] * (double)x[i * stride + c];
            }
            square += y[r] * y[r] / (L * E);
            mean[r] += y[r] / sqrt(size) / L;
        }
    }
    for (size_t r = 0; r < E; r++) {
        length += mean[r] * mean[r];
    }
    *direction = sqrt(length);
    return square;
}

static void what_all_keys_share_is_not_seen(void **state) {
    (void)state;
    static struct layer l;
    double direction;
    calibrated(&l, 5, 100, 1);
    for (size_t h = 0; h < H; h++) {
        const double square = products(l.q_map + h * E * E, l.q + h * E, H * E, &direction);
        assert_true(direction < 1e-6);
        assert_true(square > 5); /* 25 / 3, less a dimension of 8: the rest is as it was */
        products(l.ev_q + h * E * E, l.q + h * E, H * E, &direction);
        assert_true(direction < 1e-6);
    }
    for (size_t m = 0; m < M; m++) {
        products(l.k_map + m * E * E, l.k + m * E, M * E, &direction);
        assert_true(direction < 1e-6);
    }
}

static void evidence_is_limited(void **state) {
    (void)state;
    static struct layer l;
    double direction;
    calibrated(&l, 50, 100, 1);
    for (size_t m = 0; m < M; m++) {
        const double square = products(l.ev_k + m * E * E, l.k + m * E, M * E, &direction);
        assert_true(fabs(square - sqrt(E)) < 1e-3);
    }
    calibrated(&l, 0.5, 0, 1);
    for (size_t m = 0; m < M; m++) {
        assert_memory_equal(l.ev_k + m * E * E, l.k_map + m * E * E, E * E * sizeof(float));
    }
}

static void gates_and_values_have_their_own_units(void **state) {
    (void)state;
    static struct layer l;
    calibrated(&l, 3, 0, 1);
    assert_true(fabs((double)l.v_scale - sqrt(3)) < 0.1); /* uniform in [-3, 3) */
    for (size_t h = 0; h < H; h++) {
        assert_true(l.gate_lse[h] == -1);
    }
    calibrated(&l, 3, 0, 300); /* a deviation of 300 / sqrt(3) */
    for (size_t h = 0; h < H; h++) {
        assert_true(fabs((double)l.gate_lse[h] * -300 / sqrt(3) - 1) < 0.2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_all_keys_share_is_not_seen),
        cmocka_unit_test(evidence_is_limited),
        cmocka_unit_test(gates_and_values_have_their_own_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
