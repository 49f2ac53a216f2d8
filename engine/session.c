/* SPDX-License-Identifier: Apache-2.0
 *
 * One timeline of tokens: passes over new tokens, their logits, and copies of the timeline.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/clock.h"
#include "engine/plan.h"
#include "engine/session_private.h"

/* A pass may take this long, so that a caller who wants to stop is heard. */
static const double PASS_SECONDS = 0.2;
/* The least that a pass of a longer append has, up to whole chunks. */
enum { PASS_UNIT = 64 };
/* The largest parts of a backend's scratch: attention scores of this many rows per thread, and what
 * merging each pair of a head's merged tokens would cost. */
enum { SCORE_ROWS = 64 };

void session_start_memory(struct session *s) {
    struct backend *b = s->engine->backend;
    size_t M = s->shape.kv_heads, fe = (size_t)s->shape.memory_width * s->shape.head_dim;
    for (uint32_t l = 0; fe && l < s->shape.layers; l++) {
        const struct memory_branch *p = &s->engine->adapter.branches[l];
        b->ops->buffer_write(b, s->states[l], session_layout(s, l).fast, p->w2,
                             M * fe * sizeof(float));
    }
}

static bool fits(struct engine *e, const struct window_shape *shape, size_t state,
                 struct error *error) {
    const size_t points = shape->merge + shape->chunk;
    const size_t costs = shape->merge ? shape->kv_heads * points * points : 0;
    const size_t scores = SCORE_ROWS * (size_t)window_slots(shape) * e->info.threads;
    struct plan plan = {
        .weights = e->map.size,
        .adapter = e->adapter.branches ? 2 * e->adapter.map.size : 0,
        .activations = transformer_bytes(&e->model),
        .working = sizeof(float) * (scores + costs),
        .state = state,
    };
    if (!plan_check(&plan, e->taken, plan_free_memory(), shape, error)) {
        return false;
    }
    e->taken = plan.adapter + plan.activations + plan.working;
    return true;
}

/* Passes end at multiples of this many tokens: chunk ends, and far enough apart that no pass is so
 * short that a backend computes it another way than a long one. */
static size_t pass_unit(const struct window_shape *s) {
    size_t C = s->chunk;
    return (PASS_UNIT + C - 1) / C * C;
}

void session_leave_backend(struct session *s) {
    struct backend *b = s->engine->backend;
    for (uint32_t l = 0; s->states && b && l < s->shape.layers; l++) {
        b->ops->buffer_destroy(b, s->states[l]);
        s->states[l] = NULL;
    }
}

/* Room on the engine's present backend, and zeroed states. */
static bool make_states(struct session *s, struct error *error) {
    struct engine *e = s->engine;
    const struct model_config *c = &e->model.config;
    const struct window_shape most = session_largest_shape(s);
    size_t widest = c->ffn_width;
    widest = widest > c->width ? widest : c->width;
    widest = widest > c->heads * c->head_dim ? widest : c->heads * c->head_dim;
    if (!e->transformer.layers) {
        return error_set(error, ERROR_NO_SPACE,
                         "the model was not loaded again after its device had failed");
    }
    if (!e->info.device && !fits(e, &most, session_state_bytes(s), error)) {
        return false; /* a device has memory of its own, and says itself when it is full */
    }
    if (!e->backend->ops->prepare(e->backend, &most, TRANSFORMER_ROWS, widest, error)) {
        return false;
    }
    for (uint32_t l = 0; l < s->shape.layers; l++) {
        s->states[l] =
            e->backend->ops->buffer_create(e->backend, session_layout(s, l).bytes, error);
        if (!s->states[l]) {
            session_leave_backend(s);
            return false;
        }
    }
    return true;
}

bool session_enter_backend(struct session *s, bool there, struct error *error) {
    if (there && make_states(s, error)) {
        standby_restore(s);
        return true;
    }
    memset(s->loaded, 0, s->shape.layers * sizeof *s->loaded);
    return false;
}

