/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of a memory head's work over a sequence, its tape, and the projections of x.
 */
#include "engine/finetune/branch.h"

#include <math.h>
#include <string.h>

#include "engine/finetune/branch_private.h"

static const float RMS_EPS = 1e-6f;

size_t branch_first_read(const struct branch_shape *s, size_t window) {
    return window + s->chunk;
}

size_t branch_writes(const struct branch_shape *s, size_t length, size_t window) {
    return (length - branch_first_read(s, window)) / s->chunk;
}

/* Gives out the parts of a block of memory, or measures it. */
static float *take(float **at, size_t floats) {
    float *here = *at;
    *at += floats;
    return here;
}

static void lay_tape(struct head *h, size_t length, float **at) {
    const size_t states = h->writes + 1, reads = length - h->first;
    h->fast = take(at, states * h->set);
    h->momentum = take(at, states * h->set);
    h->z = take(at, states * 2 * h->e);
    h->step_norm = take(at, states * 3);
    h->theta = take(at, states);
    h->row_norm = take(at, 2 * h->f + h->e);
    h->cap = take(at, 3);
    h->o = take(at, h->R * reads * h->e);
    h->logit = take(at, h->R * reads);
}

static struct head sizes_of(const struct branch_shape *s, size_t length, size_t window) {
    return (struct head){
        .e = s->head_dim,
        .f = s->memory_width,
        .C = s->chunk,
        .M = s->kv_heads,
        .H = s->heads,
        .R = s->heads / s->kv_heads,
        .set = 3 * s->memory_width * s->head_dim,
        .writes = branch_writes(s, length, window),
        .first = branch_first_read(s, window),
        .c4 = powf((float)s->head_dim, -0.25f),
    };
}

size_t branch_tape_floats(const struct branch_shape *s, size_t length, size_t window) {
    struct head h = sizes_of(s, length, window);
    const size_t states = h.writes + 1, reads = length - h.first;
    size_t floats =
        states * (2 * h.set + 2 * h.e + 4) + 2 * h.f + h.e + 3 + h.R * reads * (h.e + 1);
    return (floats + 15) / 16 * 16;
}

struct head head_of(const struct branch_pass *p, size_t m) {
    struct head h = sizes_of(p->shape, p->length, p->window);
    h.pass = p;
    h.k = p->kernels;
    h.m = m;
    float *at = p->tape + m * branch_tape_floats(p->shape, p->length, p->window);
    lay_tape(&h, p->length, &at);
    return h;
}

struct fast fast_at(const struct head *h, float *set) {
    const size_t fe = h->f * h->e;
    return (struct fast){set, set + fe, set + 2 * fe};
}

