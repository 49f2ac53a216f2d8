/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists: moving, drawing, searching.
 */
#include "app/ui/list.h"

#include <stdlib.h>

enum {
    NAME_COLUMNS = 40, /* before a tail, where there is room */
    NAME_LEAST = 12,
};

void list_finish(struct list *l) {
    styled_finish(&l->styled);
    free(l->items);
    *l = (struct list){0};
}

void list_clear(struct list *l) {
    styled_clear(&l->styled);
    l->count = 0;
    l->line = (struct list_item){0};
    l->widest = l->tail_columns = 0;
}

bool list_end(struct list *l, long value) {
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 64;
        struct list_item *grown = realloc(l->items, capacity * sizeof *grown);
        if (!grown) {
            return false;
        }
        l->items = grown;
        l->capacity = capacity;
    }
    size_t begin = l->count ? l->items[l->count - 1].row.end + 1 : 0;
    struct list_item *item = &l->items[l->count++];
    *item = l->line;
    item->row = (struct row){begin, l->styled.text.size, 0};
    item->value = value;
    if (item->name_end == 0) {
        item->name_begin = item->name_end = begin;
    }
    item->tail = item->tail ? item->tail : item->row.end;
    l->line = (struct list_item){0};
    styled_puts(&l->styled, "\n", STYLE_PLAIN);
    return true;
}

void list_pad(struct list *l, int columns) {
    while (l->styled.column < columns) {
        styled_puts(&l->styled, " ", STYLE_PLAIN);
    }
}

void list_name(struct list *l, const char *name, size_t size, unsigned style) {
    l->line.name_begin = l->styled.text.size;
    styled_put_safe(&l->styled, name, size, SAFE_NAME, style);
    l->line.name_end = l->styled.text.size;
}

void list_tail(struct list *l, int columns) {
    l->line.tail = l->styled.text.size;
    l->widest = l->styled.column > l->widest ? l->styled.column : l->widest;
    l->tail_columns = columns;
}

/* The nearest item that can be chosen, first towards `step`. */
static void settle(struct list *l, long at, int step) {
    long count = (long)l->count;
    at = at < 0 ? 0 : at >= count ? count - 1 : at;
    for (int turn = 0; turn < 2; turn++, step = -step) {
        for (long i = at; i >= 0 && i < count; i += step) {
            if (l->items[i].value >= 0) {
                l->chosen = (size_t)i;
                return;
            }
        }
    }
    l->chosen = 0;
}

long list_chosen(const struct list *l) {
    return l->chosen < l->count ? l->items[l->chosen].value : -1;
}

void list_choose(struct list *l, long value) {
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i].value == value) {
            l->chosen = i;
            return;
        }
    }
    settle(l, (long)l->chosen, 1);
}

static size_t last_choice(const struct list *l) {
    size_t i = l->count;
    while (i > 0 && l->items[i - 1].value < 0) {
        i--;
    }
    return i > 0 ? i - 1 : 0;
}

/* The column of the tails: as far right as the longest name wants and the area allows. */
static int tail_column(const struct list *l, int width) {
    int wanted = l->widest > NAME_COLUMNS ? l->widest : NAME_COLUMNS;
    int most = width - l->tail_columns;
    int column = wanted < most ? wanted : most;
    return column < NAME_LEAST ? NAME_LEAST : column;
}

static void draw_item(const struct list *l, const struct list_item *item, struct area area, int row,
                      unsigned style) {
    const struct styled *s = &l->styled;
    const char *text = (const char *)s->text.data;
    bool tail = item->tail < item->row.end;
    int width = tail ? tail_column(l, area.w) : area.w;
    struct row before = {item->row.begin, item->name_begin, 0};
    int column = text_columns(text + before.begin, before.end - before.begin);
    int behind = text_columns(text + item->name_end, item->tail - item->name_end);
    int room = width - column - behind;
    screen_row(area, row, s, &before, style);
    column = screen_name(area, row, column, s, item->name_begin, item->name_end,
                         room < NAME_LEAST ? NAME_LEAST : room, style);
    struct row after = {item->name_end, item->tail, column};
    screen_row(area, row, s, &after, style);
    column += behind;
    if (tail) {
        for (; column < width; column++) {
            screen_puts(area, row, column, style, " ");
        }
        struct row rest = {item->tail, item->row.end, column};
        screen_row(area, row, s, &rest, style);
    }
}

void list_draw(struct list *l, struct area area, bool mark) {
    if (area.h <= 0 || l->styled.text.failed || l->styled.styles.failed) {
        return;
    }
    if (list_chosen(l) < 0) {
        settle(l, (long)l->chosen, 1);
    }
    size_t height = (size_t)area.h;
    l->height = area.h;
    if (mark) {
        l->top = l->chosen < l->top ? l->chosen : l->top;
        l->top = l->chosen >= l->top + height ? l->chosen - height + 1 : l->top;
        if (l->chosen < height && l->chosen < 3) {
            l->top = 0; /* the heading above the first */
        }
        if (last_choice(l) == l->chosen && l->count - l->chosen < height) {
            l->top = l->count; /* what stands below the last */
        }
    }
    l->top = l->count <= height ? 0 : l->top > l->count - height ? l->count - height : l->top;
    for (size_t i = 0; i < height && l->top + i < l->count; i++) {
        bool here = mark && l->top + i == l->chosen && l->items[l->chosen].value >= 0;
        screen_puts(area, (int)i, 0, STYLE_BOLD, here ? ">" : " ");
        struct area text = {area.y, area.x + 2, area.h, area.w - 2};
        draw_item(l, &l->items[l->top + i], text, (int)i, here ? STYLE_REVERSE : STYLE_PLAIN);
    }
}

bool list_act(struct list *l, enum action action) {
    long at = (long)l->chosen, page = l->height > 1 ? l->height - 1 : 1;
    switch (action) {
    case ACTION_DOWN:
        settle(l, at + 1, 1);
        return true;
    case ACTION_UP:
        settle(l, at - 1, -1);
        return true;
    case ACTION_HALF_DOWN:
        settle(l, at + page / 2 + 1, 1);
        return true;
    case ACTION_HALF_UP:
        settle(l, at - page / 2 - 1, -1);
        return true;
    case ACTION_PAGE_DOWN:
        settle(l, at + page, 1);
        return true;
    case ACTION_PAGE_UP:
        settle(l, at - page, -1);
        return true;
    case ACTION_TOP:
        settle(l, 0, 1);
        return true;
    case ACTION_BOTTOM:
        settle(l, (long)l->count - 1, -1);
        return true;
    default:
        return false;
    }
}

bool list_find(struct list *l, const char *words, bool backwards) {
    const char *text = (const char *)l->styled.text.data;
    for (size_t n = 1; n <= l->count; n++) {
        size_t i = (l->chosen + (backwards ? l->count - n : n)) % l->count;
        const struct row *r = &l->items[i].row;
        if (l->items[i].value >= 0 &&
            text_search(text + r->begin, r->end - r->begin, 0, words) != TEXT_NOWHERE) {
            l->chosen = i;
            return true;
        }
    }
    return false;
}