struct session *session_make(struct engine *e, const struct session_options *o,
                             struct error *error) {
    const struct window_shape shape = session_shape(e, o);
    struct error why = {0};
    if (!window_check(&shape, error)) {
        return NULL;
    }
    struct session *s = calloc(1, sizeof *s);
    if (s) {
        *s = (struct session){.engine = e,
                              .options = *o,
                              .shape = shape,
                              .shapes = calloc(shape.layers, sizeof *s->shapes),
                              .states = calloc(shape.layers, sizeof *s->states),
                              .loaded = calloc(shape.layers, sizeof *s->loaded),
                              .logits = calloc(e->info.vocabulary, sizeof *s->logits),
                              .pass_rows = 2 * pass_unit(&shape)};
    }
    if (!s || !s->shapes || !s->states || !s->loaded || !s->logits) {
        error_set(error, ERROR_NO_SPACE, "no memory for a session");
        session_destroy(s);
        return NULL;
    }
    session_shape_layers(s);
    if (!make_states(s, &why) && !(engine_recover(e, &why) && make_states(s, &why))) {
        error_set(error, why.code, "%s", why.text);
        session_destroy(s);
        return NULL;
    }
    s->next = e->first;
    e->first = s;
    if (e->may_go_back) {
        standby_begin(s);
    }
    return s;
}

struct session *session_create(struct engine *e, const struct session_options *o,
                               struct error *error) {
    struct session *s = session_make(e, o, error);
    if (s) {
        session_start_memory(s);
        memset(s->loaded, 1, s->shape.layers * sizeof *s->loaded);
    }
    return s;
}

void session_destroy(struct session *s) {
    if (!s) {
        return;
    }
    for (struct session **link = &s->engine->first; *link; link = &(*link)->next) {
        if (*link == s) {
            *link = s->next;
            break;
        }
    }
    session_leave_backend(s);
    standby_end(s);
    free(s->shapes);
    free(s->states);
    free(s->loaded);
    free(s->logits);
    free(s);
}

struct session *session_fork(struct session *from, struct error *error) {
    struct session *s = session_make(from->engine, &from->options, error);
    if (!s || !session_catch_up(from, error)) {
        session_destroy(s);
        return NULL;
    }
    struct backend *b = s->engine->backend;
    for (uint32_t l = 0; l < s->shape.layers; l++) {
        if (from->loaded[l]) {
            b->ops->buffer_copy(b, s->states[l], from->states[l], session_layout(s, l).bytes);
        }
    }
    standby_fork(s, from);
    memcpy(s->loaded, from->loaded, s->shape.layers * sizeof *s->loaded);
    memcpy(s->logits, from->logits, s->engine->info.vocabulary * sizeof *s->logits);
    s->position = from->position;
    s->pass_rows = from->pass_rows;
    return s;
}

bool session_lend_memory(struct session *to, const struct session *from, struct error *error) {
    assert(to->engine == from->engine && to->position == from->position);
    struct backend *b = to->engine->backend;
    for (uint32_t l = 0; l < to->shape.layers; l++) {
        const struct window_layout own = session_layout(to, l), theirs = session_layout(from, l);
        const size_t bytes = own.bytes - own.merged;
        assert(own.bytes == theirs.bytes && own.merged == theirs.merged);
        char *memory = malloc(bytes ? bytes : 1);
        if (!memory) {
            return error_set(error, ERROR_NO_SPACE, "no memory to copy %zu bytes", bytes);
        }
        b->ops->buffer_read(b, from->states[l], own.merged, memory, bytes);
        b->ops->buffer_write(b, to->states[l], own.merged, memory, bytes);
        free(memory);
    }
    standby_end(to); /* its state is no longer that of its own tokens */
    return true;
}

