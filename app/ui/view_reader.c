/* SPDX-License-Identifier: Apache-2.0
 *
 * View Reader: a source's text with a cited span lit. Only a part around the place that is shown
 * is loaded and laid out, so a source of any length opens at once. Between the bytes of the source
 * and what stands on the screen (filtered, wrapped) lead anchors, pairs of equal places.
 */
#include <stdlib.h>
#include <string.h>

#include "app/source_file.h"
#include "app/ui/app.h"
#include "app/ui/external.h"

enum {
    BEFORE = 48 * 1024, /* bytes loaded before the place, and behind it */
    BEHIND = 96 * 1024,
    ANCHOR_EVERY = 2048,
    SEARCH_PIECE = 1024 * 1024,
};

struct anchor {
    uint64_t source;
    size_t at; /* in the styled text */
};

struct open_text {
    int64_t document; /* 0: none */
    char *title;      /* filtered */
    uint64_t size, pages;
    struct store_span lit;   /* the cited span; empty: none */
    struct store_span found; /* what a search found */
    /* the loaded part */
    uint64_t begin, end, first_line;
    struct blob text;
    struct styled styled;
    struct anchor *anchors;
    size_t anchor_count;
    struct rows rows;
    int width;      /* that rows are for; 0: load and lay out */
    uint64_t place; /* the source's byte that shall be on the screen */
    bool centre;    /* in its middle, not at its top */
    long top, height;
    /* a search under way */
    bool searching, backwards;
    uint64_t search_at, search_left;
};

static void unload(struct open_text *v) {
    blob_free(&v->text);
    free(v->anchors);
    v->anchors = NULL;
    v->anchor_count = 0;
    styled_clear(&v->styled);
    v->width = 0;
}

static void clear(struct open_text *v) {
    unload(v);
    free(v->title);
    styled_finish(&v->styled);
    rows_finish(&v->rows);
    *v = (struct open_text){0};
}

static void *create(struct app *a) {
    (void)a;
    return calloc(1, sizeof(struct open_text));
}

static void destroy(void *state) {
    if (state) {
        clear(state);
        free(state);
    }
}

static void refresh(struct app *a, void *state) {
    (void)a;
    clear(state);
}

void reader_open(struct app *a, int64_t document, struct store_span span) {
    struct open_text *v = a->states[VIEW_READER];
    struct store_document d = {0};
    struct error error;
    if (!a->store || !store_document_get(a->store, document, &d, &error)) {
        app_say(a, STYLE_WARN, "%s", a->store ? error.text : "no session is open");
        return;
    }
    clear(v);
    v->document = document;
    v->title = app_safe(d.path.data, d.path.size);
    v->size = d.size;
    v->pages = d.pages;
    v->lit = span;
    v->place = span.begin;
    v->centre = span.end > span.begin;
    if (d.state != STORE_PRESENT) {
        app_say(a, STYLE_WARN, "%s has changed or gone since: its text is no longer here",
                d.path.data);
        v->document = 0;
    }
    store_document_finish(&d);
}

void app_show_span(struct app *a, int64_t document, struct store_span span) {
    reader_open(a, document, span);
    app_show(a, VIEW_READER);
}

/* ---- loading ---- */

static bool add_anchor(struct open_text *v, uint64_t source, size_t at) {
    if ((v->anchor_count & (v->anchor_count + 1)) == 0) {
        struct anchor *grown = realloc(v->anchors, (2 * v->anchor_count + 2) * sizeof *grown);
        if (!grown) {
            return false;
        }
        v->anchors = grown;
    }
    v->anchors[v->anchor_count++] = (struct anchor){source, at};
    return true;
}

/* The part begins and ends with a line where there is one near, else with a character. */
static void trim(struct open_text *v) {
    size_t begin = 0, end = v->text.size;
    if (v->begin > 0) {
        const char *newline = memchr(v->text.data, '\n', end < BEFORE / 2 ? end : BEFORE / 2);
        begin = newline ? (size_t)(newline - v->text.data) + 1 : 0;
        while (begin < end && ((unsigned char)v->text.data[begin] & 0xC0) == 0x80) {
            begin++;
        }
    }
    if (v->end < v->size) {
        while (end > begin && ((unsigned char)v->text.data[end - 1] & 0xC0) == 0x80) {
            end--;
        }
        end -= end > begin && (unsigned char)v->text.data[end - 1] >= 0x80;
    }
    memmove((char *)v->text.data, v->text.data + begin, end - begin);
    v->text.size = end - begin;
    v->begin += begin;
    v->end = v->begin + v->text.size;
}

