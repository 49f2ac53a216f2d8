/* SPDX-License-Identifier: Apache-2.0
 *
 * Progress and report of a reading.
 */
#include "app/ingest_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/interrupt.h"
#include "app/json.h"
#include "app/reading.h"
#include "app/safe_text.h"
#include "engine/base/clock.h"

static bool stop(void *context) {
    (void)context;
    return interrupt_requested();
}

static void show_state(void *context, const struct ingest_state *s) {
    struct ingest_show *show = context;
    if (s->stopped) { /* a slow disk takes its time to keep a large memory */
        show->progress.next = 0;
        progress_line(&show->progress, "stopped; keeping what was read...");
        return;
    }
    double now = clock_seconds();
    show->begin = show->begin > 0 ? show->begin : now;
    double speed = now > show->begin ? (double)s->done / (now - show->begin) : 0;
    unsigned left = speed > 0 ? (unsigned)((double)(s->total - s->done) / speed + 0.5) : 0;
    progress_line(&show->progress, "%llu %%, %.0f tokens/s, %u:%02u left, %s%s%s",
                  (unsigned long long)(s->total ? 100 * s->done / s->total : 100), speed, left / 60,
                  left % 60, s->document, *s->section ? ": " : "", s->section);
}

void ingest_show_init(struct ingest_show *s, const struct options *options,
                      struct ingest_options *o) {
    *s = (struct ingest_show){0};
    progress_init(&s->progress, options);
    o->offline = options->offline;
    o->walk.stop = stop;
    o->progress = show_state;
    o->context = s;
}

static int print_json(const struct ingest_report *r, json_t *extra, struct error *error) {
    json_t *documents = json_array(), *skipped = json_array(), *gone = json_array();
    for (size_t i = 0; i < r->library.count; i++) {
        json_array_append_new(documents, json_pack("{s:o, s:I, s:I}", "source",
                                                   json_text(r->library.documents[i].name),
                                                   "tokens", (json_int_t)r->tokens[i], "bytes",
                                                   (json_int_t)r->library.documents[i].size));
    }
    for (size_t i = 0; i < r->library.skips.count; i++) {
        const struct skip *s = &r->library.skips.items[i];
        json_array_append_new(skipped, json_pack("{s:o, s:o}", "source", json_text(s->name),
                                                 "reason", json_text(s->reason)));
    }
    for (size_t i = 0; i < r->gone.count; i++) {
        json_array_append_new(gone, json_text(r->gone.items[i].name));
    }
    json_t *all =
        json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "documents", documents,
                  "skipped", skipped, "gone", gone, "added", (json_int_t)r->added, "changed",
                  (json_int_t)r->changed, "unchanged", (json_int_t)r->unchanged, "text_tokens",
                  (json_int_t)r->text_tokens, "read_tokens", (json_int_t)r->read_tokens, "position",
                  (json_int_t)r->position, "seconds", r->seconds);
    if (all && extra) {
        json_object_update(all, extra);
    }
    json_decref(extra);
    return json_print(all, error);
}

static void print_text(const struct ingest_report *r, const struct options *options) {
    for (size_t i = 0; options->verbose && i < r->library.count; i++) {
        const char *name = r->library.documents[i].name;
        char *safe = safe_text_of(name, strlen(name), SAFE_NAME);
        printf("%9llu tokens  %s\n", (unsigned long long)r->tokens[i], safe ? safe : "?");
        free(safe);
    }
    printf("%zu documents new, %zu changed, %zu unchanged; %llu tokens of text read in %.1f s\n",
           r->added, r->changed, r->unchanged, (unsigned long long)r->text_tokens, r->seconds);
}

/* Exit status 3 when something could not be read; what is left out by rule is no failure. */
static int exit_code(const struct ingest_report *r) {
    for (size_t i = 0; i < r->library.skips.count; i++) {
        if (!r->library.skips.items[i].by_rule) {
            return ERROR_NOT_IN_SOURCES;
        }
    }
    return 0;
}

int ingest_show_report(const struct ingest_report *r, const struct options *options, json_t *extra,
                       struct error *error) {
    int code = 0;
    reading_report_skips(&r->library.skips, options);
    if (options->json) {
        code = print_json(r, extra, error);
    } else {
        json_decref(extra);
        print_text(r, options);
    }
    return code ? code : exit_code(r);
}
