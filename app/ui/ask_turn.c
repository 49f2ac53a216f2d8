/* SPDX-License-Identifier: Apache-2.0
 *
 * One turn: what is kept of it, and its rows. It is laid out again only when it, its width or the
 * marked citation changes.
 */
#include "app/ui/ask_turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/answer.h"

enum { QUOTE_ROWS = 2 }; /* that a citation takes, so that the answer stays in sight above */

void turn_finish(struct turn *t) {
    for (size_t i = 0; i < t->citations_count; i++) {
        cited_finish(&t->citations[i]);
    }
    free(t->citations);
    free(t->question);
    bytes_finish(&t->answer);
    styled_finish(&t->styled);
    rows_finish(&t->rows);
}

/* ---- where it comes from ---- */

static void load_citation(struct store *store, const struct store_citation *from, bool quote,
                          struct cited *to) {
    struct error none;
    struct store_document document = {0};
    *to = (struct cited){.document = from->document, .span = from->span, .place = from->place};
    if (store_document_get(store, from->document, &document, &none)) {
        to->source = strdup(document.path.data ? document.path.data : "");
        store_document_finish(&document);
    }
    struct blob text = {0};
    if (quote && store_document_read(store, from->document, from->span.begin, from->span.end, &text,
                                     &none)) {
        to->quote = strdup(text.data);
        blob_free(&text);
    }
}

void turn_load_answer(struct turn *t, struct store *store, const struct store_turn *from,
                      bool quotes) {
    struct safe_text filter = {.kind = SAFE_PROSE};
    safe_text_put(&filter, from->body.data, from->body.size, &t->answer);
    safe_text_end(&filter, &t->answer);
    t->state = TURN_DONE;
    t->stopped = !from->complete;
    t->citations = calloc(from->citations_count + 1, sizeof *t->citations);
    for (size_t i = 0; t->citations && i < from->citations_count; i++) {
        load_citation(store, &from->citations[i], quotes, &t->citations[t->citations_count++]);
    }
}

void turn_take_answer(struct turn *t, const struct message *m) {
    t->unsupported = !m->supported;
    t->stopped = m->stopped;
    t->state = TURN_DONE;
    if (m->done > 0) {
        snprintf(t->note, sizeof t->note, "%.0f tokens/s, %.1f s to the first", m->speed,
                 m->seconds);
    }
    if (t->unsupported) {
        t->note[0] = '\0';
        bytes_put(&t->answer, answer_unsupported, strlen(answer_unsupported));
    }
    t->citations = calloc(m->citations_count + 1, sizeof *t->citations);
    for (size_t i = 0; t->citations && i < m->citations_count; i++) {
        const struct cited *c = &m->citations[i];
        t->citations[t->citations_count++] = (struct cited){.document = c->document,
                                                            .span = c->span,
                                                            .place = c->place,
                                                            .source = strdup(c->source),
                                                            .quote = strdup(c->quote)};
    }
}

/* ---- layout ---- */

static void put_question(struct turn *t) {
    styled_puts(&t->styled, "> ", STYLE_BOLD | STYLE_ACCENT);
    styled_puts(&t->styled, t->question, STYLE_BOLD);
    styled_puts(&t->styled, "\n", STYLE_PLAIN);
}

void turn_put_citation(struct styled *s, const struct cited *c, size_t number, size_t most,
                       bool chosen) {
    size_t from = s->text.size;
    int begin = s->column;
    styled_printf(s, STYLE_ACCENT, "[%zu] ", number);
    styled_put_place(s, c->source, &c->place, STYLE_ACCENT);
    if (chosen) {
        styled_mark(s, from, s->text.size, STYLE_REVERSE);
    }
    if (c->quote) {
        size_t used = (size_t)(s->column - begin) + 16; /* with quotation marks and indents */
        size_t room = most > used + 20 ? most - used : 20;
        char *line = text_one_line(c->quote, strlen(c->quote), room);
        styled_puts(s, ": \"", STYLE_DIM);
        styled_puts(s, line ? line : "", STYLE_DIM);
        styled_puts(s, "\"", STYLE_DIM);
        free(line);
    }
    styled_puts(s, "\n", STYLE_PLAIN);
}

static void put_state(struct turn *t) {
    struct styled *s = &t->styled;
    if (t->state == TURN_WAITS) {
        styled_puts(s, "waits for the model...\n", STYLE_DIM);
    } else if (t->state == TURN_READS) {
        styled_printf(s, STYLE_DIM, "reads the passages... %u %%\n", t->percent);
    } else if (t->state == TURN_FAILED) {
        styled_printf(s, STYLE_WARN, "failed: %s\n", t->note);
    } else if (t->state == TURN_DONE && (t->stopped || *t->note)) {
        styled_printf(s, STYLE_DIM, "(%s%s%s)\n", t->stopped ? "stopped" : "",
                      t->stopped && *t->note ? "; " : "", t->note);
    }
}

void turn_lay_out(struct turn *t, int width, long selected) {
    if (t->width == width && t->selected == selected) {
        return;
    }
    t->width = width;
    t->selected = selected;
    styled_clear(&t->styled);
    put_question(t);
    if (t->answer.size && !t->answer.failed) {
        if (t->unsupported) {
            styled_put(&t->styled, (const char *)t->answer.data, t->answer.size, STYLE_ITALIC);
        } else {
            styled_put_markdown(&t->styled, (const char *)t->answer.data, t->answer.size);
        }
        styled_puts(&t->styled, "\n", STYLE_PLAIN);
    }
    for (size_t i = 0; i < t->citations_count; i++) {
        turn_put_citation(&t->styled, &t->citations[i], i + 1, (size_t)width * QUOTE_ROWS,
                          (long)i == selected);
    }
    put_state(t);
    if (!text_wrap(&t->styled, width, WRAP_WORDS, &t->rows)) {
        t->rows.count = 0;
    }
}