/* Filters [from, to) of the part, and marks what of it is lit. */
static bool put_piece(struct open_text *v, struct safe_text *filter, size_t from, size_t to) {
    struct bytes out = {0};
    uint64_t source = v->begin + from;
    bool lit = source >= v->lit.begin && source < v->lit.end;
    bool found = source >= v->found.begin && source < v->found.end;
    safe_text_put(filter, v->text.data + from, to - from, &out);
    bool ok = !out.failed && add_anchor(v, source, v->styled.text.size);
    if (ok && out.size) {
        styled_put(&v->styled, (const char *)out.data, out.size,
                   found ? STYLE_REVERSE
                   : lit ? STYLE_BOLD | STYLE_UNDERLINE | STYLE_ACCENT
                         : 0);
    }
    bytes_finish(&out);
    return ok;
}

static size_t nearest(size_t a, uint64_t begin, uint64_t edge, size_t from) {
    return edge > begin + from && edge - begin < a ? (size_t)(edge - begin) : a;
}

static void build(struct open_text *v) {
    struct safe_text filter = {.kind = SAFE_PROSE};
    for (size_t at = 0; at < v->text.size;) {
        size_t left = v->text.size - at, step = left < ANCHOR_EVERY ? left : ANCHOR_EVERY;
        const char *newline = memchr(v->text.data + at, '\n', step);
        size_t to = newline ? (size_t)(newline - v->text.data) + 1 : at + step;
        to = nearest(to, v->begin, v->lit.begin, at);
        to = nearest(to, v->begin, v->lit.end, at);
        to = nearest(to, v->begin, v->found.begin, at);
        to = nearest(to, v->begin, v->found.end, at);
        if (!put_piece(v, &filter, at, to)) {
            return;
        }
        at = to;
    }
}

static void load(struct app *a, struct open_text *v) {
    struct error error;
    struct store_place place = {0};
    unload(v);
    v->begin = v->place > BEFORE ? v->place - BEFORE : 0;
    v->end = v->size - v->begin > BEFORE + BEHIND ? v->begin + BEFORE + BEHIND : v->size;
    if (!a->store ||
        !store_document_read(a->store, v->document, v->begin, v->end, &v->text, &error)) {
        app_say(a, STYLE_WARN, "%s", a->store ? error.text : "no session is open");
        v->document = 0;
        return;
    }
    trim(v);
    v->first_line = 1;
    if (store_document_place(a->store, v->document, (struct store_span){v->begin, v->begin + 1},
                             &place, &error)) {
        v->first_line = place.first_line;
    }
    build(v);
}

static uint64_t source_of(const struct open_text *v, size_t at) {
    size_t low = 0, high = v->anchor_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (v->anchors[middle].at <= at) {
            low = middle;
        } else {
            high = middle;
        }
    }
    if (v->anchor_count == 0) {
        return v->begin;
    }
    uint64_t source = v->anchors[low].source + (at - v->anchors[low].at);
    uint64_t most = low + 1 < v->anchor_count ? v->anchors[low + 1].source : v->end;
    return source < most ? source : most;
}

static long row_of(const struct open_text *v, uint64_t source) {
    long row = 0;
    while (row + 1 < (long)v->rows.count && source_of(v, v->rows.items[row + 1].begin) <= source) {
        row++;
    }
    return row;
}

/* Where the view stands, as a byte of the source. */
static void remember(struct open_text *v) {
    if (v->top < (long)v->rows.count) {
        v->place = source_of(v, v->rows.items[v->top].begin);
        v->centre = false;
    }
}

static void lay_out(struct app *a, struct open_text *v, struct area area) {
    bool loaded = v->text.data && v->place >= v->begin && v->place <= v->end;
    if (v->width == area.w && loaded) {
        return;
    }
    if (!loaded) {
        load(a, v);
    }
    if (!text_wrap(&v->styled, area.w, WRAP_WORDS, &v->rows)) {
        v->rows.count = 0;
    }
    v->width = area.w;
    v->top = row_of(v, v->place) - (v->centre ? area.h / 3 : 0);
    v->top = v->top < 0 ? 0 : v->top;
}

