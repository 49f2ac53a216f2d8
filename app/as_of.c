/* SPDX-License-Identifier: Apache-2.0
 *
 * Text -> saved state.
 */
#include "app/as_of.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/bytes.h"
#include "storage/session.h"

/* How well a mark fits: more is better. */
enum fit { NONE, PART, TITLE, WHOLE, EXACT };

static enum fit fit_of(const struct store_snapshot *state, const char *text) {
    const char *mark = state->mark.data;
    if (!mark || !*text) {
        return NONE;
    }
    if (strcasecmp(mark, text) == 0) {
        return strcmp(mark, text) == 0 ? EXACT : WHOLE;
    }
    size_t size = strlen(mark), end = strlen(text);
    if (size > end + 2 && memcmp(mark + size - end - 2, ": ", 2) == 0 &&
        strcasecmp(mark + size - end, text) == 0) {
        return TITLE;
    }
    return strcasestr(mark, text) ? PART : NONE;
}

/* False when the text is no share. */
static bool parse_share(const char *text, double *share) {
    char *end;
    if (*text < '0' || *text > '9') {
        return false;
    }
    *share = strtod(text, &end);
    end += strspn(end, " ");
    return strcmp(end, "%") == 0 && *share <= 100;
}

static bool by_share(const struct store_snapshots *states, int64_t position, double share,
                     size_t *index, struct error *error) {
    double most = (double)position * share / 100;
    size_t found = states->count;
    for (size_t i = 0; i < states->count; i++) {
        if ((double)states->rows[i].position <= most) {
            found = i;
        }
    }
    if (found == states->count) {
        return error_set(error, ERROR_NOT_FOUND,
                         "no saved state of the memory at or before %g %%; the first is at %.3g %%",
                         share,
                         position > 0 && states->count > 0
                             ? 100.0 * (double)states->rows[0].position / (double)position
                             : 100.0);
    }
    *index = found;
    return true;
}

/* The marks that fit at least so well, as "'A', 'B'"; those beyond 600 bytes are counted. */
static void list_marks(const struct store_snapshots *states, const char *text, enum fit least,
                       struct bytes *out) {
    for (size_t i = 0; i < states->count; i++) {
        const struct store_snapshot *s = &states->rows[i];
        if (s->mark.data && fit_of(s, text) >= least && out->size < 600) {
            bytes_put(out, out->size ? ", '" : "'", out->size ? 3 : 1);
            bytes_put(out, s->mark.data, s->mark.size < 120 ? s->mark.size : 120);
            bytes_put_u8(out, '\'');
        }
    }
    if (out->size == 0) {
        bytes_put(out, "none", 4);
    }
    bytes_put_u8(out, 0);
}

bool as_of_find(const struct store_snapshots *states, int64_t position, const char *text,
                size_t *index, struct error *error) {
    enum fit best = NONE;
    size_t count = 0;
    double share;
    for (size_t i = 0; i < states->count; i++) {
        enum fit fit = fit_of(&states->rows[i], text);
        if (fit > best) {
            best = fit;
            count = 0;
        }
        if (fit == best && fit != NONE) {
            *index = i;
            count++;
        }
    }
    if (count == 1) {
        return true;
    }
    if (count == 0 && parse_share(text, &share)) {
        return by_share(states, position, share, index, error);
    }
    struct bytes marks = {0};
    list_marks(states, text, count ? best : NONE, &marks);
    error_set(error, ERROR_NOT_FOUND,
              count ? "'%.200s' may mean several saved states: %s"
                    : "no saved state of the memory is marked '%.200s'; there are: %s",
              text, marks.failed ? "" : (const char *)marks.data);
    bytes_finish(&marks);
    return false;
}

bool as_of_horizon(struct store *store, const char *text, struct store_horizon *horizon,
                   struct error *error) {
    struct store_session session;
    struct store_snapshots states;
    size_t index;
    if (!store_session_get(store, &session, error)) {
        return false;
    }
    bool ok = store_snapshots_list(store, &states, error);
    if (ok) {
        ok = as_of_find(&states, session.position, text, &index, error);
        if (ok) {
            const struct store_snapshot *s = &states.rows[index];
            *horizon = (struct store_horizon){s->position, s->document, s->byte};
        }
        store_snapshots_finish(&states);
    }
    store_session_finish(&session);
    return ok;
}
