/* SPDX-License-Identifier: Apache-2.0
 *
 * One layer of the CPU backend (window_retire, memory_write, window_store, window_attend,
 * memory_read) against the same layer in plain C, in double precision and token by token, written
 * from the maths of engine/README.md; and that a write is the implicit step of the inner loss, by
 * finite differences. Keys and values are numbers that binary16 holds, and positions do not turn
 * them unless a test says so: what is left are the backend's own rounding errors.
 */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/backend.h"
#include "tests/tools/tiny_engine.h"

enum { H = 4, M = 2, R = H / M, E = 8, F = 16, FE = F * E, C = 16, MOST = 320, WIDEST = 512 };

/* ---- a layer, and what goes into it ---- */

static struct inputs {
    float q[MOST][H][E], k[MOST][M][E], v[MOST][M][E];
    float rates[MOST][WINDOW_RATES][M]; /* raw: step, decay */
    float gate[MOST][H];
} in;

static uint64_t seed;

/* Uniform in [-1, 1), in 64ths. */
static float number(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((int)(seed >> 57) - 64) / 64;
}

static void draw_inputs(uint64_t from) {
    seed = from;
    for (int p = 0; p < MOST; p++) {
        for (int i = 0; i < H * E; i++) {
            in.q[p][i / E][i % E] = 2 * number();
        }
        for (int i = 0; i < M * E; i++) {
            in.k[p][i / E][i % E] = 2 * number();
            in.v[p][i / E][i % E] = number();
        }
        for (int i = 0; i < WINDOW_RATES * M; i++) {
            in.rates[p][i / M][i % M] = (i < M ? 0 : 3) + 2 * number();
        }
        for (int i = 0; i < H; i++) {
            in.gate[p][i] = -1 + number();
        }
    }
}

struct rig {
    struct adapter adapter;
    struct backend *b;
    struct rope rope;
    struct window_shape shape;
    struct window_layout layout;
    struct buffer *state, *q, *k, *v, *rates, *gate, *out;
    const struct memory_branch *branch;
};

static struct buffer *buffer_of(struct rig *r, size_t bytes) {
    struct buffer *buffer = r->b->ops->buffer_create(r->b, bytes, NULL);
    assert_non_null(buffer);
    return buffer;
}

static void open_adapter(struct rig *r) {
    struct tiny_model model = tiny_model_of("llama");
    struct tiny_adapter adapter = tiny_adapter_of();
    struct tiny_loaded l;
    struct bytes bytes = {0};
    struct error error = {0};
    model.head_dim = E;
    adapter.width = F;
    adapter.chunk = C;
    assert_true(tiny_model_load(&model, &l, NULL));
    assert_true(tiny_adapter_build(&adapter, &l.m, &bytes, NULL));
    char *path = tiny_file(bytes.data, bytes.size);
    assert_non_null(path);
    if (!adapter_open(&r->adapter, path, &l.m, &error)) {
        fail_msg("%s", error.text);
    }
    unlink(path);
    free(path);
    bytes_finish(&bytes);
    tiny_model_unload(&l);
}

/* `turning`: with true rotations, else positions turn nothing. */
static void open_rig(struct rig *r, uint32_t window, uint32_t sinks, uint32_t keep, bool turning) {
    *r = (struct rig){.shape = {.layers = 1,
                                .heads = H,
                                .kv_heads = M,
                                .head_dim = E,
                                .window = window,
                                .chunk = C,
                                .sinks = sinks,
                                .keep = keep,
                                .clip = 150,
                                .memory_width = F}};
    open_adapter(r);
    r->branch = &r->adapter.branches[0];
    r->layout = window_layout(&r->shape);
    const struct rope_config config = {.dims = E, .base = 100, .factor = 1};
    assert_true(rope_init(&r->rope, &config, NULL));
    for (int i = 0; !turning && i < E / 2; i++) {
        r->rope.frequency[i] = 0;
    }
    setenv("ALLMEM_KERNELS", "reference", 1);
    r->b = cpu_backend_create(1, NULL);
    assert_non_null(r->b);
    assert_true(r->b->ops->prepare(r->b, &r->shape, C, WIDEST, NULL));
    r->state = buffer_of(r, r->layout.bytes);
    r->q = buffer_of(r, C * sizeof in.q[0]);
    r->k = buffer_of(r, C * sizeof in.k[0]);
    r->v = buffer_of(r, C * sizeof in.v[0]);
    r->rates = buffer_of(r, C * sizeof in.rates[0]);
    r->gate = buffer_of(r, C * sizeof in.gate[0]);
    r->out = buffer_of(r, C * sizeof in.q[0]);
    r->b->ops->buffer_write(r->b, r->state, r->layout.fast, r->branch->w2, M * FE * sizeof(float));
}

