/* SPDX-License-Identifier: Apache-2.0
 *
 * View Ask: the transcript, the answer as it comes, and numbered citations. All turns are kept; a
 * turn is laid out again only when it or the width changes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/ui/app.h"
#include "app/ui/ask_turn.h"

enum {
    QUOTED = 40,  /* turns of a transcript whose citations are shown with their text */
    COPIED = 400, /* bytes of a citation that is copied */
};

struct ask {
    char *session; /* whose turns these are, NULL: of none */
    struct turn *turns;
    size_t count;
    uint64_t job; /* that answers the last turn; 0: none */
    long top;     /* the first row shown, when not following the end */
    bool follow;
    long height, total; /* as last drawn */
    size_t chosen_turn; /* whose citation is chosen */
    long chosen;        /* -1: none */
    long found;         /* the row that a search found; -1: none, or it was left by moving */
};

static void *create(struct app *a) {
    (void)a;
    struct ask *v = calloc(1, sizeof *v);
    if (v) {
        v->follow = true;
        v->chosen = v->found = -1;
    }
    return v;
}

static void clear(struct ask *v) {
    for (size_t i = 0; i < v->count; i++) {
        turn_finish(&v->turns[i]);
    }
    free(v->turns);
    free(v->session);
    *v = (struct ask){.follow = true, .chosen = -1, .found = -1};
}

static void destroy(void *state) {
    if (state) {
        clear(state);
        free(state);
    }
}

static struct turn *add_turn(struct ask *v, const char *question, size_t size) {
    struct turn *grown = realloc(v->turns, (v->count + 1) * sizeof *grown);
    if (!grown) {
        return NULL;
    }
    v->turns = grown;
    struct turn *t = &v->turns[v->count];
    *t = (struct turn){.question = safe_text_of(question, size, SAFE_PROSE), .selected = -1};
    if (!t->question) {
        return NULL;
    }
    v->count++;
    return t;
}

/* ---- what was said before ---- */

/* Question and answer are two turns of the store and one here. */
static void load(struct app *a, struct ask *v) {
    struct store_turns turns;
    struct error error;
    if (!store_turns_list(a->store, 0, &turns, &error)) {
        app_say(a, STYLE_WARN, "%s", error.text);
        return;
    }
    for (size_t i = 0; i < turns.count; i++) {
        const struct store_turn *from = &turns.rows[i];
        bool question = from->role.size == 4 && memcmp(from->role.data, "user", 4) == 0;
        struct turn *last = v->count ? &v->turns[v->count - 1] : NULL;
        if (question || !last || last->state == TURN_DONE) {
            last = add_turn(v, question ? from->body.data : "", question ? from->body.size : 0);
        }
        if (!last) {
            break;
        }
        if (question) {
            editor_remember(&a->editor, last->question);
        } else {
            turn_load_answer(last, a->store, from, i + QUOTED >= turns.count);
        }
    }
    for (size_t i = 0; i < v->count; i++) { /* asked, and never answered */
        v->turns[i].stopped = v->turns[i].stopped || v->turns[i].state != TURN_DONE;
        v->turns[i].state = TURN_DONE;
    }
    store_turns_finish(&turns);
}

static void refresh(struct app *a, void *state) {
    struct ask *v = state;
    if (v->job && v->session && a->session && strcmp(v->session, a->session) == 0) {
        return; /* it was asked before its file was there */
    }
    clear(v);
    v->session = a->session ? strdup(a->session) : NULL;
    editor_forget(&a->editor);
    if (a->store) {
        load(a, v);
    }
}

/* ---- a new turn ---- */

static bool ask_question(struct app *a, struct ask *v, const char *question) {
    if (v->job && v->turns[v->count - 1].state < TURN_DONE) {
        app_say(a, STYLE_PLAIN, "an answer is on the way; Esc stops it");
        return false;
    }
    uint64_t id;
    if (!app_ask(a, question, &id)) {
        return false;
    }
    struct turn *t = add_turn(v, question, strlen(question));
    if (!t) {
        return false;
    }
    v->job = id;
    v->follow = true;
    v->chosen = -1;
    return true;
}

static void end_turn(struct ask *v, struct turn *t, const struct message *m) {
    if (m->code != 0) {
        if (m->code == ERROR_INTERRUPTED) {
            t->stopped = true;
        }
        t->state = m->code == ERROR_INTERRUPTED ? TURN_DONE : TURN_FAILED;
        char *safe = app_safe(m->text ? m->text : "", m->text ? strlen(m->text) : 0);
        snprintf(t->note, sizeof t->note, "%s", t->state == TURN_FAILED ? safe : "");
        free(safe);
    }
    v->job = 0;
}