/* Rows of the pass at `position`: up to the end of a unit, or all that is left if that is not a
 * whole unit more. Neither the first pass of an append nor its last is ever a short piece of a
 * longer text, so how an append is cut into passes does not change what it computes. At most
 * TRANSFORMER_ROWS. */
static size_t rows_of_pass(const struct session *s, uint64_t position, size_t left) {
    size_t unit = pass_unit(&s->shape), rows = s->pass_rows - position % unit;
    rows += rows < unit / 2 ? unit : 0;
    return left < rows + unit ? left : rows;
}

/* Passes get longer while they are quick; after a slow one the next is as long as it should have
 * been, for the machine may be busy with something else now. */
static void adapt(struct session *s, size_t rows, double elapsed) {
    size_t unit = pass_unit(&s->shape), most = (TRANSFORMER_ROWS - unit) / unit * unit;
    if (elapsed > PASS_SECONDS && s->pass_rows > unit) {
        size_t fit = (size_t)((double)rows * PASS_SECONDS / elapsed) / unit * unit;
        s->pass_rows = fit > unit ? fit : unit;
    } else if (elapsed < PASS_SECONDS / 2 && rows + unit > s->pass_rows && s->pass_rows < most) {
        s->pass_rows += unit;
    }
}

static float negative_log_likelihood(const float *logits, size_t n, token id) {
    float max = logits[0];
    for (size_t i = 1; i < n; i++) {
        max = logits[i] > max ? logits[i] : max;
    }
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)expf(logits[i] - max);
    }
    return (float)(log(sum) + (double)max - (double)logits[id]);
}

/* nll[i] of the tokens that follow rows [0, rows) of the last pass; the last row's logits stay in
 * the session for what comes next. */
static void score_pass(struct session *s, const token *next, size_t rows, size_t known,
                       float *nll) {
    struct engine *e = s->engine;
    size_t V = e->info.vocabulary;
    for (size_t at = 0; at < rows; at += TRANSFORMER_LOGIT_ROWS) {
        size_t n = rows - at < TRANSFORMER_LOGIT_ROWS ? rows - at : TRANSFORMER_LOGIT_ROWS;
        transformer_logits(&e->transformer, at, n, e->logits);
        for (size_t i = 0; i < n && at + i < known; i++) {
            nll[at + i] = negative_log_likelihood(e->logits + i * V, V, next[at + i]);
        }
        if (at + n == rows) {
            memcpy(s->logits, e->logits + (n - 1) * V, V * sizeof *s->logits);
        }
    }
}

static bool check_tokens(const struct session *s, const token *ids, size_t n, struct error *error) {
    for (uint32_t l = 0; l < s->shape.layers; l++) {
        if (!s->loaded[l]) {
            return error_set(error, ERROR_INCOMPATIBLE,
                             "the saved session is not whole: layer %u was not loaded", l);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (uint32_t)ids[i] >= s->engine->info.vocabulary) {
            return error_set(error, ERROR_FAILURE, "token %d is not in the vocabulary of %u",
                             ids[i], s->engine->info.vocabulary);
        }
    }
    return true;
}

static void forward(struct session *s, uint64_t position, const token *ids, size_t rows) {
    const bool merged_gate = s->options.memory && s->shape.merge && s->engine->adapter.merged_gate;
    const struct timeline line = {s->shapes, s->states, s->options.writes, merged_gate};
    transformer_forward(&s->engine->transformer, &line, position, ids, rows);
}

/* Reads again what the state is behind; `watch` is told that nothing new is done. */
static bool catch_up(struct session *s, const struct session_watch *watch, size_t done, size_t n,
                     struct error *error) {
    struct standby *standby = &s->standby;
    while (standby->behind) {
        const uint64_t position = s->position - standby->behind;
        const size_t rows = rows_of_pass(s, position, standby->behind);
        const double begin = clock_seconds();
        forward(s, position, standby->since + standby->count - standby->behind, rows);
        if (!s->engine->backend->ops->wait(s->engine->backend, error)) {
            return false;
        }
        standby->behind -= rows;
        adapt(s, rows, clock_seconds() - begin);
        if (watch && !watch->step(watch->context, done, n)) {
            return error_set(error, ERROR_INTERRUPTED, "stopped after %zu of %zu tokens", done, n);
        }
    }
    if (!s->engine->may_go_back) {
        standby_end(s);
    }
    return true;
}