static void close_rig(struct rig *r) {
    struct buffer *buffers[] = {r->state, r->q, r->k, r->v, r->rates, r->gate, r->out};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        r->b->ops->buffer_destroy(r->b, buffers[i]);
    }
    r->b->ops->destroy(r->b);
    rope_finish(&r->rope);
    adapter_close(&r->adapter);
}

/* Rows [p, p + rows) of the inputs, in one chunk, as transformer.c runs them. */
static void step(struct rig *r, uint64_t p, size_t rows, bool writes, float out[][H][E]) {
    const struct backend_ops *ops = r->b->ops;
    const struct attention_step s = {.shape = &r->shape,
                                     .state = r->state,
                                     .memory = r->branch,
                                     .writes = writes,
                                     .position = p,
                                     .rows = rows,
                                     .q = r->q,
                                     .k = r->k,
                                     .v = r->v,
                                     .rates = r->rates,
                                     .gate = r->gate,
                                     .out = r->out};
    ops->buffer_write(r->b, r->q, 0, in.q[p], rows * sizeof in.q[0]);
    ops->buffer_write(r->b, r->k, 0, in.k[p], rows * sizeof in.k[0]);
    ops->buffer_write(r->b, r->v, 0, in.v[p], rows * sizeof in.v[0]);
    ops->buffer_write(r->b, r->rates, 0, in.rates[p], rows * sizeof in.rates[0]);
    ops->buffer_write(r->b, r->gate, 0, in.gate[p], rows * sizeof in.gate[0]);
    ops->positions(r->b, &r->rope, &r->shape, p, rows);
    if (window_leaves(&r->shape, p)) {
        ops->window_retire(r->b, &s);
        ops->memory_write(r->b, &s);
    }
    ops->window_store(r->b, &s);
    ops->window_attend(r->b, &s);
    if (window_written_at(&r->shape, p - p % C) > 0) {
        ops->memory_read(r->b, &s);
    }
    ops->buffer_read(r->b, r->out, 0, out, rows * sizeof in.q[0]);
}

/* ---- the same in plain C ---- */

struct head {
    double w[E][F]; /* fast weights */
    double z[2 * E];
    int sinks, kept[MOST], kept_count, written;
    int ring; /* oldest position in the ring */
    double score[MOST];
};

struct plain {
    const struct rig *r;
    struct head heads[M];
};

static void start_plain(struct plain *x, const struct rig *r) {
    *x = (struct plain){.r = r};
    for (int i = 0; i < M * FE; i++) {
        x->heads[i / FE].w[i % FE / F][i % F] = (double)r->branch->w2[i];
    }
}

static void rms(double *x) {
    double sum = 0;
    for (int i = 0; i < E; i++) {
        sum += x[i] * x[i] / E;
    }
    for (int i = 0; i < E; i++) {
        x[i] /= sqrt(sum + 1e-6);
    }
}

static void product(const float *matrix, const double *x, double *y) {
    for (int i = 0; i < E; i++) {
        y[i] = 0;
        for (int j = 0; j < E; j++) {
            y[i] += (double)matrix[i * E + j] * x[j];
        }
    }
}

static void features(const float *map, const float *x, double *y) {
    double t[E];
    for (int i = 0; i < E; i++) {
        t[i] = (double)x[i];
    }
    rms(t);
    product(map, t, y);
    rms(y);
}

static double logistic(double x) {
    return 1 / (1 + exp(-x));
}

/* h = silu(w1 x) * (w3 x) of head m */
static void hidden(const struct memory_branch *b, int m, const double *x, double *h) {
    for (int i = 0; i < F; i++) {
        double g = 0, u = 0;
        for (int j = 0; j < E; j++) {
            g += (double)b->w1[m * FE + i * E + j] * x[j];
            u += (double)b->w3[m * FE + i * E + j] * x[j];
        }
        h[i] = g * logistic(g) * u;
    }
}

static double step_of(int p, int m) {
    return fmin(log(1 + exp((double)in.rates[p][0][m])), WINDOW_MAX_STEP) / sqrt(F);
}

