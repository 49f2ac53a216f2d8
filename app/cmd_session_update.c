/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem session update: a session's memory made anew from its sources as they are now.
 */
#include "app/cmd_session_update.h"

#include <stdlib.h>

#include "app/ingest_show.h"
#include "app/json.h"
#include "app/update.h"

static void tell_each(struct progress *p, const char *what, const struct skips *names) {
    for (size_t i = 0; i < names->count; i++) {
        progress_message(p, "%s: %s", what, names->items[i].name);
    }
}

static void tell(void *context, const struct update_changes *c, bool rebuild) {
    struct progress *p = context;
    tell_each(p, "changed", &c->changed);
    tell_each(p, "no longer there", &c->gone);
    tell_each(p, "taken out", &c->withdrawn);
    tell_each(p, "new", &c->added);
    if (c->outdated) {
        progress_message(p, "%s", c->outdated);
    }
    progress_message(p, rebuild ? "everything is read again; the session stays as it was until "
                                  "that is done"
                        : c->added.count ? "only what is new is read"
                                         : "nothing has changed");
}

static json_t *names_json(const struct skips *names) {
    json_t *array = json_array();
    for (size_t i = 0; i < names->count; i++) {
        json_array_append_new(array, json_text(names->items[i].name));
    }
    return array;
}

static int report(const struct update_report *r, const struct options *options,
                  struct error *error) {
    json_t *changes =
        json_pack("{s:b, s:o, s:{s:o, s:o, s:o, s:o}}", "rebuilt", (int)r->rebuilt, "outdated",
                  json_text(r->changes.outdated), "sources", "changed",
                  names_json(&r->changes.changed), "gone", names_json(&r->changes.gone), "added",
                  names_json(&r->changes.added), "withdrawn", names_json(&r->changes.withdrawn));
    if (r->ingest.tokens) {
        return ingest_show_report(&r->ingest, options, changes, error);
    }
    if (options->json) {
        return json_print(changes, error);
    }
    json_decref(changes);
    return 0;
}

int session_update_run(const struct options *options, char **argv, struct error *error) {
    struct ingest_show show;
    struct ingest_options o = ingest_options_default();
    struct update_report r;
    ingest_show_init(&show, options, &o);
    bool ok = session_update(options, argv[0], &o, tell, &show.progress, &r, error);
    progress_end(&show.progress);
    int code = ok ? report(&r, options, error) : (int)error->code;
    if (code == ERROR_INTERRUPTED) {
        progress_message(&show.progress, "stopped; the next update goes on from here");
    }
    update_report_finish(&r);
    return code;
}
