/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole picture: title, one view or two, the input line, the status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/progress.h"
#include "app/ui/app_private.h"

enum { WIDE = 100, SMALL_WIDTH = 60, SMALL_HEIGHT = 15, INPUT_ROWS = 6 };

bool app_wide(void) {
    struct area all = screen_area();
    return all.w >= WIDE && all.h >= SMALL_HEIGHT;
}

static bool small(struct area all) {
    return all.w < SMALL_WIDTH || all.h < SMALL_HEIGHT;
}

/* ---- title ---- */

static void put_place(struct app *a, struct styled *s) {
    if (a->reading.on && a->reading.job == JOB_OPEN) {
        styled_puts(s, " | loading the model", STYLE_PLAIN);
    } else if (a->mark) {
        styled_puts(s, " | as of ", STYLE_BOLD);
        styled_put_safe(s, a->mark, strlen(a->mark), SAFE_NAME, STYLE_BOLD);
    } else {
        styled_printf(s, STYLE_PLAIN, " | %llu tokens", (unsigned long long)a->position);
    }
}

/* Session, model and place in `width` columns. Where they are too many the model's name, which may
 * be a path, is shortened, then left out; then the session's is shortened, then stands alone. */
static void put_session(struct app *a, struct styled *s, int width) {
    enum { NAME_LEAST = 8, MODEL_LEAST = 12 };
    struct styled place = {0};
    put_place(a, &place);
    char *name = app_safe(a->session, strlen(a->session));
    int columns = 2 + text_columns(name, strlen(name)), room = width - place.column;
    bool with_place = room >= 2 + NAME_LEAST || room >= columns;
    char *model = a->model ? text_short_name(a->model, room - columns - 3) : NULL;
    bool with_model = model && (room - columns - 3 >= MODEL_LEAST || strcmp(model, a->model) == 0);
    char *brief = text_short_name(name, with_place ? room - 2 : width - 2);
    styled_puts(s, "  ", STYLE_PLAIN);
    styled_puts(s, brief ? brief : "", STYLE_BOLD);
    if (with_model) {
        styled_puts(s, " | ", STYLE_DIM);
        styled_puts(s, model, STYLE_PLAIN);
    }
    if (with_place) {
        put_place(a, s);
    }
    free(model);
    free(brief);
    free(name);
    styled_finish(&place);
}

static void draw_title(struct app *a, struct area line, bool is_small) {
    int column = 0;
    if (is_small) {
        column = screen_puts(line, 0, 0, STYLE_BOLD | STYLE_REVERSE, app_views[a->view]->name);
    } else {
        for (int i = VIEW_ASK; i <= VIEW_MODELS; i++) {
            char name[40];
            snprintf(name, sizeof name, a->view == (enum view_id)i ? "[%d %s]" : " %d %s ", i + 1,
                     app_views[i]->name);
            column = screen_puts(line, 0, column,
                                 a->view == (enum view_id)i ? STYLE_BOLD | STYLE_ACCENT : STYLE_DIM,
                                 name);
        }
    }
    if (!a->session) {
        return;
    }
    struct styled s = {0};
    put_session(a, &s, line.w - column);
    struct row row = {0, s.text.size, column};
    if (!s.text.failed && !s.styles.failed) {
        screen_row(line, 0, &s, &row, STYLE_PLAIN);
    }
    styled_finish(&s);
}

/* ---- status ---- */

static void put_hint(struct app *a, struct styled *s, enum action action, const char *what) {
    char key[KEY_TEXT];
    unsigned contexts =
        a->typing || a->prompt.on ? IN_TYPING : IN_BROWSING | app_context(a, a->view);
    keys_hint(&a->keys, action, contexts, key);
    if (*key) {
        styled_printf(s, STYLE_BOLD, "%s%s", s->text.size ? "  " : "", key);
        styled_printf(s, STYLE_DIM, " %s", what);
    }
}

