/* SPDX-License-Identifier: Apache-2.0
 *
 * Simple Markdown as styled text, through md4c. A line break stays where the model put it, unless
 * the line is so long that it was broken for some page's width; a link shows where it leads;
 * entities other than the five of XML stay as they were written.
 */
#include <md4c.h>
#include <stdio.h>
#include <string.h>

#include "app/ui/text.h"

enum { DEPTH = 8, LONG = 50 }; /* LONG: columns of a line that was broken to fit */

struct layout {
    struct styled *out;
    unsigned style;
    bool fresh;           /* the present line holds nothing yet but its mark */
    bool begun;           /* there is a block before */
    bool tight;           /* no empty line before the next block */
    int depth;            /* of lists */
    unsigned item[DEPTH]; /* number of the next item; 0: a bullet */
    char mark[16];        /* of the item whose first line comes */
    const char *inner;    /* before every line of a code block or quote */
};

static void begin_line(struct layout *l) {
    for (int i = 0; i < (l->depth < DEPTH ? l->depth : DEPTH) - (*l->mark != 0); i++) {
        styled_puts(l->out, "  ", l->style);
    }
    if (*l->mark) {
        styled_puts(l->out, l->mark, STYLE_ACCENT);
        l->mark[0] = '\0';
    }
    if (l->inner) {
        styled_puts(l->out, l->inner, STYLE_DIM);
    }
    l->fresh = false;
}

/* Text of any number of lines; a line's beginning is written when its first byte comes. */
static void put(struct layout *l, const char *text, size_t size) {
    for (size_t at = 0; at < size;) {
        const char *newline = memchr(text + at, '\n', size - at);
        size_t end = newline ? (size_t)(newline - text) : size;
        if (end > at) {
            if (l->fresh) {
                begin_line(l);
            }
            styled_put(l->out, text + at, end - at, l->style);
        }
        if (newline) {
            styled_puts(l->out, "\n", l->style);
            l->fresh = true;
        }
        at = end + (newline != NULL);
    }
}

/* Ends the line before, and leaves an empty one between blocks. */
static void begin_block(struct layout *l) {
    if (l->begun) {
        if (!l->fresh) {
            styled_puts(l->out, "\n", 0);
        }
        if (!l->tight) {
            styled_puts(l->out, "\n", 0);
        }
    }
    l->fresh = l->begun = true;
    l->tight = false;
}

static void begin_item(struct layout *l) {
    unsigned *number = &l->item[(l->depth - 1) % DEPTH];
    if (l->begun && !l->fresh) {
        styled_puts(l->out, "\n", 0);
    }
    l->fresh = l->begun = l->tight = true;
    if (*number) {
        snprintf(l->mark, sizeof l->mark, "%u. ", (*number)++ % 1000000);
    } else {
        memcpy(l->mark, "\xE2\x80\xA2 ", 5);
    }
}

static int enter_block(MD_BLOCKTYPE type, void *detail, void *context) {
    struct layout *l = context;
    switch (type) {
    case MD_BLOCK_H:
        begin_block(l);
        l->style |= STYLE_BOLD | STYLE_ACCENT;
        break;
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
        if (l->depth == 0) {
            begin_block(l);
        }
        l->item[l->depth++ % DEPTH] =
            type == MD_BLOCK_OL ? ((MD_BLOCK_OL_DETAIL *)detail)->start : 0;
        break;
    case MD_BLOCK_LI:
        begin_item(l);
        break;
    case MD_BLOCK_CODE:
        begin_block(l);
        l->inner = "    ";
        break;
    case MD_BLOCK_QUOTE:
        l->inner = "> ";
        break;
    case MD_BLOCK_P:
        begin_block(l);
        break;
    case MD_BLOCK_HR:
        begin_block(l);
        put(l, "---", 3);
        break;
    default:
        break;
    }
    return 0;
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *context) {
    (void)detail;
    struct layout *l = context;
    if (type == MD_BLOCK_H) {
        l->style &= ~(unsigned)(STYLE_BOLD | STYLE_ACCENT);
    } else if (type == MD_BLOCK_UL || type == MD_BLOCK_OL) {
        l->depth--;
        l->tight = l->depth > 0;
    } else if (type == MD_BLOCK_CODE || type == MD_BLOCK_QUOTE) {
        l->inner = NULL;
    }
    return 0;
}

static unsigned span_style(MD_SPANTYPE type) {
    return type == MD_SPAN_STRONG ? STYLE_BOLD
           : type == MD_SPAN_EM   ? STYLE_ITALIC
           : type == MD_SPAN_CODE ? STYLE_ACCENT
                                  : STYLE_PLAIN;
}

static int enter_span(MD_SPANTYPE type, void *detail, void *context) {
    (void)detail;
    ((struct layout *)context)->style |= span_style(type);
    return 0;
}

static int leave_span(MD_SPANTYPE type, void *detail, void *context) {
    struct layout *l = context;
    l->style &= ~span_style(type);
    if (type == MD_SPAN_A || type == MD_SPAN_IMG) {
        const MD_ATTRIBUTE *to = type == MD_SPAN_A ? &((MD_SPAN_A_DETAIL *)detail)->href
                                                   : &((MD_SPAN_IMG_DETAIL *)detail)->src;
        put(l, " (", 2);
        put(l, to->text, to->size);
        put(l, ")", 1);
    }
    return 0;
}

static int put_text(MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE size, void *context) {
    static const struct {
        const char *name, *text;
    } entities[] = {
        {"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}, {"&quot;", "\""}, {"&apos;", "'"}};
    struct layout *l = context;
    if (type == MD_TEXT_BR || type == MD_TEXT_SOFTBR) {
        bool fits = type == MD_TEXT_SOFTBR && l->out->column >= LONG;
        put(l, fits ? " " : "\n", 1);
        return 0;
    }
    for (size_t i = 0; type == MD_TEXT_ENTITY && i < sizeof entities / sizeof *entities; i++) {
        if (strlen(entities[i].name) == size && memcmp(entities[i].name, text, size) == 0) {
            put(l, entities[i].text, 1);
            return 0;
        }
    }
    put(l, text, size);
    return 0;
}

void styled_put_markdown(struct styled *s, const char *text, size_t size) {
    struct layout l = {.out = s, .fresh = true};
    const MD_PARSER parser = {
        .flags = MD_FLAG_NOHTML | MD_FLAG_NOINDENTEDCODEBLOCKS | MD_FLAG_COLLAPSEWHITESPACE,
        .enter_block = enter_block,
        .leave_block = leave_block,
        .enter_span = enter_span,
        .leave_span = leave_span,
        .text = put_text,
    };
    size_t before = s->text.size;
    if (md_parse(text, (MD_SIZE)size, &parser, &l) != 0) {
        s->text.size = s->styles.size = before; /* not enough memory to parse: as it stands */
        styled_put(s, text, size, STYLE_PLAIN);
    }
    while (s->text.size > before && s->text.data[s->text.size - 1] == '\n') {
        s->text.size--;
        s->styles.size--;
    }
}