/* Near an end of the part, with more behind it: loads around the place. */
static void follow(struct open_text *v) {
    long count = (long)v->rows.count;
    bool above = v->top < v->height && v->begin > 0;
    bool below = v->top + 2 * v->height > count && v->end < v->size;
    long last = v->end < v->size ? count - 1 : count - v->height;
    v->top = v->top > last ? last : v->top;
    v->top = v->top < 0 ? 0 : v->top;
    remember(v);
    if (above || below) {
        uint64_t far = above ? v->place - v->begin : v->end - v->place;
        if (far < BEFORE / 4 || count < 4 * v->height) {
            unload(v);
        }
    }
}

/* ---- drawing ---- */

/* Of the source, from 1. */
static uint64_t line_of_row(const struct open_text *v, long row) {
    uint64_t line = v->first_line;
    size_t end = row < (long)v->rows.count ? v->rows.items[row].begin : 0;
    for (const char *at = (const char *)v->styled.text.data, *stop = at + end;
         at && (at = memchr(at, '\n', (size_t)(stop - at))); at++) {
        line++;
    }
    return line;
}

static void draw_title(struct open_text *v, struct area area) {
    unsigned long long line = line_of_row(v, v->top);
    struct styled s = {0};
    styled_puts(&s, v->title, STYLE_BOLD);
    styled_printf(&s, STYLE_DIM, "  line %llu  %llu %%%s", line,
                  (unsigned long long)(v->size ? 100 * v->place / v->size : 100),
                  v->searching ? "  searching..." : "");
    struct row row = {0, s.text.size, 0};
    if (!s.text.failed) {
        screen_row(area, 0, &s, &row, STYLE_PLAIN);
    }
    styled_finish(&s);
}

static void draw(struct app *a, void *state, struct area area) {
    struct open_text *v = state;
    if (v->document == 0) {
        screen_puts(area, 0, 0, STYLE_DIM, "Nothing is open here.");
        screen_puts(area, 1, 0, STYLE_DIM, "A citation (]) or a source (2) opens with Enter.");
        return;
    }
    struct area text = {area.y + 1, area.x, area.h - 1, area.w};
    v->height = text.h > 0 ? text.h : 1;
    lay_out(a, v, text);
    if (v->document == 0 || v->styled.text.failed || v->styled.styles.failed) {
        return;
    }
    for (long i = 0; i < text.h && v->top + i < (long)v->rows.count; i++) {
        screen_row(text, (int)i, &v->styled, &v->rows.items[v->top + i], STYLE_PLAIN);
    }
    draw_title(v, area);
}

/* ---- search ---- */

static void begin_search(struct app *a, struct open_text *v, bool backwards) {
    if (!a->search || !*a->search || v->document == 0) {
        return;
    }
    bool again = v->found.end > v->found.begin;
    v->searching = true;
    v->backwards = backwards;
    v->search_at = again ? v->found.begin + !backwards : v->place;
    v->search_left = v->size + SEARCH_PIECE;
}

static void show_found(struct open_text *v, uint64_t at, size_t size) {
    v->found = (struct store_span){at, at + size};
    v->place = at;
    v->centre = true;
    unload(v);
}

