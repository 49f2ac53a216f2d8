/* SPDX-License-Identifier: Apache-2.0
 *
 * The model's forward pass as a list of backend operations: the file to read first is
 * transformer.c.
 */
#pragma once

#include "engine/backend.h"
#include "engine/model.h"

/* Rows of activations in one pass at most; a pass ends at the end of a chunk or of the text. */
enum { TRANSFORMER_ROWS = 3 * WINDOW_MAX_CHUNK };
/* Rows whose logits are computed at a time: vocabularies are wide. */
enum { TRANSFORMER_LOGIT_ROWS = 64 };

/* One layer's weights in the backend; biases and head norms are NULL where the model has none. */
struct transformer_layer {
    struct buffer *attn_norm, *ffn_norm, *q_norm, *k_norm;
    struct buffer *q_bias, *k_bias, *v_bias;
    struct matrix *q, *k, *v, *attn_output, *gate, *up, *down;
    struct matrix *rates, *memory_gate, *merged_gate; /* of the adapter, or NULL */
    struct buffer *rates_bias, *memory_gate_bias;
    struct buffer *merged_gate_bias[2]; /* of layers without kept tokens, and with them */
};

struct transformer {
    struct backend *backend;
    const struct model *model;
    const struct adapter *adapter; /* or NULL */
    struct rope rope;
    struct matrix *embedding, *output;
    struct buffer *output_norm;
    struct transformer_layer *layers;
    /* Activations of a pass, [TRANSFORMER_ROWS][...]. */
    struct buffer *x, *normed, *q, *k, *v, *attention, *gate, *up;
    struct buffer *rates, *memory_gate, *merged_gate;
    struct buffer *logits; /* [TRANSFORMER_LOGIT_ROWS][vocabulary] */
};

/* Uploads the weights. The model, the adapter and the backend must outlive the transformer. */
bool transformer_init(struct transformer *t, struct backend *backend, const struct model *model,
                      const struct adapter *adapter, struct error *error);
void transformer_finish(struct transformer *t); /* accepts a zeroed struct */

/* Bytes of activations, for planning. */
size_t transformer_bytes(const struct model *model);

/* What a pass reads and changes besides activations: one timeline. */
struct timeline {
    const struct window_shape
        *shapes;            /* [L], of the layers; memory_width 0: without fast weights */
    struct buffer **states; /* [L], window_layout() of its shape each */
    bool writes;
    bool merged_gate; /* with the adapter's offsets to the scores of merged tokens */
};

/* Runs tokens ids[0..n) at positions [position, position + n), n <= TRANSFORMER_ROWS; afterwards
 * t->x holds the last layer's rows. Each id is in [0, vocabulary). */
void transformer_forward(struct transformer *t, const struct timeline *line, uint64_t position,
                         const int32_t *ids, size_t n);
/* logits[i] = of row `row + i` of the last pass, i < n <= TRANSFORMER_LOGIT_ROWS;
 * `logits` is [n][vocabulary]. */
void transformer_logits(struct transformer *t, size_t row, size_t n, float *logits);
