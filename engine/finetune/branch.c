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

/* Gives out the parts of a block of memory. */
static float *take(float **at, size_t floats) {
    float *here = *at;
    *at += floats;
    return here;
}

static struct head sizes_of(const struct branch_shape *s, size_t length, size_t window) {
    return (struct head){
        .e = s->head_dim,
        .f = s->memory_width,
        .C = s->chunk,
        .M = s->kv_heads,
        .H = s->heads,
        .R = s->heads / s->kv_heads,
        .fe = s->memory_width * s->head_dim,
        .writes = branch_writes(s, length, window),
        .first = branch_first_read(s, window),
        .c4 = powf((float)s->head_dim, -0.25f),
    };
}

size_t branch_tape_floats(const struct branch_shape *s, size_t length, size_t window) {
    const struct head h = sizes_of(s, length, window);
    const size_t states = h.writes + 1, reads = length - h.first;
    return (states * (h.fe + 2 * h.e + 1 + 2 * h.C) + h.R * reads * (h.e + 1) + 15) / 16 * 16;
}

static void lay_tape(struct head *h, size_t length, float *at) {
    const size_t states = h->writes + 1, reads = length - h->first;
    h->fast = take(&at, states * h->fe);
    h->z = take(&at, states * 2 * h->e);
    h->step = take(&at, states * h->C);
    h->decay = take(&at, states * h->C);
    h->stays = take(&at, states);
    h->o = take(&at, h->R * reads * h->e);
    h->logit = take(&at, h->R * reads);
}

