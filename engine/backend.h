/* SPDX-License-Identifier: Apache-2.0
 *
 * What a backend computes: one table of operations, filled by the CPU (cpu/) and by any other
 * device. transformer.c is the list of calls that makes a model of them.
 *
 * Activations are fp32 rows, [n][width], in buffers that the backend owns. Operations may be
 * queued: they take effect in the order of the calls; buffer_read and wait are where the caller
 * waits, and where a device's failure shows.
 */
#pragma once

#include "engine/adapter.h"
#include "engine/base/error.h"
#include "engine/engine_device.h"
#include "engine/gguf.h"
#include "engine/rope.h"
#include "engine/window.h"

struct backend; /* every backend's own struct begins with a `const struct backend_ops *ops` */
struct buffer;  /* memory of the backend */
struct matrix;  /* weights in the backend: rows x columns, in the type of the file */

/* One layer's attention over rows that lie in one chunk. */
struct attention_step {
    const struct window_shape *shape;
    struct buffer *state;               /* the layer's: window_layout() */
    const struct memory_branch *memory; /* the layer's parameters, or NULL: no fast weights */
    bool writes;                        /* false: the control whose memory is never written */
    uint64_t position;                  /* of the first row; the chunk is position / C */
    size_t row, rows;                   /* which rows of the buffers below */
    struct buffer *q, *k, *v;           /* [n][H*e], [n][M*e], [n][M*e]; before RoPE */
    struct buffer *rates;               /* [n][2M]: step [M], then decay [M]; raw */
    struct buffer *gate;                /* [n][H]: x . gate_w + gate_b */
    struct buffer *merged_gate;         /* [n][H]: x . merged_w + merged_b, or NULL: 0 */
    struct buffer *out;                 /* [n][H*e]: what the layer's output projection reads */
};

struct backend_ops {
    const char *name; /* "cpu", "vulkan" */
    void (*destroy)(struct backend *b);
    /* False, once and for all, after a device has failed; the error says how. */
    bool (*wait)(struct backend *b, struct error *error);

    /* Makes room for sessions of this shape, batches of up to `rows` rows, matrices of up to
     * `widest` columns. Called outside the token loop; operations allocate nothing. */
    bool (*prepare)(struct backend *b, const struct window_shape *shape, size_t rows, size_t widest,
                    struct error *error);

    struct buffer *(*buffer_create)(struct backend *b, size_t bytes,
                                    struct error *error);             /* zeroed */
    void (*buffer_destroy)(struct backend *b, struct buffer *buffer); /* accepts NULL */
    void (*buffer_write)(struct backend *b, struct buffer *to, size_t at, const void *data,
                         size_t bytes);
    void (*buffer_read)(struct backend *b, struct buffer *from, size_t at, void *data,
                        size_t bytes);
    void (*buffer_copy)(struct backend *b, struct buffer *to, struct buffer *from, size_t bytes);

    /* The tensor's data must outlive the matrix: a backend may read it in place. */
    struct matrix *(*matrix_create)(struct backend *b, const struct gguf_tensor *tensor,
                                    struct error *error);
    void (*matrix_destroy)(struct backend *b, struct matrix *matrix); /* accepts NULL */

    /* (Optional.) Copies a layer's parameters to where memory_write and memory_read of a step with
     * this branch will look for them, until the end of the backend. */
    bool (*memory_load)(struct backend *b, const struct memory_branch *branch,
                        const struct window_shape *shape, struct error *error);

    /* y[i] = row ids[i] of the matrix, i < n. */
    void (*embed)(struct backend *b, struct buffer *y, struct matrix *matrix, const int32_t *ids,
                  size_t n);
    /* y[i] = x[from + i] / sqrt(mean(x^2) + eps) * weight, rows of `width`; y may be x. */
    void (*rms_norm)(struct backend *b, struct buffer *y, struct buffer *x, size_t from,
                     struct buffer *weight, size_t n, size_t width, float eps);
    /* ys[j][i] = matrices[j] x[i] (+ biases[j], where not NULL), for `count` matrices that share
     * their input; i < n. */
    void (*matmul)(struct backend *b, size_t count, struct buffer *const *ys,
                   struct matrix *const *matrices, struct buffer *const *biases, struct buffer *x,
                   size_t n);
    void (*add)(struct backend *b, struct buffer *y, struct buffer *x, size_t values); /* y += x */
    /* gate = silu(gate) * up */
    void (*swiglu)(struct backend *b, struct buffer *gate, struct buffer *up, size_t values);

    /* The turns of positions [from, from + count), and of t - D for each chunk t that begins in
     * there, for the steps that follow. */
    void (*positions)(struct backend *b, const struct rope *rope, const struct window_shape *shape,
                      uint64_t from, size_t count);
    /* At the begin of a chunk: the oldest block leaves the ring; sinks and kept tokens take what is
     * theirs; the rest is laid out for memory_write. */
    void (*window_retire)(struct backend *b, const struct attention_step *step);
    /* What was laid out goes into the merged tokens (engine/README.md); all of them take their
     * slots as the chunk sees them. */
    void (*window_merge)(struct backend *b, const struct attention_step *step);
    void (*memory_write)(struct backend *b, const struct attention_step *step);
    /* The rows' keys and values go into the ring. */
    void (*window_store)(struct backend *b, const struct attention_step *step);
    /* out = attention over the visible slots, where merged_gate adds to the scores of merged
     * tokens; scores of the ring grow. */
    void (*window_attend)(struct backend *b, const struct attention_step *step);
    /* out = (1 - gate) out + gate alpha memory(q) */
    void (*memory_read)(struct backend *b, const struct attention_step *step);
};
struct backend {
    const struct backend_ops *ops;
};

/* `threads` at least 1. */
struct backend *cpu_backend_create(size_t threads, struct error *error);

/* ---- Vulkan (vulkan/), where the build has it ---- */

enum { VULKAN_DEVICES = 16 }; /* as many are looked at */

struct vulkan_options {
    unsigned device;   /* its number in vulkan_list_devices, from 1; 0: the best one */
    bool any;          /* with 0: take a processor that acts as a device, if there is no GPU */
    uint64_t needed;   /* bytes of memory that the device must have free */
    const char *cache; /* folder where compiled shaders are kept, or NULL */
};

/* NULL with ERROR_NOT_FOUND: no library, no driver, no GPU; ERROR_USAGE: no device of this number;
 * ERROR_NO_SPACE: too little memory; ERROR_FAILURE: there is one, and it does not work. */
struct backend *vulkan_backend_create(const struct vulkan_options *options, struct error *error);
/* Fills up to `most`; returns how many, 0 with an error that says why there are none. */
size_t vulkan_list_devices(struct engine_device *devices, size_t most, struct error *error);
/* The device's name; lives as long as the backend. */
const char *vulkan_device_name(const struct backend *b);
