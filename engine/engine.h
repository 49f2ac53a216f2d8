/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's public header. An engine is a loaded model (with its adapter) on a backend; a
 * session is one timeline of tokens on it: append tokens, ask for logits, fork, save, load.
 * Sessions of one engine share its working buffers: use an engine and its sessions from one thread
 * at a time.
 */
#pragma once

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/base/hash.h"
#include "engine/chat.h"
#include "engine/engine_device.h"
#include "engine/tokenizer.h"

struct engine;
struct session;

struct engine_options {
    const char *model;   /* path of a GGUF file */
    const char *adapter; /* path of its adapter, or NULL */
    const char *backend; /* "auto", "cpu" or "vulkan" */
    size_t threads;      /* 0: as many as there are cores */
    unsigned device;     /* of Vulkan, by its number in engine_devices, from 1; 0: the best */
    const char *cache;   /* folder for what is quicker kept than made again, or NULL */
    bool timed;          /* operations are timed, for engine_take_work */
    /* Called with a line for the user: that "auto" does without the device that is there, or has
     * failed, and why; that a saved session comes from another backend. May be NULL. */
    bool details; /* also that "auto" found no GPU, which is as usual */
    void (*notice)(void *context, const char *text);
    void *notice_context;
};

/* NULL with an error that names the file. */
struct engine *engine_open(const struct engine_options *options, struct error *error);
void engine_close(struct engine *e); /* accepts NULL; its sessions must be gone */

/* Strings live as long as the engine; names from the file may hold any byte. */
struct engine_info {
    const char *architecture, *backend, *kernels;
    const char *device; /* the Vulkan device's name, or NULL */
    struct gguf_text name;
    uint32_t layers, width, heads, kv_heads, head_dim, vocabulary, context;
    uint64_t parameters;
    const char *type;  /* the quantisation most of the weights have: "Q4_1" */
    size_t file_bytes; /* the model file's */
    size_t threads;
    bool has_adapter;
    uint32_t memory_width; /* f, 0 without an adapter */
    uint32_t spec;         /* version of the memory's maths, with which saved sessions are made */
    /* Of the weights in any quantisation, of this file, and of the adapter (zeroes without). */
    uint8_t base_fingerprint[HASH_BYTES], file_fingerprint[HASH_BYTES];
    uint8_t adapter_fingerprint[HASH_BYTES];
};
const struct engine_info *engine_info(const struct engine *e);
const struct tokenizer *engine_tokenizer(const struct engine *e);
const struct chat *engine_chat(const struct engine *e);

/* What the engine would use on this machine, without a model. */
struct engine_machine {
    const char *kernels; /* the CPU's fastest set */
    size_t cores;
    size_t free_memory; /* bytes; SIZE_MAX where the system does not say */
};
struct engine_machine engine_machine(void);

/* Devices beside the processor. Fills up to `most`; returns how many, 0 with an error that says why
 * there are none. */
size_t engine_devices(struct engine_device *devices, size_t most, struct error *error);

/* What one kind of operation took. Multiplications and additions of its products, and bytes that it
 * must bring from memory: weights, keys and values, fast weights; 0 where it is bound by neither.
 */
enum { ENGINE_OPERATIONS = 12 };
struct engine_work {
    const char *operation;
    uint64_t calls;
    double seconds, flops, bytes;
};
/* Of an engine that was opened with `timed`: since then, or since the last take. */
void engine_take_work(struct engine *e, struct engine_work work[ENGINE_OPERATIONS]);

/* What the processor can do at its best with `threads` threads, per second, as measured in about
 * half a second: multiplications and additions with weights of 8 bits and of 16, bytes read. */
struct engine_limits {
    double products8, products16, read;
};
bool engine_measure_limits(size_t threads, struct engine_limits *limits, struct error *error);

/* Defaults of a session. */
enum {
    SESSION_WINDOW = 2048,
    SESSION_KEEP = 1024,
    SESSION_MERGE = 256,
    SESSION_SINKS = 4,
    SESSION_CHUNK = 64
};

struct session_options {
    uint32_t window; /* W, a multiple of the chunk */
    uint32_t keep;   /* B, kept tokens per key-value head */
    uint32_t merge;  /* G, merged tokens per key-value head */
    uint32_t sinks;  /* S */
    bool memory;     /* use the adapter, if the engine has one */
    bool writes;     /* false: a control: nothing is merged, fast weights are never written */
};
struct session_options session_defaults(const struct engine *e);
/* Window enough for full attention over `tokens` tokens: nothing ever leaves, no memory. */
struct session_options session_full_attention(const struct engine *e, uint64_t tokens);

/* Refuses (ERROR_NO_SPACE, with numbers) what does not fit into the memory that is free. */
struct session *session_create(struct engine *e, const struct session_options *options,
                               struct error *error);
void session_destroy(struct session *s); /* accepts NULL */
/* A second timeline with the same past. */
struct session *session_fork(struct session *s, struct error *error);

/* Called between passes, at least every fraction of a second. `done` of `total` tokens of the
 * present append; false stops it (ERROR_INTERRUPTED) with the tokens so far in the timeline. */
struct session_watch {
    bool (*step)(void *context, size_t done, size_t total);
    void *context;
};

/* Appends tokens; each must be in the vocabulary (ERROR_FAILURE otherwise, nothing appended).
 * `watch` may be NULL. */
bool session_append(struct session *s, const token *ids, size_t n,
                    const struct session_watch *watch, struct error *error);
/* The same, and nll[i] = -ln p(ids[i] | everything before), for i in [0, n); nll[0] of an empty
 * timeline is 0. */
bool session_score(struct session *s, const token *ids, size_t n, float *nll,
                   const struct session_watch *watch, struct error *error);
/* A control: `to` goes on with the memory that `from` has written, its merged tokens, fast weights
 * and evidence, beside its own window; merged tokens count from the next chunk on. Both are
 * sessions of one engine with the same options but `writes`, at the same position. */
bool session_lend_memory(struct session *to, const struct session *from, struct error *error);
/* [vocabulary], of the token that comes next; NULL on an empty timeline. Valid until the session
 * changes. */
const float *session_logits(const struct session *s);

uint64_t session_position(const struct session *s); /* tokens in the timeline */
struct session_options session_options(const struct session *s);
uint32_t session_chunk(const struct session *s); /* C: a pass that is stopped ends at a multiple */
size_t session_state_bytes(const struct session *s); /* of memory, whatever the text's length */
/* Tokens per head in each place, in the mean of the layers: the four add up to session_position. */
struct session_places {
    uint64_t sinks, kept, window, memory;
};
struct session_places session_places(const struct session *s);

/* A saved session is a header part and one part per layer, so that a store can keep them apart.
 * Format by bytes: engine/README.md. */
size_t session_parts(const struct session *s);
bool session_save_part(struct session *s, size_t part, struct bytes *out, struct error *error);
/* Starts a session from a header part; the layers follow by session_load_part, in any order, each
 * once. ERROR_INCOMPATIBLE, naming both, if it was made with another model, adapter or version, or
 * if a part is damaged (its size, its checksum, a number that is not finite). */
struct session *session_load(struct engine *e, const void *header, size_t size,
                             struct error *error);
bool session_load_part(struct session *s, size_t part, const void *data, size_t size,
                       struct error *error);
