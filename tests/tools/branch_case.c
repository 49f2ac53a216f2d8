/* SPDX-License-Identifier: Apache-2.0
 *
 * Drawing a problem, and running the trained form on it the way the trainer does.
 */
#include "tests/tools/branch_case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/finetune/loss.h"

/* splitmix64; uniform, mean 0, variance 1. */
static float next_number(uint64_t *random) {
    uint64_t z = *random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return ((float)((z ^ z >> 31) >> 40) * 0x1p-23f - 1) * 1.7320508f;
}

static void draw(uint64_t *random, float *to, size_t n, float centre, float spread) {
    for (size_t i = 0; i < n; i++) {
        to[i] = (float)((double)next_number(random) * (double)spread + (double)centre);
    }
}

static void add_identity(float *to, size_t n, size_t e) {
    for (size_t i = 0; i < n * e; i++) {
        to[i * e + i % e] += 1;
    }
}

static void draw_values(const struct branch_case *c, const struct branch_values *v,
                        uint64_t *random) {
    const struct branch_shape *s = &c->shape;
    const size_t d = s->width, H = s->heads, M = s->kv_heads, e = s->head_dim, f = s->memory_width;
    draw(random, v->w1, M * f * e, 0, 0.35f);
    draw(random, v->w2, M * e * f, 0, 0.2f);
    draw(random, v->w3, M * f * e, 0, 0.35f);
    draw(random, v->q_map, H * e * e, 0, 0.1f);
    draw(random, v->k_map, M * e * e, 0, 0.1f);
    draw(random, v->ev_q, H * e * e, 0, 0.1f);
    draw(random, v->ev_k, M * e * e, 0, 0.1f);
    add_identity(v->q_map, H, e);
    add_identity(v->k_map, M, e);
    add_identity(v->ev_q, H, e);
    add_identity(v->ev_k, M, e);
    draw(random, v->gate_lse, H, -1, 0.1f);
    draw(random, v->alpha, H * e, 0.5f, 0.2f);
    draw(random, v->gate_w, H * d, 0, 0.2f);
    draw(random, v->gate_b, H, -1, 0.3f);
    draw(random, v->rates_w, 2 * M * d, 0, 0.2f);
    draw(random, v->rates_b, M, c->step, 0.2f);
    draw(random, v->rates_b + M, M, c->decay, 0.2f);
    *v->v_scale = 0.9f;
}

size_t branch_variables(const struct branch_case *c, struct branch_variable out[BRANCH_VARIABLES]) {
    const struct branch_shape *s = &c->shape;
    const size_t L = c->length, Q = s->heads * s->head_dim, K = s->kv_heads * s->head_dim;
    const struct branch_variable inputs[BRANCH_INPUTS] = {
        {"x", 0, L * s->width}, {"q", 0, L * Q},   {"k", 0, L * K},
        {"v", 0, L * K},        {"swa", 0, L * Q}, {"lse", 0, L * s->heads},
    };
    struct parameter table[PARAMETERS];
    size_t at = parameters_table(s, table);
    for (size_t i = 0; i < PARAMETERS; i++) {
        out[i] = (struct branch_variable){table[i].tensor.name, table[i].offset, table[i].count};
    }
    for (size_t i = 0; i < BRANCH_INPUTS; i++) {
        out[PARAMETERS + i] = inputs[i];
        out[PARAMETERS + i].offset = at;
        at += inputs[i].count;
    }
    return at;
}

/* Cuts the memory into its parts, or measures it where `at` starts at NULL. */
static float *part(size_t *at, float *memory, size_t floats) {
    float *here = memory ? memory + *at : NULL;
    *at += (floats + 15) / 16 * 16;
    return here;
}

static size_t lay(struct branch_problem *b, const struct branch_case *c, float *memory) {
    const struct branch_shape *s = &c->shape;
    const size_t L = c->length, d = s->width, Q = s->heads * s->head_dim;
    struct branch_pass *p = &b->pass;
    size_t at = 0;
    b->full = part(&at, memory, L * Q);
    b->wo = part(&at, memory, d * Q);
    b->variables = part(&at, memory, b->count);
    b->gradients = part(&at, memory, b->count);
    b->written = (uint32_t *)(void *)part(&at, memory, s->kv_heads * L);
    b->written_count = (uint32_t *)(void *)part(&at, memory, L);
    p->rates = part(&at, memory, L * 2 * s->kv_heads);
    p->gates = part(&at, memory, L * s->heads);
    p->y = part(&at, memory, L * Q);
    p->tape = part(&at, memory, s->kv_heads * branch_tape_floats(s, L, c->window));
    b->scratch = part(&at, memory, branch_scratch_floats(s) + 2 * L * Q);
    b->gram = part(&at, memory, Q * Q);
    return at;
}

/* The pass's pointers into the two runs. */
static void bind(struct branch_problem *b, const struct branch_case *c) {
    struct branch_variable t[BRANCH_VARIABLES];
    struct branch_pass *p = &b->pass;
    branch_variables(c, t);
    p->values = parameters_bind(&c->shape, b->variables);
    p->gradients = parameters_bind(&c->shape, b->gradients);
    const struct branch_variable *in = t + PARAMETERS;
    p->x = b->variables + in[0].offset;
    p->q = b->variables + in[1].offset;
    p->k = b->variables + in[2].offset;
    p->v = b->variables + in[3].offset;
    p->swa = b->variables + in[4].offset;
    p->lse = b->variables + in[5].offset;
    p->inputs = (struct branch_inputs){.q = b->gradients + in[1].offset,
                                       .k = b->gradients + in[2].offset,
                                       .v = b->gradients + in[3].offset,
                                       .swa = b->gradients + in[4].offset,
                                       .lse = b->gradients + in[5].offset};
    memset(b->gradients + in[0].offset, 0, (b->count - in[0].offset) * sizeof *b->gradients);
    p->written = b->written;
    p->written_count = b->written_count;
}