struct head head_of(const struct branch_pass *p, size_t m) {
    struct head h = sizes_of(p->shape, p->length, p->window);
    h.pass = p;
    h.k = p->kernels;
    h.m = m;
    h.w1 = p->values.w1 + m * h.fe;
    h.w2 = p->values.w2 + m * h.fe;
    h.w3 = p->values.w3 + m * h.fe;
    h.d_w1 = p->gradients.w1 + m * h.fe;
    h.d_w2 = p->gradients.w2 + m * h.fe;
    h.d_w3 = p->gradients.w3 + m * h.fe;
    lay_tape(&h, p->length, p->tape + m * branch_tape_floats(p->shape, p->length, p->window));
    return h;
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

/* Writes at the start of the sequence that have nothing to write, while there is room for kept
 * tokens. Nothing is read after them either. */
static size_t empty_writes(const struct head *h) {
    size_t j = 0;
    while (j < h->writes && h->pass->written_count[j] == 0) {
        j++;
    }
    return j;
}

/* The first position that reads. */
static size_t first_read(const struct head *h) {
    return h->first + empty_writes(h) * h->C;
}

void branch_forward(const struct branch_pass *p, size_t m, float *scratch) {
    const struct head h = head_of(p, m);
    const size_t row = h.H * h.e, columns = h.R * h.e, empty = empty_writes(&h),
                 first = first_read(&h);
    for (size_t i = 0; i < first; i++) { /* nothing is written: the gate is 0 */
        memcpy(p->y + i * row + m * columns, p->swa + i * row + m * columns,
               columns * sizeof(float));
    }
    memcpy(h.fast, h.w2, h.fe * sizeof(float));
    memset(h.z, 0, 2 * h.e * sizeof(float));
    for (size_t j = 1; j <= h.writes; j++) {
        write_forward(&h, j, scratch);
        if (j > empty) {
            read_forward(&h, j, h.first + (j - 1) * h.C, scratch);
        }
    }
}

/* The gradients that a head adds up start at zero; so do those at rates and gates, of which those
 * of tokens that are never written and of queries that read nothing stay there. */
static void clear_gradients(const struct head *h) {
    const struct branch_pass *p = h->pass;
    const struct branch_values *g = &p->gradients;
    const size_t e = h->e, ee = e * e, from = h->m * h->R, first = first_read(h);
    memset(h->d_w1, 0, h->fe * sizeof(float));
    memset(h->d_w2, 0, h->fe * sizeof(float));
    memset(h->d_w3, 0, h->fe * sizeof(float));
    memset(g->q_map + from * ee, 0, h->R * ee * sizeof(float));
    memset(g->ev_q + from * ee, 0, h->R * ee * sizeof(float));
    memset(g->k_map + h->m * ee, 0, ee * sizeof(float));
    memset(g->ev_k + h->m * ee, 0, ee * sizeof(float));
    memset(g->gate_lse + from, 0, h->R * sizeof(float));
    memset(g->alpha + from * e, 0, h->R * e * sizeof(float));
    for (size_t i = 0; i < p->length; i++) {
        p->rates[i * 2 * h->M + h->m] = p->rates[(i * 2 + 1) * h->M + h->m] = 0;
        if (i < first) {
            memset(p->gates + i * h->H + from, 0, h->R * sizeof(float));
        }
    }
}

/* Where nothing is read, y is SWA. */
static void unread_back(const struct head *h) {
    const struct branch_pass *p = h->pass;
    const size_t row = h->H * h->e, columns = h->R * h->e, first = first_read(h);
    for (size_t i = 0; p->inputs.swa && i < first; i++) {
        const size_t at = i * row + h->m * columns;
        h->k->add(p->inputs.swa + at, p->y + at, columns);
    }
}

void branch_back(const struct branch_pass *p, size_t m, float *scratch) {
    const struct head h = head_of(p, m);
    const struct adjoint a = {.fast = scratch, .z = scratch + h.fe};
    const size_t floats = h.fe + 2 * h.e;
    float *rest = scratch + (floats + 15) / 16 * 16;
    memset(scratch, 0, floats * sizeof(float));
    clear_gradients(&h);
    for (size_t j = h.writes, empty = empty_writes(&h); j > empty; j--) {
        read_back(&h, j, h.first + (j - 1) * h.C, &a, rest);
        write_back(&h, j, &a, rest);
    }
    h.k->add(h.d_w2, a.fast, h.fe); /* W starts at w2 */
    unread_back(&h);
}

size_t branch_scratch_floats(const struct branch_shape *s) {
    const size_t e = s->head_dim, adjoints = s->memory_width * e + 2 * e + 15;
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
    if (p->shape->memory_width == 0) {
        project(p->kernels, x, v->merged_w, v->merged_b + p->kept * H, rows, H, d,
                p->gates + from * H);
        return;
    }
    project(p->kernels, x, v->rates_w, v->rates_b, rows, 2 * M, d, p->rates + from * 2 * M);
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
    if (p->shape->memory_width == 0) {
        memset(g->merged_b, 0, 2 * H * sizeof *g->merged_b);
        project_back(p->kernels, p->x, p->gates, p->length, H, d, g->merged_w,
                     g->merged_b + p->kept * H);
        return;
    }
    project_back(p->kernels, p->x, p->rates, p->length, 2 * M, d, g->rates_w, g->rates_b);
    project_back(p->kernels, p->x, p->gates, p->length, H, d, g->gate_w, g->gate_b);
    *g->v_scale = 0;
}

void branch_project_inputs(const struct branch_pass *p, size_t from, size_t rows, float *dx) {
    const size_t d = p->shape->width, H = p->shape->heads, M = p->shape->kv_heads;
    const struct branch_values *v = &p->values;
    const struct kernels *k = p->kernels;
    if (p->shape->memory_width == 0) {
        k->gemm(false, false, rows, d, H, p->gates + from * H, H, v->merged_w, d, dx + from * d, d,
                true);
        return;
    }
    k->gemm(false, false, rows, d, 2 * M, p->rates + from * 2 * M, 2 * M, v->rates_w, d,
            dx + from * d, d, true);
    k->gemm(false, false, rows, d, H, p->gates + from * H, H, v->gate_w, d, dx + from * d, d, true);
}

/* ---- a start ---- */

static double mean_logit(const struct head *h, size_t reader) {
    const size_t from = first_read(h), to = h->pass->length;
    double sum = 0;
    for (size_t t = from; t < to; t++) {
        sum += (double)h->logit[read_row(h, reader, t)];
    }
    return sum / (double)(to - from);
}

/* With gates moved by `shift`: the alpha that leaves least of |y - full|^2, and what it leaves. */
static double fit_alpha(const struct head *h, size_t reader, const float *full, float shift,
                        float *alpha) {
    const size_t e = h->e;
    double along[1024] = {0}, square[1024] = {0}, left = 0;
    for (size_t t = first_read(h); t < h->pass->length; t++) {
        const size_t row = read_row(h, reader, t), at = (t * h->H + h->m * h->R + reader) * e;
        const float gate = sigmoid(h->logit[row] + shift), *o = h->o + row * e;
        for (size_t l = 0; l < e; l++) {
            const double wanted = (double)(full[at + l] - (1 - gate) * h->pass->swa[at + l]);
            const double said = (double)(gate * o[l]);
            along[l] += said * wanted;
            square[l] += said * said;
            left += wanted * wanted;
        }
    }
    for (size_t l = 0; l < e; l++) {
        alpha[l] = square[l] > 0 ? (float)(along[l] / square[l]) : 0;
        left -= along[l] * (double)alpha[l];
    }
    return left;
}

void branch_fit(const struct branch_pass *p, size_t head, const float *full) {
    const size_t R = p->shape->heads / p->shape->kv_heads;
    const struct head h = head_of(p, head / R);
    const double mean = mean_logit(&h, head % R);
    double least = INFINITY;
    float best = 0, alpha[1024];
    for (int logit = -6; logit <= 0; logit++) {
        const float shift = (float)(logit - mean);
        const double left = fit_alpha(&h, head % R, full, shift, alpha);
        if (left < least) {
            least = left;
            best = shift;
            memcpy(p->values.alpha + head * h.e, alpha, h.e * sizeof *alpha);
        }
    }
    p->values.gate_b[head] += best;
}