float dot(const float *a, const float *b, size_t n) {
    float lanes[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (size_t l = 0; l < 16; l++) {
            lanes[l] += a[i + l] * b[i + l];
        }
    }
    float sum = 0;
    for (size_t l = 0; l < 16; l++) {
        sum += lanes[l];
    }
    for (; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

float sigmoid(float x) {
    return 1 / (1 + expf(-x));
}

float rms_row(const struct kernels *k, const float *x, size_t e, float *y) {
    const float factor = 1 / sqrtf(k->square_sum(x, e) / (float)e + RMS_EPS);
    for (size_t i = 0; i < e; i++) {
        y[i] = x[i] * factor;
    }
    return factor;
}

void rms_row_back(const float *y, float factor, size_t e, float *g) {
    const float along = dot(y, g, e) / (float)e;
    for (size_t i = 0; i < e; i++) {
        g[i] = factor * (g[i] - y[i] * along);
    }
}

/* ---- the chunks in order ---- */

static float norm_of(const struct kernels *k, const float *x, size_t n) {
    return sqrtf(k->square_sum(x, n));
}

/* State 0: the parameters themselves, and the norms that the fast weights are held to. */
static void start(const struct head *h) {
    const struct branch_values *v = &h->pass->values;
    const size_t e = h->e, f = h->f, fe = f * e;
    const struct fast w = fast_at(h, h->fast);
    memcpy(w.w1, v->w1 + h->m * fe, fe * sizeof(float));
    memcpy(w.w2, v->w2 + h->m * fe, fe * sizeof(float));
    memcpy(w.w3, v->w3 + h->m * fe, fe * sizeof(float));
    memset(h->momentum, 0, h->set * sizeof(float));
    memset(h->z, 0, 2 * e * sizeof(float));
    float *norm = h->row_norm;
    for (size_t r = 0; r < f; r++) {
        *norm++ = norm_of(h->k, w.w1 + r * e, e);
    }
    for (size_t r = 0; r < e; r++) {
        *norm++ = norm_of(h->k, w.w2 + r * f, f);
    }
    for (size_t r = 0; r < f; r++) {
        *norm++ = norm_of(h->k, w.w3 + r * e, e);
    }
    for (size_t i = 0; i < 3; i++) {
        h->cap[i] = h->pass->shape->clip * norm_of(h->k, h->fast + i * fe, fe);
    }
}

void branch_forward(const struct branch_pass *p, size_t m, float *scratch) {
    const struct head h = head_of(p, m);
    const size_t row = h.H * h.e, columns = h.R * h.e;
    for (size_t i = 0; i < h.first; i++) { /* nothing has left: the gate is 0 */
        memcpy(p->y + i * row + m * columns, p->swa + i * row + m * columns,
               columns * sizeof(float));
    }
    start(&h);
    for (size_t j = 1; j <= h.writes; j++) {
        write_forward(&h, j, scratch);
        read_forward(&h, j, h.first + (j - 1) * h.C, scratch);
    }
}

/* The initial weights also set the norms: |row| of each row, and clip |w| of each matrix. */
static void norms_back(const struct head *h, const struct adjoint *a) {
    const size_t e = h->e, f = h->f, fe = f * e;
    const struct fast w = fast_at(h, h->fast), g = fast_at(h, a->fast);
    const struct {
        float *w, *g;
        size_t rows, columns;
    } matrices[3] = {{w.w1, g.w1, f, e}, {w.w2, g.w2, e, f}, {w.w3, g.w3, f, e}};
    const float *norm = h->row_norm, *g_norm = a->row_norm;
    for (size_t i = 0; i < 3; i++) {
        const size_t columns = matrices[i].columns;
        for (size_t r = 0; r < matrices[i].rows; r++) {
            h->k->add_scaled(matrices[i].g + r * columns, *g_norm++ / (*norm++ + 1e-30f),
                             matrices[i].w + r * columns, columns);
        }
        const float clip = h->pass->shape->clip, whole = h->cap[i] / clip;
        h->k->add_scaled(matrices[i].g, a->cap[i] * clip / (whole + 1e-30f), matrices[i].w, fe);
    }
}

/* The gradients that a head adds up start at zero. */
static void clear_gradients(const struct head *h) {
    const struct branch_pass *p = h->pass;
    const struct branch_values *g = &p->gradients;
    const size_t e = h->e, ee = e * e, from = h->m * h->R;
    memset(g->q_map + from * ee, 0, h->R * ee * sizeof(float));
    memset(g->ev_q + from * ee, 0, h->R * ee * sizeof(float));
    memset(g->k_map + h->m * ee, 0, ee * sizeof(float));
    memset(g->ev_k + h->m * ee, 0, ee * sizeof(float));
    memset(g->gate_lse + from, 0, h->R * sizeof(float));
    memset(g->alpha + from * e, 0, h->R * e * sizeof(float));
}

/* Positions that are not read have no gradient at the gate, those that are never written none at
 * the rates. The others are overwritten by read_back and write_back. */
static void clear_projections(const struct head *h) {
    const struct branch_pass *p = h->pass;
    const size_t written = h->writes * h->C;
    for (size_t i = 0; i < p->length; i++) {
        for (size_t r = 0; i < h->first && r < h->R; r++) {
            p->gates[i * h->H + h->m * h->R + r] = 0;
        }
        for (size_t c = 0; (i >= written || i < p->shape->sinks) && c < 4; c++) {
            p->rates[i * 4 * h->M + c * h->M + h->m] = 0;
        }
    }
}

void branch_back(const struct branch_pass *p, size_t m, float *scratch) {
    const struct head h = head_of(p, m);
    float *at = scratch;
    struct adjoint a;
    a.fast = take(&at, h.set);
    a.momentum = take(&at, h.set);
    a.z = take(&at, 2 * h.e);
    a.row_norm = take(&at, 2 * h.f + h.e);
    a.cap = take(&at, 3);
    memset(scratch, 0, (size_t)(at - scratch) * sizeof(float));
    at = scratch + ((size_t)(at - scratch) + 15) / 16 * 16;
    clear_gradients(&h);
    for (size_t j = h.writes; j > 0; j--) {
        read_back(&h, j, h.first + (j - 1) * h.C, &a, at);
        write_back(&h, j, &a, at);
    }
    clear_projections(&h);
    norms_back(&h, &a);
    const size_t fe = h.f * h.e;
    const struct fast g = fast_at(&h, a.fast);
    memcpy(p->gradients.w1 + m * fe, g.w1, fe * sizeof(float));
    memcpy(p->gradients.w2 + m * fe, g.w2, fe * sizeof(float));
    memcpy(p->gradients.w3 + m * fe, g.w3, fe * sizeof(float));
}

size_t branch_scratch_floats(const struct branch_shape *s) {
    const size_t e = s->head_dim, f = s->memory_width;
    const size_t adjoints = 6 * f * e + 2 * e + 2 * f + e + 3 + 16;
    const size_t read = read_scratch(s), write = write_scratch(s);
    return (adjoints + (read > write ? read : write) + 15) / 16 * 16;
}

/* ---- projections of x ---- */

/* y = x w^T + b, rows of n. */
static void project(const struct kernels *k, const float *x, const float *w, const float *b,
                    size_t rows, size_t n, size_t d, float *y) {
    k->gemm(false, true, rows, n, d, x, d, w, d, y, n, false);
    for (size_t i = 0; i < rows; i++) {
        k->add(y + i * n, b, n);
    }
}

void branch_project(const struct branch_pass *p, size_t from, size_t rows) {
    const size_t d = p->shape->width, H = p->shape->heads, M = p->shape->kv_heads;
    const struct branch_values *v = &p->values;
    const float *x = p->x + from * d;
    project(p->kernels, x, v->rates_w, v->rates_b, rows, 4 * M, d, p->rates + from * 4 * M);
    project(p->kernels, x, v->gate_w, v->gate_b, rows, H, d, p->gates + from * H);
}

static void project_back(const struct kernels *k, const float *x, const float *gy, size_t rows,
                         size_t n, size_t d, float *gw, float *gb) {
    k->gemm(true, false, n, d, rows, gy, n, x, d, gw, d, false);
    memset(gb, 0, n * sizeof(float));
    for (size_t i = 0; i < rows; i++) {
        k->add(gb, gy + i * n, n);
    }
}

void branch_project_back(const struct branch_pass *p) {
    const size_t d = p->shape->width, H = p->shape->heads, M = p->shape->kv_heads;
    const struct branch_values *g = &p->gradients;
    project_back(p->kernels, p->x, p->rates, p->length, 4 * M, d, g->rates_w, g->rates_b);
    project_back(p->kernels, p->x, p->gates, p->length, H, d, g->gate_w, g->gate_b);
    *g->v_scale = 0;
}

float branch_mean_logit(const struct branch_pass *p, size_t head) {
    const size_t R = p->shape->heads / p->shape->kv_heads;
    const struct head h = head_of(p, head / R);
    const size_t reads = p->length - h.first;
    double sum = 0;
    for (size_t i = 0; i < reads; i++) {
        sum += (double)h.logit[head % R * reads + i];
    }
    return (float)(sum / (double)reads);
}