bool session_catch_up(struct session *s, struct error *error) {
    return catch_up(s, NULL, 0, 0, error);
}

static bool run(struct session *s, const token *ids, size_t n, float *nll,
                const struct session_watch *watch, struct error *error) {
    struct engine *e = s->engine;
    struct error why = {0};
    if (!check_tokens(s, ids, n, error)) {
        return false;
    }
    if (nll && n) {
        nll[0] = s->position ? negative_log_likelihood(s->logits, e->info.vocabulary, ids[0]) : 0;
    }
    for (size_t done = 0; done < n;) {
        if (!catch_up(s, watch, done, n, error)) {
            return false;
        }
        const size_t rows = rows_of_pass(s, s->position, n - done), next = done + rows;
        double begin = clock_seconds();
        forward(s, s->position, ids + done, rows);
        s->position += rows;
        if (nll) {
            score_pass(s, ids + done + 1, rows, n - 1 - done, nll + done + 1);
        }
        bool go_on = !watch || watch->step(watch->context, next, n);
        if (!nll && (next == n || !go_on)) {
            transformer_logits(&e->transformer, rows - 1, 1, s->logits);
        }
        if (!e->backend->ops->wait(e->backend, &why) || !standby_note(s, ids + done, rows, &why)) {
            s->position -= rows;
            if (!engine_recover(e, &why)) {
                return error_set(error, why.code, "%s", why.text);
            }
            continue;
        }
        done = next;
        adapt(s, rows, clock_seconds() - begin);
        if (!go_on && done < n) {
            return error_set(error, ERROR_INTERRUPTED, "stopped after %zu of %zu tokens", done, n);
        }
    }
    return true;
}

bool session_append(struct session *s, const token *ids, size_t n,
                    const struct session_watch *watch, struct error *error) {
    return run(s, ids, n, NULL, watch, error);
}

bool session_score(struct session *s, const token *ids, size_t n, float *nll,
                   const struct session_watch *watch, struct error *error) {
    struct engine *e = s->engine;
    if (!e->logits) {
        e->logits = calloc((size_t)TRANSFORMER_LOGIT_ROWS * e->info.vocabulary, sizeof *e->logits);
    }
    if (!e->logits) {
        return error_set(error, ERROR_NO_SPACE, "no memory for the logits of %d rows",
                         TRANSFORMER_LOGIT_ROWS);
    }
    return run(s, ids, n, nll, watch, error);
}

const float *session_logits(const struct session *s) {
    return s->position ? s->logits : NULL;
}

uint64_t session_position(const struct session *s) {
    return s->position;
}

struct session_options session_options(const struct session *s) {
    return s->options;
}

uint32_t session_chunk(const struct session *s) {
    return s->shape.chunk;
}

size_t session_state_bytes(const struct session *s) {
    return session_bytes_before(s, s->shape.layers);
}

struct session_places session_places(const struct session *s) {
    uint64_t last = s->position ? s->position - 1 : 0, chunk = last - last % s->shape.chunk;
    struct session_places p = {.sinks = window_sinks_at(&s->shape, chunk)};
    for (uint32_t l = 0; l < s->shape.layers; l++) {
        p.kept += window_kept_at(&s->shapes[l], chunk);
    }
    p.kept /= s->shape.layers;
    const uint64_t left = window_kept_at(&s->shape, chunk) + window_written_at(&s->shape, chunk);
    p.memory = left - p.kept;
    p.window = s->position - p.sinks - left;
    return p;
}
