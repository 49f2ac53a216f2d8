/* SPDX-License-Identifier: Apache-2.0
 *
 * What is still to be read of a session's documents, as tokens, and where the memory is to be kept
 * for --as-of.
 */
#pragma once

#include "engine/tokenizer.h"
#include "storage/documents.h"

/* The memory as it was just before a chapter: kept when the token before `at` has been read. */
struct planned_mark {
    size_t at;  /* token of the document where a write chunk of the timeline begins */
    char *name; /* "PATH: TITLE" */
};

struct planned {
    int64_t id;
    char *name;             /* as in the store */
    int64_t first_position; /* of its first token in the timeline; -1: not begun */
    struct tokens list;     /* a line with the name, then the text */
    size_t text_at;         /* first token of the text */
    uint64_t *bytes;        /* [list.count + 1]: byte of the text where a token begins */
    struct store_sections sections;
    struct planned_mark *marks; /* rising */
    size_t mark_count;
    bool mark_end; /* the memory is kept at its end too */
};

/* Starts as {0}, or with a `stop`. */
struct ingest_plan {
    bool (*stop)(void *); /* asked every few milliseconds while the plan is made; may be NULL */
    void *stop_context;
    struct planned *documents; /* in the order of reading */
    size_t count;
    uint64_t tokens;      /* still to be read */
    uint64_t text_tokens; /* of those, of the texts alone */
};

/* ERROR_INTERRUPTED when `stop` said true. `position`: where the memory stands; `chunk`: tokens
 * that are written at a time. */
bool ingest_plan_make(struct ingest_plan *plan, struct store *store, const struct tokenizer *t,
                      int64_t position, uint32_t chunk, struct error *error);
void ingest_plan_finish(struct ingest_plan *plan);

/* The title of the section that holds token `at`, or "". */
const char *planned_section(const struct planned *d, uint64_t at);
/* The byte of the text that token `at` begins with. */
uint64_t planned_byte(const struct planned *d, uint64_t at);