static void message(struct app *a, void *state, const struct message *m) {
    struct ask *v = state;
    if (!v->job || m->id != v->job || m->job != JOB_ASK || v->count == 0) {
        return;
    }
    (void)a;
    struct turn *t = &v->turns[v->count - 1];
    t->width = 0;
    switch (m->kind) {
    case MESSAGE_BEGIN:
        t->state = TURN_READS;
        break;
    case MESSAGE_PROGRESS:
        t->percent = m->total ? (unsigned)(100 * m->done / m->total) : 0;
        break;
    case MESSAGE_TEXT:
        t->state = TURN_ANSWERS;
        bytes_put(&t->answer, m->text, m->text ? strlen(m->text) : 0);
        break;
    case MESSAGE_ANSWER:
        turn_take_answer(t, m);
        v->chosen_turn = v->count - 1;
        break;
    case MESSAGE_END:
        end_turn(v, t, m);
        break;
    default:
        break;
    }
}

/* ---- drawing ---- */

static void draw_empty(struct app *a, struct area area) {
    static const char *const lines[] = {
        "Type a question and press Enter.",
        "",
        "Answers come with numbered citations.",
        "[ and ] choose one, Enter opens it in the Reader.",
        "",
        "M-2 Sources  M-4 Sessions  M-5 Models  F1 all keys",
    };
    struct styled s = {0};
    struct rows rows = {0};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        styled_puts(
            &s, i == 0 && !a->session ? "No session is open: M-2, then a, reads a file." : lines[i],
            STYLE_DIM);
        styled_puts(&s, "\n", STYLE_DIM);
    }
    if (!s.text.failed && text_wrap(&s, area.w, WRAP_WORDS, &rows)) {
        for (size_t i = 0; i < rows.count; i++) {
            screen_row(area, (int)i, &s, &rows.items[i], STYLE_PLAIN);
        }
    }
    rows_finish(&rows);
    styled_finish(&s);
}

static void draw(struct app *a, void *state, struct area area) {
    struct ask *v = state;
    if (v->count == 0) {
        draw_empty(a, area);
        return;
    }
    v->total = 0;
    for (size_t i = 0; i < v->count; i++) {
        turn_lay_out(&v->turns[i], area.w, i == v->chosen_turn ? v->chosen : -1);
        v->total += (long)v->turns[i].rows.count;
    }
    v->height = area.h;
    long last = v->total - 1 > area.h ? v->total - 1 - area.h : 0; /* the last row is empty */
    v->follow = v->follow || v->top >= last;
    v->top = v->follow ? last : v->top < 0 ? 0 : v->top;
    long row = -v->top;
    for (size_t i = 0; i < v->count && row < area.h; i++) {
        const struct turn *t = &v->turns[i];
        for (size_t j = 0; j < t->rows.count && row < area.h; j++, row++) {
            if (row >= 0) {
                screen_row(area, (int)row, &t->styled, &t->rows.items[j], STYLE_PLAIN);
            }
        }
    }
}

/* ---- keys ---- */

static void scroll(struct ask *v, long rows) {
    v->top += rows;
    v->top = v->top < 0 ? 0 : v->top;
    v->follow = false;
    v->found = -1;
}

/* Scrolls so that the marked citation is on the screen. */
static void reveal(struct ask *v) {
    long row = 0;
    for (size_t i = 0; i < v->chosen_turn; i++) {
        row += (long)v->turns[i].rows.count;
    }
    struct turn *t = &v->turns[v->chosen_turn];
    turn_lay_out(t, t->width ? t->width : 80, v->chosen);
    for (size_t j = 0; j < t->rows.count; j++, row++) {
        if (t->rows.items[j].begin < t->styled.styles.size &&
            t->styled.styles.data[t->rows.items[j].begin] & STYLE_REVERSE) {
            break;
        }
    }
    if (row < v->top || row >= v->top + v->height) {
        v->top = row - v->height / 2;
        v->follow = false;
    }
}

