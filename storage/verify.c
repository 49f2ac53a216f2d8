/* SPDX-License-Identifier: Apache-2.0
 *
 * The full check of a session.
 */
#include "storage/verify.h"

#include "storage/passages.h"
#include "storage/rows.h"
#include "storage/snapshots.h"
#include "storage/statement.h"
#include "storage/text.h"
#include "storage/transcript.h"

struct report {
    store_tell_damage *tell;
    void *context;
    struct error first;
};

/* Keeps count of damage; returns false for a failure that is none and ends the check. */
static bool note(struct report *report, bool ok, const struct error *found) {
    if (ok) {
        return true;
    }
    if (report->first.code == ERROR_NONE) {
        report->first = *found;
    }
    if (found->code != ERROR_INCOMPATIBLE) {
        report->first = *found;
        return false;
    }
    if (report->tell) {
        report->tell(report->context, found->text);
    }
    return true;
}

static bool check_texts(struct store *store, struct report *report) {
    struct error error = {0};
    struct statement s = statement_of(store, "SELECT id FROM text ORDER BY id");
    bool go_on = true;
    while (go_on && statement_next(&s)) {
        struct error found = {0};
        go_on = note(report, text_verify(store, statement_integer(&s, 0), &found), &found);
    }
    return note(report, statement_end(&s, &error), &error) && go_on;
}

static bool check_snapshots(struct store *store, struct report *report) {
    struct error error = {0};
    struct store_snapshots snapshots;
    bool go_on = note(report, store_snapshots_list(store, &snapshots, &error), &error);
    for (size_t i = 0; go_on && i < snapshots.count; i++) {
        struct error found = {0};
        go_on =
            note(report,
                 store_snapshot_read(store, snapshots.rows[i].generation, NULL, NULL, NULL, &found),
                 &found);
    }
    store_snapshots_finish(&snapshots);
    return go_on;
}

static bool check_turns(struct store *store, struct report *report) {
    struct error error = {0};
    struct store_turns turns;
    bool go_on = note(report, store_turns_list(store, 0, &turns, &error), &error);
    store_turns_finish(&turns);
    return go_on;
}

bool store_verify(struct store *store, store_tell_damage *tell, void *context,
                  struct error *error) {
    struct report report = {.tell = tell, .context = context};
    struct error found = {0};
    bool go_on = note(&report, db_check(store, "PRAGMA integrity_check(1)", &found), &found) &&
                 note(&report, db_check(store, "PRAGMA foreign_key_check", &found), &found) &&
                 check_texts(store, &report) && check_turns(store, &report) &&
                 check_snapshots(store, &report);
    if (go_on && store->writing) {
        note(&report, passages_check_index(store, &found), &found);
    }
    if (report.first.code != ERROR_NONE && error) {
        *error = report.first;
    }
    return report.first.code == ERROR_NONE;
}