/* Writes for head m what is let go of: of the kept ones and a block, all but the best. */
static void list_dropped(const struct branch_case *c, size_t m, const float *scores,
                         struct branch_problem *b) {
    const size_t C = c->shape.chunk, writes = branch_writes(&c->shape, c->length, c->window);
    uint32_t held[64];
    size_t count = 0;
    for (size_t j = 0; j < writes; j++) {
        for (size_t i = j ? 0 : c->shape.sinks; i < C; i++) {
            held[count++] = (uint32_t)(j * C + i);
        }
        b->written_count[j] = 0;
        while (count > c->keep) {
            size_t worst = 0;
            for (size_t i = 1; i < count; i++) {
                worst = scores[held[i]] < scores[held[worst]] ? i : worst;
            }
            b->written[(m * writes + j) * C + b->written_count[j]++] = held[worst];
            held[worst] = held[--count];
        }
    }
}

/* Without kept tokens a write takes the block that leaves, but for the sinks. */
static void list_blocks(const struct branch_case *c, struct branch_problem *b) {
    const struct branch_shape *s = &c->shape;
    const size_t C = s->chunk, writes = branch_writes(s, c->length, c->window);
    for (size_t j = 0; j < writes; j++) {
        const size_t sinks = j == 0 ? s->sinks : 0;
        b->written_count[j] = (uint32_t)(C - sinks);
        for (size_t m = 0; m < s->kv_heads; m++) {
            for (size_t i = 0; i < C - sinks; i++) {
                b->written[(m * writes + j) * C + i] = (uint32_t)(j * C + sinks + i);
            }
        }
    }
}

struct branch_problem *branch_problem_create(const struct branch_case *c,
                                             const struct kernels *kernels) {
    struct branch_problem *b = calloc(1, sizeof *b);
    if (!b) {
        return NULL;
    }
    struct branch_variable table[BRANCH_VARIABLES];
    b->count = branch_variables(c, table);
    const size_t floats = lay(b, c, NULL);
    b->memory = aligned_alloc(64, floats * sizeof(float));
    if (!b->memory) {
        free(b);
        return NULL;
    }
    for (size_t i = 0; i < floats; i++) {
        b->memory[i] = NAN;
    }
    lay(b, c, b->memory);
    struct branch_pass *p = &b->pass;
    p->kernels = kernels;
    p->shape = &c->shape;
    p->length = c->length;
    p->window = c->window;
    bind(b, c);
    const size_t L = c->length, M = c->shape.kv_heads, Q = c->shape.heads * c->shape.head_dim,
                 K = M * c->shape.head_dim;
    uint64_t random = c->seed;
    draw(&random, (float *)p->x, L * c->shape.width, 0, 1);
    draw(&random, (float *)p->q, L * Q, 0, 1);
    draw(&random, (float *)p->k, L * K, 0, 1);
    draw(&random, (float *)p->v, L * K, 0, 1);
    draw(&random, (float *)p->swa, L * Q, 0, 1);
    draw(&random, (float *)p->lse, L * c->shape.heads, 3, 0.5f);
    draw(&random, b->full, L * Q, 0, 1);
    draw(&random, b->wo, c->shape.width * Q, 0, 0.3f);
    draw_values(c, &p->values, &random);
    list_blocks(c, b);
    for (size_t m = 0; c->keep && m < M; m++) {
        draw(&random, b->scratch, L, 0, 1);
        list_dropped(c, m, b->scratch, b);
    }
    return b;
}

void branch_problem_destroy(struct branch_problem *b) {
    if (b) {
        free(b->memory);
        free(b);
    }
}

void branch_problem_forward(struct branch_problem *b) {
    const struct branch_pass *p = &b->pass;
    branch_project(p, 0, p->length);
    for (size_t m = 0; m < p->shape->kv_heads; m++) {
        branch_forward(p, m, b->scratch);
    }
}

double branch_problem_back(struct branch_problem *b) {
    const struct branch_pass *p = &b->pass;
    const size_t Q = p->shape->heads * p->shape->head_dim, W = p->window;
    loss_gram(p->kernels, b->wo, p->shape->width, Q, 0, Q, b->gram);
    struct loss_sums sums = loss_rows(p->kernels, b->gram, Q, p->length - W, p->y + W * Q,
                                      b->full + W * Q, p->swa + W * Q, b->scratch);
    memset(p->y, 0, W * Q * sizeof *p->y);
    for (size_t m = 0; m < p->shape->kv_heads; m++) {
        branch_back(p, m, b->scratch);
    }
    branch_project_back(p);
    float *dx = b->gradients + parameters_count(p->shape);
    branch_project_inputs(p, 0, W, dx); /* in two parts, as threads would */
    branch_project_inputs(p, W, p->length - W, dx);
    for (size_t i = 0; i < b->count; i++) {
        b->gradients[i] *= (float)(2 / sums.base);
    }
    return sums.error / sums.base;
}