/* Solves X A = B for X [E][F], A [F][F] symmetric: elimination without pivots, as A has none below
 * 1. Overwrites both; X is in B. */
static void eliminate(double a[F][F], double b[E][F]) {
    for (int i = 0; i < F; i++) {
        for (int j = i + 1; j < F; j++) {
            const double share = a[i][j] / a[i][i];
            for (int l = 0; l < F; l++) {
                a[l][j] -= share * a[l][i];
            }
            for (int l = 0; l < E; l++) {
                b[l][j] -= share * b[l][i];
            }
        }
    }
    for (int i = F; i-- > 0;) {
        for (int l = 0; l < E; l++) {
            b[l][i] /= a[i][i];
            for (int j = 0; j < i; j++) {
                b[l][j] -= a[i][j] * b[l][i];
            }
        }
    }
}

/* The minimiser of sum d^2 |W h - v|^2 / 2 + |W - W_before|^2 / 2 by its normal equations, which
 * are F x F where the backend's are as many as there are tokens. */
static void plain_write(struct plain *x, int m, const int *at, int n, bool writes) {
    struct head *head = &x->heads[m];
    const struct memory_branch *b = x->r->branch;
    double stays = 0, system[F][F] = {{0}};
    if (n == 0) {
        return;
    }
    for (int t = 0; t < n; t++) {
        stays += logistic((double)in.rates[at[t]][1][m]) / n;
    }
    for (int i = 0; i < 2 * E; i++) {
        head->z[i] *= stays;
    }
    for (int i = 0; writes && i < FE; i++) {
        const double first = (double)b->w2[m * FE + i];
        head->w[i / F][i % F] = first + stays * (head->w[i / F][i % F] - first);
        system[i % F][i % F] = 1;
    }
    for (int t = 0; t < n; t++) {
        double k[E], a[E], h[F];
        for (int i = 0; i < E; i++) {
            k[i] = (double)in.k[at[t]][m][i];
        }
        product(b->ev_k + m * E * E, k, a);
        for (int i = 0; i < E; i++) {
            head->z[i] += exp(fmin(a[i] / pow(E, 0.25), 15));
            head->z[E + i] += exp(fmin(-a[i] / pow(E, 0.25), 15));
        }
        features(b->k_map + m * E * E, in.k[at[t]][m], k);
        hidden(b, m, k, h);
        const double d = step_of(at[t], m);
        for (int i = 0; writes && i < F; i++) {
            for (int j = 0; j < F; j++) {
                system[i][j] += d * d * h[i] * h[j];
            }
            for (int j = 0; j < E; j++) {
                head->w[j][i] += d * d * h[i] * (double)in.v[at[t]][m][j] / (double)b->v_scale;
            }
        }
    }
    head->written += n;
    if (writes) {
        eliminate(system, head->w);
    }
}

/* What a token gave to attention of late: what it received, times the length of its value. */
static double worth(const struct head *head, int m, int position) {
    double square = 0;
    for (int i = 0; i < E; i++) {
        square += (double)in.v[position][m][i] * (double)in.v[position][m][i];
    }
    return head->score[position] * sqrt(square);
}

/* The block's tokens leave the ring: sinks, then the best stay, the others are written. */
static void plain_retire(struct plain *x, int m, bool writes) {
    struct head *head = &x->heads[m];
    const int S = (int)x->r->shape.sinks, B = (int)x->r->shape.keep;
    int rivals[MOST], n = 0, gone[MOST], count = 0;
    for (int i = 0; i < head->kept_count; i++) {
        head->score[head->kept[i]] *= 1 - C / (double)x->r->shape.window;
        rivals[n++] = head->kept[i];
    }
    for (int i = 0; i < C; i++) {
        if (head->ring + i < S) {
            head->sinks++;
        } else {
            rivals[n++] = head->ring + i;
        }
    }
    head->ring += C;
    head->kept_count = 0;
    for (int i = 0; i < n; i++) {
        int better = 0;
        for (int j = 0; j < n; j++) {
            double a = worth(head, m, rivals[j]), b = worth(head, m, rivals[i]);
            better += a > b || (a == b && rivals[j] < rivals[i]);
        }
        if (better < B) {
            head->kept[head->kept_count++] = rivals[i];
        } else {
            gone[count++] = rivals[i];
        }
    }
    plain_write(x, m, gone, count, writes);
}

