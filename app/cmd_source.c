/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem source: the stored documents of a session, the text at a citation, and taking documents
 * out. Needs no model.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/json.h"
#include "app/options.h"
#include "app/progress.h"
#include "app/safe_text.h"
#include "app/withdrawn.h"
#include "app/workspace.h"

static void print_text(const char *data, size_t size) {
    char *safe = safe_text_of(data, size, SAFE_PROSE);
    fputs(safe ? safe : "?", stdout);
    free(safe);
}

static int list(struct workspace *w, const struct options *options, struct error *error) {
    struct store_documents rows;
    struct store_session session;
    if (!store_session_get(w->store, &session, error)) {
        return error->code;
    }
    int64_t position = session.position;
    store_session_finish(&session);
    if (!store_documents_list(w->store, false, &rows, error)) {
        return error->code;
    }
    json_t *array = json_array();
    for (size_t i = 0; i < rows.count; i++) {
        const struct store_document *d = &rows.rows[i];
        int64_t read = store_tokens_read(d, position);
        if (options->json) {
            json_array_append_new(
                array,
                json_pack("{s:I, s:o, s:s, s:I, s:I, s:I, s:b}", "id", (json_int_t)d->id, "source",
                          json_text(d->path.data), "kind", d->kind.data, "bytes",
                          (json_int_t)d->size, "tokens", (json_int_t)d->tokens, "tokens_read",
                          (json_int_t)read, "read", (int)store_is_read(d, position)));
        } else {
            char *name = safe_text_of(d->path.data, d->path.size, SAFE_NAME);
            printf("%4" PRId64 "  %-9s %10" PRIu64 " bytes %9" PRId64 " tokens  %s%s\n", d->id,
                   d->kind.data, d->size, d->tokens, name ? name : "?",
                   store_is_read(d, position) ? "" : "  (not read to its end)");
            free(name);
        }
    }
    store_documents_finish(&rows);
    int code = options->json ? json_print(json_incref(array), error) : 0;
    json_decref(array);
    return code;
}

/* What is to be shown: "PATH", "PATH:LINE", "PATH:FIRST-LAST", or a citation as ask prints it
 * ("PATH, page 3, lines 5-9"; "PATH, page 3" is the page). The path may be the document's number.
 */
struct cite {
    struct store_document document;
    uint64_t first, last; /* lines; 0: not given */
    uint64_t page;        /* 0: not given */
};

static bool find_document(struct workspace *w, const char *name, struct cite *cite,
                          struct error *error) {
    char *end;
    if (store_document_by_path(w->store, blob_of(name), &cite->document, error)) {
        return true;
    }
    long long id = strtoll(name, &end, 10);
    return error->code == ERROR_NOT_FOUND && *name && !*end &&
           store_document_get(w->store, id, &cite->document, error);
}

/* Takes "WORD N" or "WORD N-M" off the end of `text`; whether it was there. */
static bool take_numbers(char *text, const char *word, uint64_t *first, uint64_t *last) {
    char *at = NULL;
    for (char *next = text; (next = strstr(next, word)); next++) {
        at = next;
    }
    unsigned long long a, b;
    int one = 0, two = 0;
    if (!at || sscanf(at + strlen(word), "%llu%n-%llu%n", &a, &one, &b, &two) < 1) {
        return false;
    }
    const char *end = at + strlen(word) + (two ? two : one);
    if (*end) {
        return false;
    }
    *first = a;
    *last = two ? b : a;
    *at = '\0';
    return true;
}

/* A document may have a name that looks like a citation: the whole is tried first. */
static bool parse_cite(struct workspace *w, const char *text, struct cite *cite,
                       struct error *error) {
    uint64_t ignored;
    *cite = (struct cite){0};
    char *name = strdup(text);
    if (!name) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    bool ok = find_document(w, name, cite, error);
    bool lines = !ok && error->code == ERROR_NOT_FOUND &&
                 (take_numbers(name, ", lines ", &cite->first, &cite->last) ||
                  take_numbers(name, ", line ", &cite->first, &cite->last) ||
                  take_numbers(name, ":", &cite->first, &cite->last));
    bool page = !ok && error->code == ERROR_NOT_FOUND &&
                take_numbers(name, ", page ", &cite->page, &ignored);
    if (lines && (cite->first == 0 || cite->last < cite->first)) {
        error_set(error, ERROR_USAGE,
                  "lines %" PRIu64 "-%" PRIu64 ", expected a first line from 1 on and a last one "
                  "not before it",
                  cite->first, cite->last);
    } else if (lines || page) {
        ok = find_document(w, name, cite, error);
    }
    free(name);
    return ok;
}