/* The first from the newest answer that has any, then one after the other, across answers. */
static void choose_citation(struct app *a, struct ask *v, int step) {
    bool first = v->chosen < 0;
    long turn = first ? (long)v->count - 1 : (long)v->chosen_turn;
    long chosen = first ? -1 : v->chosen + step;
    if (first || chosen < 0 || chosen >= (long)v->turns[turn].citations_count) {
        turn += first ? 0 : step;
        while (turn >= 0 && turn < (long)v->count && v->turns[turn].citations_count == 0) {
            turn += first ? -1 : step;
        }
        if (turn < 0 || turn >= (long)v->count) {
            app_say(a, STYLE_PLAIN, "no more citations");
            return;
        }
        chosen = step > 0 ? 0 : (long)v->turns[turn].citations_count - 1;
    }
    v->chosen_turn = (size_t)turn;
    v->chosen = chosen;
    reveal(v);
    if (app_wide()) {
        const struct cited *c = &v->turns[turn].citations[chosen];
        reader_open(a, c->document, c->span);
    }
}

static void open_citation(struct app *a, struct ask *v) {
    if (v->chosen < 0) {
        choose_citation(a, v, 1);
    }
    if (v->chosen >= 0) {
        const struct cited *c = &v->turns[v->chosen_turn].citations[v->chosen];
        app_show_span(a, c->document, c->span);
    }
}

/* No terminal says whether it took the text, so it is in a file as well. */
static void copy(struct app *a, const struct ask *v, bool all) {
    size_t i = v->chosen >= 0 ? v->chosen_turn : v->count - 1;
    if (v->count == 0 || v->turns[i].answer.size == 0) {
        app_say(a, STYLE_PLAIN, "no answer to copy");
        return;
    }
    const struct turn *t = &v->turns[i];
    struct styled out = {0};
    styled_put(&out, (const char *)t->answer.data, t->answer.size, STYLE_PLAIN);
    if (all) {
        styled_puts(&out, "\n\n", STYLE_PLAIN);
        for (size_t j = 0; j < t->citations_count; j++) {
            turn_put_citation(&out, &t->citations[j], j + 1, COPIED, false);
        }
    }
    app_copy(a, (const char *)out.text.data, out.text.size);
    styled_finish(&out);
}

static void search(struct app *a, struct ask *v, bool backwards) {
    long row = 0, best = -1, from = v->found >= 0 ? v->found : v->top - !backwards;
    for (size_t i = 0; a->search && i < v->count; i++) {
        const struct turn *t = &v->turns[i];
        for (size_t j = 0; j < t->rows.count; j++, row++) {
            const struct row *r = &t->rows.items[j];
            bool found = text_search((const char *)t->styled.text.data + r->begin,
                                     r->end - r->begin, 0, a->search) != TEXT_NOWHERE;
            if (found && (backwards ? row < from : row > from && best < 0)) {
                best = row;
            }
        }
    }
    if (best < 0) {
        app_say(a, STYLE_PLAIN, "not found%s: %s", backwards ? " above" : " below",
                a->search ? a->search : "");
        return;
    }
    v->top = v->found = best;
    v->follow = false;
}

static bool act(struct app *a, void *state, enum action action) {
    struct ask *v = state;
    long page = v->height > 1 ? v->height - 1 : 1;
    switch (action) {
    case ACTION_SEND:
        return ask_question(a, v, editor_text(&a->editor));
    case ACTION_UP:
        scroll(v, -1);
        return true;
    case ACTION_DOWN:
        scroll(v, 1);
        return true;
    case ACTION_HALF_UP:
        scroll(v, -(page + 1) / 2);
        return true;
    case ACTION_HALF_DOWN:
        scroll(v, (page + 1) / 2);
        return true;
    case ACTION_SCROLL_UP:
    case ACTION_PAGE_UP:
        scroll(v, -page);
        return true;
    case ACTION_SCROLL_DOWN:
    case ACTION_PAGE_DOWN:
        scroll(v, page);
        return true;
    case ACTION_TOP:
        scroll(v, -v->total);
        return true;
    case ACTION_BOTTOM:
        v->found = -1;
        v->follow = true;
        return true;
    case ACTION_CITE_NEXT:
        choose_citation(a, v, 1);
        return true;
    case ACTION_CITE_PREVIOUS:
        choose_citation(a, v, -1);
        return true;
    case ACTION_OPEN:
        open_citation(a, v);
        return true;
    case ACTION_COPY:
    case ACTION_COPY_ALL:
        copy(a, v, action == ACTION_COPY_ALL);
        return true;
    case ACTION_SEARCH_NEXT:
    case ACTION_SEARCH_PREVIOUS:
        search(a, v, action == ACTION_SEARCH_PREVIOUS);
        return true;
    default:
        return false;
    }
}

const struct view_ops view_ask = {
    .name = "Ask",
    .context = IN_ASK,
    .create = create,
    .destroy = destroy,
    .refresh = refresh,
    .message = message,
    .draw = draw,
    .act = act,
};