static void plain_query(struct plain *x, int p, int h, double *out) {
    struct head *head = &x->heads[h / R];
    const struct memory_branch *b = x->r->branch;
    int m = h / R, places[MOST], n = 0;
    double share[MOST], lse = 0;
    for (int i = 0; i < head->sinks; i++) {
        places[n++] = i;
    }
    for (int i = 0; i < head->kept_count; i++) {
        places[n++] = head->kept[i];
    }
    for (int i = head->ring; i <= p; i++) {
        places[n++] = i;
    }
    for (int i = 0; i < n; i++) {
        double score = 0;
        for (int j = 0; j < E; j++) {
            score += (double)in.q[p][h][j] * (double)in.k[places[i]][m][j];
        }
        share[i] = exp(score / sqrt(E)); /* inputs are small: no overflow */
        lse += share[i];
    }
    memset(out, 0, E * sizeof *out);
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < E; j++) {
            out[j] += share[i] / lse * (double)in.v[places[i]][m][j];
        }
        const bool kept = i >= head->sinks && i < head->sinks + head->kept_count;
        if (kept || (places[i] >= head->ring && p - places[i] >= WINDOW_SCORE_DELAY)) {
            head->score[places[i]] += share[i] / lse;
        }
    }
    lse = log(lse);
    if (head->written == 0) {
        return;
    }
    double query[E], a[E], hid[F], o[E] = {0}, up = 0, down = 0, evidence = 0;
    features(b->q_map + h * E * E, in.q[p][h], query);
    hidden(b, m, query, hid);
    for (int i = 0; i < FE; i++) {
        o[i / F] += head->w[i / F][i % F] * hid[i % F];
    }
    for (int i = 0; i < E; i++) {
        query[i] = (double)in.q[p][h][i];
    }
    product(b->ev_q + h * E * E, query, a);
    for (int i = 0; i < E; i++) {
        up += exp(a[i] / pow(E, 0.25));
        down += exp(-a[i] / pow(E, 0.25));
    }
    for (int i = 0; i < E; i++) {
        evidence += exp(a[i] / pow(E, 0.25)) / up * head->z[i] +
                    exp(-a[i] / pow(E, 0.25)) / down * head->z[E + i];
    }
    double gate =
        logistic((double)in.gate[p][h] + (double)b->gate_lse[h] * lse + log(evidence + 1e-9));
    for (int i = 0; i < E; i++) {
        out[i] = (1 - gate) * out[i] + gate * (double)b->alpha[h * E + i] * o[i];
    }
}

/* ---- comparisons ---- */

/* |a - b| / |b| */
static double apart(const float *a, const double *b, size_t n) {
    double difference = 0, length = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        length += b[i] * b[i];
    }
    return sqrt(difference) / fmax(sqrt(length), 1e-12);
}

static void compare_states(struct rig *r, const struct plain *x, int p) {
    float weights[M][FE], evidence[M][2 * E];
    const struct backend_ops *ops = r->b->ops;
    uint32_t kept[64];
    ops->buffer_read(r->b, r->state, r->layout.evidence, evidence, sizeof evidence);
    ops->buffer_read(r->b, r->state, r->layout.fast, weights, sizeof weights);
    for (int m = 0; m < M; m++) {
        const struct head *head = &x->heads[m];
        const double difference = apart(weights[m], head->w[0], FE);
        if (!(difference < 1e-5)) {
            fail_msg("position %d, head %d: weights are %g apart", p, m, difference);
        }
        assert_true(apart(evidence[m], head->z, 2 * E) < 1e-5);
        const size_t B = r->shape.keep;
        ops->buffer_read(r->b, r->state, r->layout.kept_at + (size_t)m * B * 4, kept, B * 4);
        assert_int_equal(window_kept_at(&r->shape, (uint64_t)p), head->kept_count);
        for (int i = 0; i < head->kept_count; i++) { /* in any order */
            bool found = false;
            for (int j = 0; j < head->kept_count; j++) {
                found = found || (int)kept[j] == head->kept[i];
            }
            if (!found) {
                fail_msg("position %d, head %d: token %d was not kept", p, m, head->kept[i]);
            }
        }
    }
}

