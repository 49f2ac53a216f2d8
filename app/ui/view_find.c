/* SPDX-License-Identifier: Apache-2.0
 *
 * View Find: the passages that hold all the words of a search in the session's sources, best first.
 * Needs no model.
 */
#include <stdlib.h>
#include <string.h>

#include "app/as_of.h"
#include "app/ui/app.h"
#include "app/ui/list.h"
#include "storage/search.h"

enum { MOST = 50, SHOWN = 160 }; /* passages; bytes of each */

struct find {
    char *words, *mark; /* filtered; what was looked for, as of where, or NULL */
    struct store_hits hits;
    struct list list;
};

static void *create(struct app *a) {
    (void)a;
    return calloc(1, sizeof(struct find));
}

static void forget(struct find *v) {
    store_hits_finish(&v->hits);
    v->hits = (struct store_hits){0};
    free(v->words);
    free(v->mark);
    v->words = v->mark = NULL;
    list_clear(&v->list);
    v->list.chosen = v->list.top = 0;
}

static void destroy(void *state) {
    struct find *v = state;
    if (v) {
        forget(v);
        list_finish(&v->list);
        free(v);
    }
}

static void refresh(struct app *a, void *state) {
    (void)a;
    forget(state);
}

/* The line with the first of the words, or the passage's first. */
static void put_text(struct app *a, struct list *l, const struct store_hit *hit, const char *word) {
    struct blob text = {0};
    struct error none;
    if (!store_document_read(a->store, hit->document, hit->span.begin, hit->span.end, &text,
                             &none)) {
        return;
    }
    size_t at = text_search(text.data, text.size, 0, word);
    at = at == TEXT_NOWHERE ? 0 : at;
    size_t from = at > SHOWN / 3 ? at - SHOWN / 3 : 0;
    while (from > 0 && from < at && !strchr(" \n", text.data[from])) {
        from++; /* not inside a word, and so not inside a character */
    }
    char *line = text_one_line(text.data + from, text.size - from, SHOWN);
    styled_puts(&l->styled, line ? line : "", STYLE_DIM);
    free(line);
    blob_free(&text);
}

static void put_hit(struct app *a, struct find *v, size_t i, const char *word) {
    struct list *l = &v->list;
    const struct store_hit *hit = &v->hits.rows[i];
    struct store_document document = {0};
    struct error none;
    if (store_document_get(a->store, hit->document, &document, &none)) {
        styled_put_place(&l->styled, document.path.data, &hit->place, STYLE_ACCENT);
        store_document_finish(&document);
    }
    styled_puts(&l->styled, "  ", STYLE_PLAIN);
    put_text(a, l, hit, word);
    list_end(l, (long)i);
}

static bool look(struct app *a, struct find *v, char *words, struct error *error) {
    struct blob terms[STORE_TERMS_MAX];
    struct store_query query = {.terms = terms, .all = true, .limit = MOST};
    struct store_horizon horizon;
    char *rest = NULL;
    if (a->mark) {
        if (!as_of_horizon(a->store, a->mark, &horizon, error)) {
            return false;
        }
        query.horizon = &horizon;
    }
    for (char *word = strtok_r(words, " \n", &rest); word && query.count < STORE_TERMS_MAX;
         word = strtok_r(NULL, " \n", &rest)) {
        terms[query.count++] = blob_of(word);
    }
    if (query.count == 0 || !store_search(a->store, &query, &v->hits, error)) {
        return query.count == 0;
    }
    for (size_t i = 0; i < v->hits.count; i++) {
        put_hit(a, v, i, terms[0].data);
    }
    return true;
}

void find_words(struct app *a, const char *words) {
    struct find *v = a->states[VIEW_FIND];
    struct error error;
    char *copy = strdup(words);
    forget(v);
    if (!a->store) {
        app_say(a, STYLE_WARN, "no session is open");
    } else if (!copy || !look(a, v, copy, &error)) {
        app_say(a, STYLE_WARN, "%s", copy ? error.text : "out of memory");
    } else {
        v->words = app_safe(words, strlen(words));
        v->mark = a->mark ? app_safe(a->mark, strlen(a->mark)) : NULL;
        app_show(a, VIEW_FIND);
    }
    free(copy);
}

/* ---- drawing and keys ---- */

static void draw(struct app *a, void *state, struct area area) {
    struct find *v = state;
    (void)a;
    struct styled s = {0};
    styled_printf(&s, STYLE_BOLD,
                  v->hits.count == 0      ? "No passage"
                  : v->hits.count == 1    ? "%zu passage"
                  : v->hits.count == MOST ? "The best %zu passages"
                                          : "%zu passages",
                  v->hits.count);
    styled_puts(&s, " with: ", STYLE_PLAIN);
    styled_puts(&s, v->words ? v->words : "", STYLE_PLAIN);
    if (v->mark) {
        styled_puts(&s, "   as of ", STYLE_DIM);
        styled_puts(&s, v->mark, STYLE_DIM);
    }
    struct row row = {0, s.text.size, 0};
    if (!s.text.failed && !s.styles.failed) {
        screen_row(area, 0, &s, &row, STYLE_PLAIN);
    }
    styled_finish(&s);
    list_draw(&v->list, (struct area){area.y + 1, area.x, area.h - 1, area.w}, true);
}

static bool act(struct app *a, void *state, enum action action) {
    struct find *v = state;
    long i = list_chosen(&v->list);
    if (action == ACTION_OPEN) {
        if (i >= 0) {
            app_show_span(a, v->hits.rows[i].document, v->hits.rows[i].span);
        }
        return true;
    }
    return app_list_act(a, &v->list, action);
}

const struct view_ops view_find = {
    .name = "Find",
    .context = IN_FIND,
    .create = create,
    .destroy = destroy,
    .refresh = refresh,
    .draw = draw,
    .act = act,
};
