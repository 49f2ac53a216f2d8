/* SPDX-License-Identifier: Apache-2.0
 *
 * The adapter: the memory branch's parameters for one base model, a GGUF file of its own
 * (general.architecture = "allmem-adapter"). Names and shapes: engine/README.md.
 */
#pragma once

#include "engine/base/hash.h"
#include "engine/base/map.h"
#include "engine/model.h"

/* The form of the memory that this program computes; a file of another one is refused. */
enum { ADAPTER_SPEC = 6 };

/* One layer's branch, fp32. H query heads, M memory heads, e head_dim, d width, f memory width.
 * What belongs to the fast weights is NULL where the memory width is 0. */
struct memory_branch {
    const float *w1, *w3;     /* [M][f][e]: features */
    const float *w2;          /* [M][e][f]: the fast weights before anything is written */
    const float *q_map;       /* [H][e][e] */
    const float *k_map;       /* [M][e][e] */
    const float *ev_q, *ev_k; /* [H][e][e], [M][e][e]: evidence features */
    const float *gate_lse;    /* [H] */
    const float *alpha;       /* [H][e] */
    float v_scale;
    /* Projections of the layer's normed input, computed as matrix products. */
    const float *rates_w; /* [2M][d]: step, then decay */
    const float *rates_b; /* [2M] */
    const float *gate_w;  /* [H][d] */
    const float *gate_b;  /* [H] */
    /* An offset to the scores of merged tokens, likewise; NULL where the adapter has none. */
    const float *merged_w; /* [H][d] */
    const float *merged_b; /* [2][H]: where a layer keeps no tokens, and where it does */
    float share;           /* of the tokens that layers keep, and merge, in the mean */
    const float *values;   /* all of these, in the order of branch_tensors */
};

/* What a branch's shapes are made of; with f = 0 it has no fast weights. */
struct branch_sizes {
    uint64_t d, H, M, e, f;
    bool merged_gate;
};

/* A tensor of a layer as it stands in a file. */
struct branch_tensor {
    const char *name; /* after "blk.N.mem_" */
    uint32_t dims;
    uint64_t ne[3]; /* the innermost first; 1 beyond dims */
};

enum { BRANCH_TENSORS = 19 };

/* The tensors of a layer, how many: those of fast weights, of the gate, and at last the share.
 * decay's stand behind step's, so that one matrix product computes both rates; likewise biases. */
size_t branch_tensors(const struct branch_sizes *z, struct branch_tensor out[BRANCH_TENSORS]);
uint64_t branch_tensor_count(const struct branch_tensor *t); /* its values */

struct adapter {
    struct map map;
    struct gguf gguf;
    uint32_t width, chunk, sinks; /* f, C, S; with f = 0 there are no fast weights */
    bool merged_gate;             /* has merged_w and merged_b, in all layers */
    uint32_t layers;
    struct memory_branch *branches;  /* [layers], owned */
    float *values;                   /* all parameters as fp32, owned */
    uint8_t fingerprint[HASH_BYTES]; /* of the file's bytes */
};

/* Refuses (ERROR_INCOMPATIBLE) a file that is no adapter, of another spec version, or made for
 * another base model, naming both. */
bool adapter_open(struct adapter *a, const char *path, const struct model *model,
                  struct error *error);
void adapter_close(struct adapter *a); /* accepts a zeroed struct */