/* Runs both over the inputs, `rows` at a time, and compares each row and each chunk's state. */
static void run_both(struct rig *r, struct plain *x, size_t rows, bool writes) {
    float out[C][H][E];
    start_plain(x, r);
    for (int p = 0; p < MOST;) {
        size_t n = (size_t)(C - p % C) < rows ? (size_t)(C - p % C) : rows;
        step(r, (uint64_t)p, n, writes, out);
        for (int m = 0; m < M && window_leaves(&r->shape, (uint64_t)p); m++) {
            plain_retire(x, m, writes);
        }
        if (p % C == 0) {
            compare_states(r, x, p);
        }
        for (size_t i = 0; i < n; i++, p++) {
            for (int h = 0; h < H; h++) {
                double expected[E];
                plain_query(x, p, h, expected);
                if (apart(out[i][h], expected, E) > 1e-4) {
                    fail_msg("position %d, head %d: %g apart", p, h, apart(out[i][h], expected, E));
                }
            }
        }
    }
}

/* ---- tests ---- */

static void a_layer_is_what_plain_c_says(void **state) {
    (void)state;
    static const struct {
        uint32_t window, sinks, keep;
        size_t rows;
        bool writes;
        float steep; /* raw steps times this; many are beyond the limit */
    } cases[] = {
        {32, 4, 0, C, true, 1},  {32, 4, 0, 1, true, 1}, {80, 0, 5, C, true, 1},
        {80, 3, 20, 5, true, 1}, {96, C, 7, 1, true, 1}, {80, 2, 40, C, true, 1},
        {80, 4, 5, C, false, 1}, {16, 0, 0, 7, true, 1}, {80, 4, 5, C, true, 30},
    };
    static struct plain x;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig r;
        draw_inputs(i + 1);
        for (int p = 0; p < MOST * M; p++) {
            in.rates[p / M][0][p % M] *= cases[i].steep;
        }
        open_rig(&r, cases[i].window, cases[i].sinks, cases[i].keep, false);
        run_both(&r, &x, cases[i].rows, cases[i].writes);
        for (int m = 0; m < M; m++) {
            assert_int_equal(x.heads[m].written, window_written_at(&r.shape, MOST - C));
        }
        close_rig(&r);
    }
}

/* The inner loss of tokens [0, C), each weighted by its step. */
static double inner_loss(const struct memory_branch *b, int m, double w[E][F]) {
    double sum = 0;
    for (int t = 0; t < C; t++) {
        double x[E], h[F], d = step_of(t, m);
        features(b->k_map + m * E * E, in.k[t][m], x);
        hidden(b, m, x, h);
        for (int j = 0; j < E; j++) {
            double err = -(double)in.v[t][m][j] / (double)b->v_scale;
            for (int i = 0; i < F; i++) {
                err += w[j][i] * h[i];
            }
            sum += 0.5 * d * d * err * err;
        }
    }
    return sum;
}

/* After the first write the way gone is the inner loss's slope where it ended: nothing has decayed
 * yet, as the weights were still the first ones. */
static void a_write_is_an_implicit_step_of_the_inner_loss(void **state) {
    (void)state;
    struct rig r;
    float out[C][H][E], now[M][FE];
    draw_inputs(77);
    open_rig(&r, C, 0, 0, false);
    for (uint64_t p = 0; p < 3 * C; p += C) {
        step(&r, p, C, true, out);
    }
    r.b->ops->buffer_read(r.b, r.state, r.layout.fast, now, sizeof now);
    for (int m = 0; m < M; m++) {
        double w[E][F], slope[FE];
        float gone[FE];
        for (int i = 0; i < FE; i++) {
            w[i / F][i % F] = (double)now[m][i];
            gone[i] = r.branch->w2[m * FE + i] - now[m][i];
        }
        for (int i = 0; i < FE; i++) {
            const double h = 1e-5;
            double *at = &w[i / F][i % F], here = *at;
            *at = here + h;
            double above = inner_loss(r.branch, m, w);
            *at = here - h;
            slope[i] = (above - inner_loss(r.branch, m, w)) / (2 * h);
            *at = here;
        }
        double difference = apart(gone, slope, FE);
        if (!(difference < 1e-3)) {
            fail_msg("head %d: %g apart", m, difference);
        }
    }
    close_rig(&r);
}

static void sort(uint32_t *x, size_t n) {
    for (size_t i = 1; i < n; i++) {
        for (size_t j = i; j && x[j - 1] > x[j]; j--) {
            uint32_t v = x[j];
            x[j] = x[j - 1];
            x[j - 1] = v;
        }
    }
}

static void kept_tokens(struct rig *r, size_t m, uint32_t *kept) {
    const size_t B = r->shape.keep;
    r->b->ops->buffer_read(r->b, r->state, r->layout.kept_at + m * B * 4, kept, B * 4);
    sort(kept, B);
}