static void put_hints(struct app *a, struct styled *s) {
    if (a->prompt.on) {
        if (a->prompt.yes_no) {
            return; /* the question says what can be pressed */
        }
        put_hint(a, s, ACTION_SEND, "done");
        if (a->prompt.past) {
            put_hint(a, s, ACTION_HISTORY_SEARCH, "the one before");
        }
        if (a->prompt.path) {
            put_hint(a, s, ACTION_COMPLETE, "complete");
            put_hint(a, s, ACTION_BROWSE, "list");
        }
        put_hint(a, s, ACTION_ESCAPE, "give up");
    } else if (a->typing) {
        put_hint(a, s, ACTION_SEND, a->view == VIEW_WELCOME ? "next step" : "send");
        put_hint(a, s, ACTION_NEWLINE, "newline");
        put_hint(a, s, ACTION_ESCAPE, "browse");
        put_hint(a, s, ACTION_STOP, "stop");
        put_hint(a, s, ACTION_HELP, "help");
    } else {
        if (app_reads(a) || a->fetching.on) {
            put_hint(a, s, ACTION_STOP, "stop");
        }
        put_hint(a, s, ACTION_TYPE, "type");
        put_hint(a, s, ACTION_OPEN, "open");
        put_hint(a, s, ACTION_ADD, "add");
        put_hint(a, s, ACTION_CITE_NEXT, "citation");
        put_hint(a, s, ACTION_COPY, "copy");
        put_hint(a, s, ACTION_SEARCH, "search");
        put_hint(a, s, ACTION_HELP, "help");
        put_hint(a, s, ACTION_BACK, "back");
        put_hint(a, s, ACTION_QUIT, "quit");
    }
}

static void put_activity(struct styled *s, const struct activity *p) {
    char text[200];
    if (!p->on || p->job == JOB_ASK || p->job == JOB_OPEN) {
        return;
    }
    app_progress(p, text, sizeof text);
    const char *what = p->job == JOB_INGEST || p->job == JOB_UPDATE ? "reading"
                       : p->job == JOB_GET                          ? "fetching"
                       : p->job == JOB_VERIFY                       ? "checking"
                                                                    : "working";
    styled_printf(s, STYLE_BOLD, "%s%s %s", s->text.size ? "  " : "", what, text);
}

/* A message is shown whole, if it fits into a third of the screen; lays it out into `rows`. */
static int status_height(struct app *a, struct area all, struct rows *rows) {
    int most = all.h / 3 > 1 ? all.h / 3 : 1;
    if (a->status.text.size == 0 || !text_wrap(&a->status, all.w, WRAP_WORDS, rows)) {
        rows->count = 0;
    }
    return rows->count < 1 ? 1 : rows->count > (size_t)most ? most : (int)rows->count;
}

static void draw_status(struct app *a, const struct rows *rows, struct area line) {
    struct styled s = {0};
    for (int i = 0; i < line.h && (size_t)i < rows->count; i++) {
        screen_row(line, i, &a->status, &rows->items[i], STYLE_PLAIN);
    }
    if (rows->count) {
        return;
    }
    if (a->view != VIEW_SOURCES && a->view != VIEW_WELCOME) { /* these show it themselves */
        put_activity(&s, &a->reading);
    }
    if (a->view != VIEW_MODELS && a->view != VIEW_WELCOME) {
        put_activity(&s, &a->fetching);
    }
    if (s.text.size == 0) {
        put_hints(a, &s);
    }
    struct row row = {0, s.text.size, 0};
    if (!s.text.failed && !s.styles.failed) {
        screen_row(line, 0, &s, &row, STYLE_PLAIN);
    }
    styled_finish(&s);
}

/* ---- input ---- */

struct input {
    struct styled text;
    struct rows rows;
    int label;  /* columns */
    size_t top; /* first row shown */
    int cursor_row, cursor_column;
    int height;
};

static const char *label_of(const struct app *a) {
    return a->prompt.on ? a->prompt.label : a->view == VIEW_WELCOME ? "path> " : "ask> ";
}

