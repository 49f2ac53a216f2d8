/* SPDX-License-Identifier: Apache-2.0
 *
 * What engine.c, session.c and session_state.c share.
 */
#pragma once

#include "engine/engine.h"
#include "engine/standby.h"
#include "engine/transformer.h"

struct engine {
    struct map map;
    struct gguf gguf;
    struct model model;
    struct adapter adapter; /* zeroed without */
    struct tokenizer *tokenizer;
    struct chat chat;
    struct backend *backend;
    struct transformer transformer;
    struct engine_info info;
    float *logits;         /* [TRANSFORMER_LOGIT_ROWS][vocabulary]: score's rows */
    size_t taken;          /* planned bytes, besides the weights, that sessions before have taken */
    struct session *first; /* of its sessions */
    bool timed;            /* of engine_options */
    bool may_go_back;      /* "auto" chose the device: when it fails, the CPU computes */
    void (*notice)(void *context, const char *text); /* of engine_options */
    void *notice_context;
};

/* Tells the user, if anybody listens. */
void engine_tell(const struct engine *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* From the device to the CPU, for the reason in `why`, with all sessions. */
bool engine_go_back(struct engine *e, const struct error *why, struct error *error);
/* After the device has failed as `error` says: true if the CPU computes from now on, and what
 * failed is to be done again; else `error` is for the user. */
bool engine_recover(struct engine *e, struct error *error);

struct session {
    struct engine *engine;
    struct session_options options;
    struct window_shape shape;   /* with the mean of the layers' B and G */
    struct window_shape *shapes; /* [L] */
    struct buffer **states;      /* [L] */
    bool *loaded;                /* [L]: part has come in; all true but while loading */
    uint64_t position;
    float *logits;    /* [vocabulary], of the last token */
    size_t pass_rows; /* rows of the next pass: adapted to the machine's speed */
    struct standby standby;
    struct session *next; /* of the engine's */
};

/* A session with zeroed states, its place in memory checked against the plan. */
struct session *session_make(struct engine *e, const struct session_options *options,
                             struct error *error);
/* States are taken from the present backend, and made anew from the standby on the one that comes
 * after it. Where that fails, or there is none, the session is no longer whole. */
void session_leave_backend(struct session *s);
bool session_enter_backend(struct session *s, bool there, struct error *error);
/* The fast weights of a session that begins are the adapter's. */
void session_start_memory(struct session *s);
/* Reads again what a session is behind. */
bool session_catch_up(struct session *s, struct error *error);
/* What the layers of a session with these options are like, in the mean. */
struct window_shape session_shape(const struct engine *e, const struct session_options *options);
/* Fills s->shapes from s->shape and the adapter's shares. */
void session_shape_layers(struct session *s);
struct window_shape session_largest_shape(const struct session *s); /* with their largest B and G */
struct window_layout session_layout(const struct session *s, uint32_t layer);
/* Of the states of the layers before this one, or with L of all. */
size_t session_bytes_before(const struct session *s, size_t layer);