/* All queries look for one direction; a few keys of each head have it. */
static void tokens_that_are_attended_to_stay(void **state) {
    (void)state;
    static const uint32_t wanted[M][4] = {{5, 23, 24, 90}, {47, 48, 95, 113}};
    for (size_t rows = 1; rows <= C; rows += C - 1) {
        struct rig r;
        float out[C][H][E];
        uint32_t kept[4];
        draw_inputs(3);
        for (int p = 0; p < MOST; p++) {
            for (int i = 0; i < H * E; i++) {
                in.q[p][i / E][i % E] = i % E == 0 ? 4 : 0;
            }
            for (int m = 0; m < M; m++) {
                in.k[p][m][0] = 0;
            }
        }
        for (int i = 0; i < M * 4; i++) {
            in.k[wanted[i / 4][i % 4]][i / 4][0] = 3;
        }
        open_rig(&r, 96, 2, 4, false);
        for (uint64_t p = 0; p < MOST; p += rows) {
            step(&r, p, rows, true, out);
        }
        for (size_t m = 0; m < M; m++) {
            kept_tokens(&r, m, kept);
            for (int i = 0; i < 4; i++) {
                assert_int_equal(kept[i], wanted[m][i]);
            }
        }
        close_rig(&r);
    }
}

/* In a ring shorter than the delay no token has a score: all are equal, and the oldest stay. */
static void of_equals_the_oldest_stay(void **state) {
    (void)state;
    struct rig r;
    float out[C][H][E];
    uint32_t kept[10];
    draw_inputs(4);
    open_rig(&r, 32, 3, 10, false);
    for (uint64_t p = 0; p < MOST; p += C) {
        step(&r, p, C, true, out);
        for (size_t m = 0; m < M && p >= 64; m++) {
            kept_tokens(&r, m, kept);
            for (uint32_t i = 0; i < 10; i++) {
                assert_int_equal(kept[i], 3 + i);
            }
        }
    }
    close_rig(&r);
}

/* With true rotations: the keys of sinks and kept tokens in their slots are those of position
 * max(own, t - clip), and the unturned ones beside them those that came in. */
static void far_tokens_are_read_from_the_clipped_distance(void **state) {
    (void)state;
    struct rig r;
    float out[C][H][E];
    draw_inputs(5);
    open_rig(&r, 80, 4, 6, true);
    const size_t slots = window_slots(&r.shape), ring = window_ring(&r.shape), far = 4 + 6;
    int clipped = 0, true_distance = 0;
    for (uint64_t t = 0; t < MOST; t += C) {
        step(&r, t, C, true, out);
        size_t n = window_sinks_at(&r.shape, t) + window_kept_at(&r.shape, t);
        for (size_t i = 0; i < M * n; i++) {
            size_t m = i / n, place = i % n;
            uint16_t turned[E], unturned[E];
            uint32_t kept[6];
            float row[E], key[E];
            r.b->ops->buffer_read(r.b, r.state, r.layout.keys + (m * slots + ring + place) * E * 2,
                                  turned, sizeof turned);
            r.b->ops->buffer_read(r.b, r.state, r.layout.far_keys + (m * far + place) * E * 2,
                                  unturned, sizeof unturned);
            r.b->ops->buffer_read(r.b, r.state, r.layout.kept_at + m * sizeof kept, kept,
                                  sizeof kept);
            uint64_t own = place < 4 ? place : kept[place - 4];
            bool clip = t > 150 && own < t - 150;
            clipped += clip;
            true_distance += !clip && t > 150;
            memcpy(key, in.k[own][m], sizeof key);
            rope_row(&r.rope, clip ? t - 150 : own, row);
            rope_turn(&r.rope, row, false, key);
            for (int j = 0; j < E; j++) { /* up to three roundings to 11 bits, of up to 2.8 */
                assert_true(fabsf(quant_f16_to(unturned[j]) - in.k[own][m][j]) < 3e-3f);
                assert_true(fabsf(quant_f16_to(turned[j]) - key[j]) < 5e-3f);
            }
        }
    }
    assert_true(clipped > 20 && true_distance > 5); /* both were seen */
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_is_what_plain_c_says),
        cmocka_unit_test(a_write_is_an_implicit_step_of_the_inner_loss),
        cmocka_unit_test(tokens_that_are_attended_to_stay),
        cmocka_unit_test(of_equals_the_oldest_stay),
        cmocka_unit_test(far_tokens_are_read_from_the_clipped_distance),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