static void lay_out_input(struct app *a, struct input *in, int width, int most) {
    struct editor *e = a->prompt.on ? &a->prompt.editor : &a->editor;
    const char *text = editor_text(e);
    const char *label = label_of(a);
    in->label = text_columns(label, strlen(label));
    int most_label = a->prompt.on && a->prompt.yes_no ? width - 1 : width / 2;
    in->label = in->label > most_label ? most_label : in->label;
    styled_put(&in->text, text, strlen(text), STYLE_PLAIN);
    int room = width - in->label - 1; /* a column for the cursor behind the end */
    in->height = 1;
    if (in->text.text.failed || !text_wrap(&in->text, room, WRAP_ANYWHERE, &in->rows)) {
        in->rows.count = 0;
        return;
    }
    size_t row = 0;
    while (row + 1 < in->rows.count && in->rows.items[row + 1].begin <= e->at) {
        row++;
    }
    in->height = (int)in->rows.count < most ? (int)in->rows.count : most;
    in->top = row >= (size_t)in->height ? row - (size_t)in->height + 1 : 0;
    in->cursor_row = (int)(row - in->top);
    in->cursor_column = in->label + text_columns(text + in->rows.items[row].begin,
                                                 e->at - in->rows.items[row].begin);
}

static void draw_input(struct app *a, const struct input *in, struct area area) {
    struct area label = {area.y, area.x, 1, in->label};
    bool active = a->typing || a->prompt.on;
    screen_puts(label, 0, 0, active ? STYLE_BOLD : STYLE_DIM, label_of(a));
    struct area text = {area.y, area.x + in->label, area.h, area.w - in->label};
    for (int i = 0; i < area.h && in->top + (size_t)i < in->rows.count; i++) {
        screen_row(text, i, &in->text, &in->rows.items[in->top + (size_t)i],
                   active ? STYLE_PLAIN : STYLE_DIM);
    }
}

/* ---- views ---- */

static void draw_view(struct app *a, enum view_id view, struct area area) {
    if (area.h > 0 && area.w > 2) {
        app_views[view]->draw(a, a->states[view], area);
    }
}

static void draw_views(struct app *a, struct area body) {
    bool pair = a->view == VIEW_ASK || a->view == VIEW_READER;
    if (!app_wide() || !pair) {
        draw_view(a, a->view, body);
        return;
    }
    int left = body.w / 2;
    draw_view(a, VIEW_ASK, (struct area){body.y, body.x, body.h, left - 1});
    screen_divide(body, left);
    draw_view(a, VIEW_READER, (struct area){body.y, body.x + left + 2, body.h, body.w - left - 2});
}

void app_draw(struct app *a) {
    struct area all = screen_area();
    struct input in = {0};
    bool is_small = small(all);
    int most = all.h / 3 < INPUT_ROWS ? all.h / 3 : INPUT_ROWS;
    lay_out_input(a, &in, all.w, most > 0 ? most : 1);
    struct rows message = {0};
    int title = all.h >= 4, rules = is_small ? 0 : 2;
    int status = all.h >= 3 ? status_height(a, all, &message) : 0;
    struct area body = {title + (rules > 0), 0, all.h - title - status - rules - in.height, all.w};
    struct area input = {body.y + body.h + (rules > 1), 0, in.height, all.w};
    if (body.h < 0) {
        body.h = 0;
        input.y = 0;
    }
    screen_begin();
    if (title) {
        draw_title(a, (struct area){0, 0, 1, all.w}, is_small);
    }
    if (rules) {
        screen_rule(all, title);
        screen_rule(all, input.y - 1);
    }
    draw_views(a, body);
    draw_input(a, &in, input);
    if (status) {
        draw_status(a, &message, (struct area){all.h - status, 0, status, all.w});
    }
    bool cursor = (a->typing || a->prompt.on) && in.cursor_row < input.h;
    int column = in.cursor_column < all.w ? in.cursor_column : all.w - 1;
    screen_end(cursor ? input.y + in.cursor_row : -1, column);
    styled_finish(&in.text);
    rows_finish(&in.rows);
    rows_finish(&message);
}