/* Lines are counted in the whole document, so they say enough; a page counts alone. */
static bool find_span(struct workspace *w, const struct cite *cite, struct store_span *span,
                      struct error *error) {
    struct store_span last;
    *span = (struct store_span){0, cite->document.size};
    if (!cite->first) {
        return !cite->page ||
               store_document_page(w->store, cite->document.id, cite->page, span, error);
    }
    bool ok = store_document_line(w->store, cite->document.id, cite->first, span, error) &&
              store_document_line(w->store, cite->document.id, cite->last, &last, error);
    span->end = ok ? last.end : 0;
    return ok;
}

static int show(struct workspace *w, const char *text, const struct options *options,
                struct error *error) {
    struct cite cite;
    struct blob content = {0};
    struct store_span span;
    bool ok =
        parse_cite(w, text, &cite, error) && find_span(w, &cite, &span, error) &&
        store_document_read(w->store, cite.document.id, span.begin, span.end, &content, error);
    int code = ok ? 0 : (int)error->code;
    if (ok && options->json) {
        code = json_print(json_pack("{s:o, s:I, s:I, s:o}", "source",
                                    json_text(cite.document.path.data), "begin",
                                    (json_int_t)span.begin, "end", (json_int_t)span.end, "text",
                                    json_text(content.data)),
                          error);
    } else if (ok) {
        print_text(content.data, content.size);
        if (content.size && content.data[content.size - 1] != '\n') {
            putchar('\n');
        }
    }
    store_document_finish(&cite.document);
    blob_free(&content);
    return code;
}

static bool take_out(struct workspace *w, const char *name, struct skips *out,
                     struct error *error) {
    struct cite cite = {0};
    bool ok = find_document(w, name, &cite, error) &&
              withdrawn_add(w->store, cite.document.path.data, error) &&
              (skips_add(out, cite.document.path.data, true, "taken out") ||
               error_set(error, ERROR_NO_SPACE, "out of memory"));
    store_document_finish(&cite.document);
    return ok;
}

/* All of them or, when one is not there, none. */
static int remove_sources(struct workspace *w, char **names, size_t count,
                          const struct options *options, struct error *error) {
    struct progress progress;
    struct skips out = {0};
    progress_init(&progress, options);
    bool ok = store_begin(w->store, error);
    if (ok) {
        for (size_t i = 0; ok && i < count; i++) {
            ok = take_out(w, names[i], &out, error);
        }
        ok = store_end(w->store, ok, error);
    }
    for (size_t i = 0; ok && i < out.count; i++) {
        char *safe = safe_text_of(out.items[i].name, strlen(out.items[i].name), SAFE_NAME);
        progress_message(&progress, "taken out: %s", safe ? safe : "?");
        free(safe);
    }
    if (ok) {
        progress_message(&progress,
                         "the memory keeps the gist of what it has read until allmem session "
                         "update %s makes it anew",
                         w->name);
    }
    skips_finish(&out);
    return ok ? 0 : (int)error->code;
}

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    if (!options_read(NULL, 0, &argc, argv, error)) {
        return error->code;
    }
    bool listing = argc == 1 && strcmp(argv[0], "list") == 0;
    bool showing = argc == 2 && strcmp(argv[0], "show") == 0;
    bool removing = argc >= 2 && strcmp(argv[0], "rm") == 0;
    if (!options->session || !(listing || showing || removing)) {
        error_set(error, ERROR_USAGE, "%s, expected: allmem %s",
                  options->session ? "no such form" : "-s NAME is missing", command_source.usage);
        return ERROR_USAGE;
    }
    struct workspace w;
    int code;
    if (!workspace_open(&w, options, options->session, removing ? WORKSPACE_EDIT : WORKSPACE_LOOK,
                        NULL, error)) {
        code = error->code;
    } else {
        code = listing   ? list(&w, options, error)
               : showing ? show(&w, argv[1], options, error)
                         : remove_sources(&w, argv + 1, (size_t)argc - 1, options, error);
    }
    workspace_close(&w);
    return code;
}

const struct command command_source = {
    .name = "source",
    .usage = "source -s NAME list | show PATH[:LINE[-LINE]] | show CITATION | rm PATH...",
    .summary = "list a session's sources, show their text, take them out",
    .help = "A source may also be named by its number in the list, and a place as ask prints it:\n"
            "  allmem source -s NAME show \"book.pdf, page 3, lines 5-9\"\n"
            "rm takes sources out: they are not searched or cited any more, and reading their "
            "folder\nagain does not bring them back, naming them does. The memory has their gist "
            "until\nallmem session update NAME.\n",
    .run = run,
};
