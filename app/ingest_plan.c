/* SPDX-License-Identifier: Apache-2.0
 *
 * Stored documents -> tokens to read, with their marks.
 */
#include "app/ingest_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/reading.h"

/* A kept memory costs as much room as the newest; more than these are thinned out again anyway. */
enum { MARKS_PER_RUN = 16, TOKENS_BETWEEN_MARKS = 4096 };

static void planned_finish(struct planned *d) {
    for (size_t i = 0; i < d->mark_count; i++) {
        free(d->marks[i].name);
    }
    free(d->marks);
    free(d->name);
    free(d->bytes);
    tokens_finish(&d->list);
    store_sections_finish(&d->sections);
}

void ingest_plan_finish(struct ingest_plan *plan) {
    for (size_t i = 0; i < plan->count; i++) {
        planned_finish(&plan->documents[i]);
    }
    free(plan->documents);
    *plan = (struct ingest_plan){0};
}

static bool place_tokens(struct planned *d, const struct tokenizer *t) {
    d->bytes = calloc(d->list.count + 1, sizeof *d->bytes);
    for (size_t i = d->text_at; d->bytes && i < d->list.count; i++) {
        d->bytes[i + 1] = d->bytes[i] + tokenizer_bytes(t, d->list.ids[i]).size;
    }
    return d->bytes != NULL;
}

static bool plan_document(const struct ingest_plan *plan, struct planned *d, struct store *store,
                          const struct tokenizer *t, const struct store_document *row, bool first,
                          struct error *error) {
    struct blob text = {0};
    *d = (struct planned){.id = row->id, .first_position = row->first_position};
    bool ok = ((d->name = strdup(row->path.data)) ||
               error_set(error, ERROR_NO_SPACE, "no memory for the plan")) &&
              store_document_read(store, row->id, 0, row->size, &text, error) &&
              store_sections_list(store, row->id, &d->sections, error);
    struct document document = {.name = d->name, .text = (char *)text.data, .size = text.size};
    size_t of_text;
    ok = ok && reading_encode(t, &document, first, plan->stop, plan->stop_context, &d->list,
                              &of_text, error);
    d->text_at = ok ? d->list.count - of_text : 0;
    ok = ok && (place_tokens(d, t) || error_set(error, ERROR_NO_SPACE, "no memory for the plan"));
    blob_free(&text);
    return ok;
}

/* The first token of the document that begins at or after `byte`. */
static size_t token_at(const struct planned *d, uint64_t byte) {
    size_t low = d->text_at, high = d->list.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->bytes[middle] < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool add_mark(struct planned *d, size_t at, const char *title) {
    struct planned_mark *grown = reallocarray(d->marks, d->mark_count + 1, sizeof *grown);
    size_t size = strlen(d->name) + strlen(title) + 3;
    char *name = malloc(size);
    d->marks = grown ? grown : d->marks;
    if (!grown || !name) {
        free(name);
        return false;
    }
    snprintf(name, size, "%s: %s", d->name, title);
    d->marks[d->mark_count++] = (struct planned_mark){at, name};
    return true;
}

/* A mark "at a chapter" is the memory at the last chunk that ends before it: so a reading that is
 * cut there computes what an uncut one does, and nothing of the chapter is in it. `*last` is where
 * the mark before stands. */
static bool mark_document(struct planned *d, uint64_t position, uint64_t chunk, uint64_t apart,
                          uint64_t *last) {
    for (size_t i = 0; i < d->sections.count; i++) {
        uint64_t at = position + token_at(d, d->sections.rows[i].begin);
        at -= at % chunk;
        if (at < position + chunk || at < *last + apart) {
            continue;
        }
        if (!add_mark(d, (size_t)(at - position), d->sections.rows[i].title.data)) {
            return false;
        }
        *last = at;
    }
    d->mark_end = position + d->list.count >= *last + apart;
    if (d->mark_end) {
        *last = position + d->list.count;
    }
    return true;
}

static bool plan_marks(struct ingest_plan *plan, int64_t position, uint32_t chunk,
                       struct error *error) {
    uint64_t apart = plan->tokens / MARKS_PER_RUN, at = (uint64_t)position, last = at;
    apart = apart > TOKENS_BETWEEN_MARKS ? apart : TOKENS_BETWEEN_MARKS;
    for (size_t i = 0; i < plan->count; i++) {
        struct planned *d = &plan->documents[i];
        uint64_t begin = d->first_position >= 0 ? (uint64_t)d->first_position : at;
        if (!mark_document(d, begin, chunk, apart, &last)) {
            return error_set(error, ERROR_NO_SPACE, "no memory for the plan");
        }
        at = begin + d->list.count;
    }
    return true;
}

bool ingest_plan_make(struct ingest_plan *plan, struct store *store, const struct tokenizer *t,
                      int64_t position, uint32_t chunk, struct error *error) {
    struct store_documents rows;
    if (!store_documents_list(store, false, &rows, error)) {
        return false;
    }
    plan->documents = calloc(rows.count + 1, sizeof *plan->documents);
    bool ok = plan->documents || error_set(error, ERROR_NO_SPACE, "no memory for the plan");
    for (size_t i = 0; ok && i < rows.count; i++) {
        const struct store_document *row = &rows.rows[i];
        if (store_is_read(row, position)) {
            continue;
        }
        struct planned *d = &plan->documents[plan->count++];
        bool first = row->first_position == 0 || (position == 0 && plan->count == 1);
        ok = plan_document(plan, d, store, t, row, first, error);
        if (plan->stop && plan->stop(plan->stop_context)) {
            ok = error_set(error, ERROR_INTERRUPTED, "stopped; what was read is kept");
        }
        if (ok) {
            uint64_t done = d->first_position < 0 ? 0 : (uint64_t)(position - d->first_position);
            plan->tokens += d->list.count - done;
            plan->text_tokens += d->list.count - (done > d->text_at ? (size_t)done : d->text_at);
        }
    }
    store_documents_finish(&rows);
    return ok && plan_marks(plan, position, chunk, error);
}

const char *planned_section(const struct planned *d, uint64_t at) {
    uint64_t byte = planned_byte(d, at);
    const char *title = "";
    for (size_t i = 0; i < d->sections.count && d->sections.rows[i].begin <= byte; i++) {
        title = d->sections.rows[i].title.data;
    }
    return title;
}

uint64_t planned_byte(const struct planned *d, uint64_t at) {
    return d->bytes[at < d->list.count ? at : d->list.count];
}
