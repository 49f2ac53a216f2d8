/* SPDX-License-Identifier: Apache-2.0
 *
 * One layer of the CPU backend (window_retire, memory_write, window_store, window_attend,
 * memory_read) against the same layer in plain C, in double precision and token by token, written
 * from the maths of engine/README.md; and the step of a write against finite differences of the
 * inner loss. Keys and values are numbers that binary16 holds, and positions do not turn them
 * unless a test says so: what is left are the backend's own rounding errors.
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
    float rates[MOST][4][M]; /* raw: lr of w1, w2, w3, momentum */
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
        for (int i = 0; i < 4 * M; i++) {
            in.rates[p][i / M][i % M] = (i < 3 * M ? -5 : 0) + 2 * number();
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

static void open_adapter(struct rig *r, float clip) {
    struct tiny_model model = tiny_model_of("llama");
    struct tiny_adapter adapter = tiny_adapter_of();
    struct tiny_loaded l;
    struct bytes bytes = {0};
    struct error error = {0};
    model.head_dim = E;
    adapter.width = F;
    adapter.chunk = C;
    adapter.clip = clip;
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
static void open_rig(struct rig *r, uint32_t window, uint32_t sinks, uint32_t keep, float clip,
                     bool turning) {
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
    open_adapter(r, clip);
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
    const float *initial[3] = {r->branch->w1, r->branch->w2, r->branch->w3};
    for (size_t i = 0; i < 3 * M; i++) {
        r->b->ops->buffer_write(r->b, r->state, r->layout.fast + i * FE * sizeof(float),
                                initial[i % 3] + i / 3 * FE, FE * sizeof(float));
    }
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

struct net {
    double w[3][FE]; /* w1 [F][E], w2 [E][F], w3 [F][E] */
};

struct head {
    struct net net, momentum;
    double z[2 * E];
    int sinks, kept[MOST], kept_count, written;
    int ring; /* oldest position in the ring */
    double score[MOST];
    int clipped; /* steps */
};

struct plain {
    const struct rig *r;
    struct head heads[M];
};

static void start_plain(struct plain *x, const struct rig *r) {
    *x = (struct plain){.r = r};
    const float *initial[3] = {r->branch->w1, r->branch->w2, r->branch->w3};
    for (int m = 0; m < M; m++) {
        for (int i = 0; i < 3 * FE; i++) {
            x->heads[m].net.w[i / FE][i % FE] = (double)initial[i / FE][m * FE + i % FE];
        }
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

static void run_net(const struct net *n, const double *x, double *g, double *u, double *y) {
    for (int i = 0; i < F; i++) {
        g[i] = u[i] = 0;
        for (int j = 0; j < E; j++) {
            g[i] += n->w[0][i * E + j] * x[j];
            u[i] += n->w[2][i * E + j] * x[j];
        }
    }
    for (int i = 0; i < E; i++) {
        y[i] = 0;
        for (int j = 0; j < F; j++) {
            y[i] += n->w[1][i * F + j] * g[j] * logistic(g[j]) * u[j];
        }
    }
}

static double rate(int p, int m, int i) {
    double raw = (double)in.rates[p][i][m];
    return i < 3 ? log(1 + exp(raw)) : logistic(raw);
}

/* Rows of w go back to the norms of the adapter's. */
static void renormalise(struct net *n, const struct memory_branch *b, int m) {
    const float *initial[3] = {b->w1, b->w2, b->w3};
    for (int i = 0; i < 3; i++) {
        int columns = i == 1 ? F : E;
        for (int row = 0; row < FE / columns; row++) {
            double now = 0, then = 0;
            for (int j = 0; j < columns; j++) {
                double w = (double)initial[i][m * FE + row * columns + j];
                now += n->w[i][row * columns + j] * n->w[i][row * columns + j];
                then += w * w;
            }
            for (int j = 0; j < columns; j++) {
                n->w[i][row * columns + j] *= sqrt(then) / (sqrt(now) + 1e-6);
            }
        }
    }
}

/* d = the gradient of the inner loss of tokens at[0..n), each weighted by its step size. */
static void gradient(const struct net *w, const struct memory_branch *b, int m, const int *at,
                     int n, struct net *d) {
    *d = (struct net){0};
    for (int t = 0; t < n; t++) {
        double x[E], g[F], u[F], err[E];
        features(b->k_map + m * E * E, in.k[at[t]][m], x);
        run_net(w, x, g, u, err);
        for (int i = 0; i < E; i++) {
            err[i] -= (double)in.v[at[t]][m][i] / (double)b->v_scale;
        }
        for (int j = 0; j < F; j++) {
            double s = logistic(g[j]), dh = 0;
            for (int i = 0; i < E; i++) {
                dh += w->w[1][i * F + j] * err[i];
                d->w[1][i * F + j] += rate(at[t], m, 1) * err[i] * g[j] * s * u[j];
            }
            for (int i = 0; i < E; i++) {
                double slope = s + g[j] * s * (1 - s); /* of silu */
                d->w[0][j * E + i] += rate(at[t], m, 0) * dh * u[j] * slope * x[i];
                d->w[2][j * E + i] += rate(at[t], m, 2) * dh * g[j] * s * x[i];
            }
        }
    }
}

static void plain_write(struct plain *x, int m, const int *at, int n, bool writes) {
    struct head *head = &x->heads[m];
    const struct memory_branch *b = x->r->branch;
    double theta = 0;
    for (int t = 0; t < n; t++) {
        double k[E], a[E];
        for (int i = 0; i < E; i++) {
            k[i] = (double)in.k[at[t]][m][i];
        }
        product(b->ev_k + m * E * E, k, a);
        for (int i = 0; i < E; i++) {
            head->z[i] += exp(fmin(a[i] / pow(E, 0.25), 15));
            head->z[E + i] += exp(fmin(-a[i] / pow(E, 0.25), 15));
        }
        theta += rate(at[t], m, 3) / n;
    }
    head->written += n;
    if (!writes || n == 0) {
        return;
    }
    renormalise(&head->net, b, m);
    struct net d;
    gradient(&head->net, b, m, at, n, &d);
    for (int i = 0; i < 3; i++) {
        const float *initial[3] = {b->w1, b->w2, b->w3};
        double norm = 0, start = 0;
        for (int j = 0; j < FE; j++) {
            double w = (double)initial[i][m * FE + j];
            norm += d.w[i][j] * d.w[i][j];
            start += w * w;
        }
        double cap = (double)x->r->adapter.clip * sqrt(start), share = 1;
        if (sqrt(norm) > cap) {
            share = cap / sqrt(norm);
            head->clipped++;
        }
        for (int j = 0; j < FE; j++) {
            head->momentum.w[i][j] = theta * head->momentum.w[i][j] + share * d.w[i][j];
            head->net.w[i][j] -= head->momentum.w[i][j];
        }
    }
}

/* The block's tokens leave the ring: sinks, then the best stay, the others are written. */
static void plain_retire(struct plain *x, int m, bool writes) {
    struct head *head = &x->heads[m];
    const int S = (int)x->r->shape.sinks, B = (int)x->r->shape.keep;
    int rivals[MOST], n = 0, gone[MOST], count = 0;
    for (int i = 0; i < head->kept_count; i++) {
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
            double a = head->score[rivals[j]], b = head->score[rivals[i]];
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
        if (places[i] >= head->ring && p - places[i] >= WINDOW_SCORE_DELAY) {
            head->score[places[i]] += share[i] / lse;
        }
    }
    lse = log(lse);
    if (head->written == 0) {
        return;
    }
    double query[E], a[E], g[F], u[F], o[E], up = 0, down = 0, evidence = 0;
    features(b->q_map + h * E * E, in.q[p][h], query);
    run_net(&head->net, query, g, u, o);
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
    float weights[M][2][3][FE], evidence[M][2 * E];
    const struct backend_ops *ops = r->b->ops;
    uint32_t kept[64];
    ops->buffer_read(r->b, r->state, r->layout.evidence, evidence, sizeof evidence);
    for (int m = 0; m < M; m++) {
        const struct head *head = &x->heads[m];
        const size_t bytes = sizeof weights[0][0];
        ops->buffer_read(r->b, r->state, r->layout.fast + (size_t)m * bytes, weights[m][0], bytes);
        ops->buffer_read(r->b, r->state, r->layout.momentum + (size_t)m * bytes, weights[m][1],
                         bytes);
        for (int i = 0; i < 3; i++) {
            if (apart(weights[m][0][i], head->net.w[i], FE) > 1e-5 ||
                (head->written && apart(weights[m][1][i], head->momentum.w[i], FE) > 1e-4)) {
                fail_msg("position %d, head %d, w%d: %g, momentum %g apart", p, m, i + 1,
                         apart(weights[m][0][i], head->net.w[i], FE),
                         apart(weights[m][1][i], head->momentum.w[i], FE));
            }
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
    } cases[] = {
        {32, 4, 0, C, true}, {32, 4, 0, 1, true},  {80, 0, 5, C, true},  {80, 3, 20, 5, true},
        {96, C, 7, 1, true}, {80, 2, 40, C, true}, {80, 4, 5, C, false}, {16, 0, 0, 7, true},
    };
    static struct plain x;
    int clipped = 0, steps = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rig r;
        draw_inputs(i + 1);
        open_rig(&r, cases[i].window, cases[i].sinks, cases[i].keep, 0.1f, false);
        run_both(&r, &x, cases[i].rows, cases[i].writes);
        for (int m = 0; m < M; m++) {
            assert_int_equal(x.heads[m].written, window_written_at(&r.shape, MOST - C));
            clipped += x.heads[m].clipped;
            steps += cases[i].writes ? 3 * (MOST - (int)window_ring(&r.shape)) / C : 0;
        }
        close_rig(&r);
    }
    assert_in_range(clipped, steps / 20, steps * 19 / 20); /* both kinds were compared */
}

/* The inner loss of tokens at[0..n), each weighted by its step size of matrix i. */
static double inner_loss(const struct net *w, const struct memory_branch *b, int m, const int *at,
                         int n, int i) {
    double sum = 0;
    for (int t = 0; t < n; t++) {
        double x[E], g[F], u[F], y[E];
        features(b->k_map + m * E * E, in.k[at[t]][m], x);
        run_net(w, x, g, u, y);
        for (int j = 0; j < E; j++) {
            double err = y[j] - (double)in.v[at[t]][m][j] / (double)b->v_scale;
            sum += 0.5 * rate(at[t], m, i) * err * err;
        }
    }
    return sum;
}

/* After the first write, unclipped, the backend's momentum is the gradient. */
static void a_step_is_the_gradient_of_the_inner_loss(void **state) {
    (void)state;
    struct rig r;
    float out[C][H][E];
    int at[C];
    draw_inputs(77);
    open_rig(&r, C, 0, 0, 1e6f, false);
    for (int i = 0; i < C; i++) {
        at[i] = i;
    }
    for (uint64_t p = 0; p < 3 * C; p += C) {
        step(&r, p, C, true, out);
    }
    static struct plain x;
    start_plain(&x, &r);
    for (int m = 0; m < M; m++) {
        float step_of[3][FE];
        r.b->ops->buffer_read(r.b, r.state, r.layout.momentum + (size_t)m * sizeof step_of, step_of,
                              sizeof step_of);
        for (int i = 0; i < 3; i++) {
            double slope[FE];
            for (int j = 0; j < FE; j++) {
                struct net w = x.heads[m].net;
                const double h = 1e-5;
                w.w[i][j] += h;
                double above = inner_loss(&w, r.branch, m, at, C, i);
                w.w[i][j] -= 2 * h;
                slope[j] = (above - inner_loss(&w, r.branch, m, at, C, i)) / (2 * h);
            }
            double difference = apart(step_of[i], slope, FE);
            if (!(difference < 1e-3)) { /* seen: 1e-6 */
                fail_msg("head %d, w%d: %g apart", m, i + 1, difference);
            }
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
        open_rig(&r, 96, 2, 4, 0.1f, false);
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
    open_rig(&r, 32, 3, 10, 0.1f, false);
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
    open_rig(&r, 80, 4, 6, 0.1f, true);
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
        cmocka_unit_test(a_step_is_the_gradient_of_the_inner_loss),
        cmocka_unit_test(tokens_that_are_attended_to_stay),
        cmocka_unit_test(of_equals_the_oldest_stay),
        cmocka_unit_test(far_tokens_are_read_from_the_clipped_distance),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
