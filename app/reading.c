/* SPDX-License-Identifier: Apache-2.0
 *
 * Documents -> tokens -> session.
 */
#include "app/reading.h"

#include <stdlib.h>
#include <string.h>

#include "app/loading.h"
#include "app/safe_text.h"
#include "engine/base/clock.h"

void reading_report_skips(const struct skips *skips, const struct options *options) {
    struct progress progress;
    progress_init(&progress, options);
    for (size_t i = 0; i < skips->count; i++) {
        const struct skip *skip = &skips->items[i];
        char *name = safe_text_of(skip->name, strlen(skip->name), SAFE_NAME);
        char *reason = safe_text_of(skip->reason, strlen(skip->reason), SAFE_NAME);
        progress_message(&progress, "skipped %s: %s", name ? name : "?", reason ? reason : "?");
        free(name);
        free(reason);
    }
}

bool reading_encode(const struct tokenizer *t, const struct document *d, bool first,
                    bool (*stop)(void *), void *stop_context, struct tokens *out, size_t *of_text,
                    struct error *error) {
    bool ok = true;
    if (first && tokenizer_adds_bos(t)) {
        ok = tokens_push(out, tokenizer_bos(t)) ||
             error_set(error, ERROR_NO_SPACE, "no memory for the tokens");
    }
    ok = ok && (first || tokenizer_encode(t, "\n\n", 2, out, error)) &&
         tokenizer_encode(t, d->name, strlen(d->name), out, error) &&
         tokenizer_encode(t, "\n\n", 2, out, error);
    size_t before = out->count;
    ok = ok && tokenizer_encode_long(t, d->text, d->size, stop, stop_context, out, error);
    *of_text = out->count - before;
    return ok;
}

/* Where each document's tokens begin and what they are called on the screen. */
struct reading {
    struct tokens list;
    size_t *begins; /* [count + 1] */
    size_t of_text; /* tokens of the texts alone */
};

static bool encode_all(struct reading *r, const struct tokenizer *t, const struct library *l,
                       struct progress *progress, struct error *error) {
    r->begins = calloc(l->count + 1, sizeof *r->begins);
    if (!r->begins) {
        return error_set(error, ERROR_NO_SPACE, "no memory for %zu documents", l->count);
    }
    for (size_t i = 0; i < l->count; i++) {
        size_t of_text;
        if (!reading_encode(t, &l->documents[i], i == 0, NULL, NULL, &r->list, &of_text, error)) {
            return false;
        }
        r->begins[i + 1] = r->list.count;
        r->of_text += of_text;
        progress_line(progress, "cutting into tokens: %zu of %zu documents", i + 1, l->count);
    }
    return true;
}

bool reading_append_library(struct session *session, struct engine *engine, const struct library *l,
                            const struct options *options, struct error *error) {
    struct reading r = {0};
    struct reading_watch watch;
    reading_watch_init(&watch, options, 0);
    bool ok = encode_all(&r, engine_tokenizer(engine), l, &watch.progress, error);
    watch.begin = clock_seconds();
    watch.total = r.list.count;
    for (size_t i = 0; ok && i < l->count; i++) {
        char *name = safe_text_of(l->documents[i].name, strlen(l->documents[i].name), SAFE_NAME);
        watch.label = name ? name : "reading";
        watch.before = r.begins[i];
        ok = session_append(session, r.list.ids + r.begins[i], r.begins[i + 1] - r.begins[i],
                            &watch.watch, error);
        free(name);
    }
    progress_end(&watch.progress);
    if (ok) {
        double elapsed = clock_seconds() - watch.begin;
        progress_message(&watch.progress,
                         "read %zu tokens of %zu documents in %.1f s (%.0f tokens/s)", r.of_text,
                         l->count, elapsed, (double)r.list.count / elapsed);
    }
    if (ok && !engine_info(engine)->has_adapter) {
        progress_message(&watch.progress,
                         "this model has no adapter: it answers from the window, the kept and "
                         "merged tokens and the passages found (allmem finetune makes one)");
    }
    free(r.begins);
    tokens_finish(&r.list);
    return ok;
}