/* Looks at one piece of the source, then goes on behind it; round the end, once. */
static bool work(struct app *a, void *state) {
    struct open_text *v = state;
    if (!v->searching) {
        return false;
    }
    struct blob text = {0};
    struct error error;
    size_t words = strlen(a->search);
    uint64_t begin = v->search_at, end;
    if (v->backwards) {
        end = v->search_at;
        begin = end > SEARCH_PIECE ? end - SEARCH_PIECE : 0;
        end = v->size - end > words - 1 ? end + words - 1 : v->size;
    } else {
        end = v->size - begin > SEARCH_PIECE ? begin + SEARCH_PIECE : v->size;
    }
    a->dirty = true;
    if (!a->store || !store_document_read(a->store, v->document, begin, end, &text, &error)) {
        app_say(a, STYLE_WARN, "%s", a->store ? error.text : "no session is open");
        v->searching = false;
        return false;
    }
    size_t best = TEXT_NOWHERE;
    for (size_t at = 0; (at = text_search(text.data, text.size, at, a->search)) != TEXT_NOWHERE;
         at++) {
        best = at;
        if (!v->backwards) {
            break;
        }
    }
    blob_free(&text);
    uint64_t step = end - begin > words ? end - begin - (words - 1) : end - begin;
    v->search_left = v->search_left > step + 1 ? v->search_left - step - 1 : 0;
    if (best != TEXT_NOWHERE) {
        v->searching = false;
        show_found(v, begin + best, words);
    } else if (v->search_left == 0) {
        v->searching = false;
        app_say(a, STYLE_PLAIN, "not found: %s", a->search);
    } else if (v->backwards) {
        v->search_at = begin == 0 ? v->size : begin;
    } else {
        v->search_at = end == v->size ? 0 : begin + step;
    }
    return v->searching;
}

/* ---- keys ---- */

static void move(struct open_text *v, long rows) {
    v->top += rows;
    follow(v);
}

static void go(struct open_text *v, uint64_t place) {
    v->place = place;
    v->centre = false;
    v->width = 0; /* laid out there, and loaded if it is elsewhere */
}

static void copy_page(struct app *a, struct open_text *v) {
    long last = v->top + v->height - 1;
    last = last < (long)v->rows.count ? last : (long)v->rows.count - 1;
    if (v->document && last >= v->top && v->styled.text.data) {
        size_t begin = v->rows.items[v->top].begin, end = v->rows.items[last].end;
        app_copy(a, (const char *)v->styled.text.data + begin, end - begin);
    }
}

/* A file that is as it was read opens in the editor; of anything else, an address or a book whose
 * pages were converted, the stored text goes to the pager. */
static void open_outside(struct app *a, struct open_text *v) {
    struct store_document d = {0};
    struct blob text = {0};
    struct error error;
    bool lit = v->lit.end > v->lit.begin && v->place >= v->lit.begin && v->centre;
    uint64_t line = line_of_row(v, lit ? row_of(v, v->lit.begin) : v->top);
    bool ok = a->store && v->document && store_document_get(a->store, v->document, &d, &error);
    if (!ok) {
        app_say(a, STYLE_PLAIN, "nothing is open here");
        return;
    }
    if (source_file_has_lines(&d) && source_file_of(&d) == SOURCE_FILE_SAME) {
        ok = external_edit(d.path.data, line, &error);
    } else {
        ok = store_document_read(a->store, v->document, 0, v->size, &text, &error) &&
             external_page(text.data, text.size, line, &error);
    }
    if (!ok) {
        app_say(a, STYLE_WARN, "%s", error.text);
    }
    blob_free(&text);
    store_document_finish(&d);
}

static bool act(struct app *a, void *state, enum action action) {
    struct open_text *v = state;
    switch (action) {
    case ACTION_UP:
        move(v, -1);
        return true;
    case ACTION_DOWN:
        move(v, 1);
        return true;
    case ACTION_HALF_UP:
        move(v, -(v->height + 1) / 2);
        return true;
    case ACTION_HALF_DOWN:
        move(v, (v->height + 1) / 2);
        return true;
    case ACTION_PAGE_UP:
        move(v, -(v->height > 1 ? v->height - 1 : 1));
        return true;
    case ACTION_PAGE_DOWN:
        move(v, v->height > 1 ? v->height - 1 : 1);
        return true;
    case ACTION_TOP:
        go(v, 0);
        return true;
    case ACTION_BOTTOM:
        go(v, v->size);
        v->centre = true;
        return true;
    case ACTION_SEARCH_NEXT:
    case ACTION_SEARCH_PREVIOUS:
        begin_search(a, v, action == ACTION_SEARCH_PREVIOUS);
        return true;
    case ACTION_COPY:
        copy_page(a, v);
        return true;
    case ACTION_EDITOR:
        open_outside(a, v);
        return true;
    default:
        return false;
    }
}

const struct view_ops view_reader = {
    .name = "Reader",
    .context = IN_READER,
    .create = create,
    .destroy = destroy,
    .refresh = refresh,
    .work = work,
    .draw = draw,
    .act = act,
};
