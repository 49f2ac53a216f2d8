/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem source: the stored documents of a session, and the text at a citation. Needs no model.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/json.h"
#include "app/options.h"
#include "app/safe_text.h"
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

/* "PATH", "PATH:LINE" or "PATH:FIRST-LAST"; the path may be the document's number. */
struct cite {
    struct store_document document;
    uint64_t first, last; /* lines; 0: all of it */
};

static bool find_document(struct workspace *w, const char *name, struct cite *cite,
                          struct error *error) {
    char *end;
    long long id = strtoll(name, &end, 10);
    return *name && !*end ? store_document_get(w->store, id, &cite->document, error)
                          : store_document_by_path(w->store, blob_of(name), &cite->document, error);
}

/* Splits the lines off the end, if they are there. */
static bool parse_cite(struct workspace *w, const char *text, struct cite *cite,
                       struct error *error) {
    *cite = (struct cite){0};
    const char *colon = strrchr(text, ':');
    unsigned long long first = 0, last = 0;
    int used = 0;
    bool range = colon && sscanf(colon, ":%llu-%llu%n", &first, &last, &used) == 2 && !colon[used];
    bool line = !range && colon && sscanf(colon, ":%llu%n", &first, &used) == 1 && !colon[used];
    if (!range && !line) {
        return find_document(w, text, cite, error);
    }
    cite->first = first;
    cite->last = range ? last : first;
    if (cite->first == 0 || cite->last < cite->first) {
        return error_set(error, ERROR_USAGE,
                         "lines %llu-%llu, expected a first line from 1 on and "
                         "a last one not before it",
                         first, last);
    }
    char *name = strndup(text, (size_t)(colon - text));
    bool ok = name ? find_document(w, name, cite, error)
                   : error_set(error, ERROR_NO_SPACE, "out of memory");
    free(name);
    return ok;
}

static int show(struct workspace *w, const char *text, const struct options *options,
                struct error *error) {
    struct cite cite;
    struct blob content = {0};
    bool ok = parse_cite(w, text, &cite, error);
    struct store_span first = {0}, last = {0, ok ? cite.document.size : 0};
    if (ok && cite.first) {
        ok = store_document_line(w->store, cite.document.id, cite.first, &first, error) &&
             store_document_line(w->store, cite.document.id, cite.last, &last, error);
    }
    ok = ok &&
         store_document_read(w->store, cite.document.id, first.begin, last.end, &content, error);
    int code = ok ? 0 : (int)error->code;
    if (ok && options->json) {
        code = json_print(json_pack("{s:o, s:I, s:I, s:o}", "source",
                                    json_text(cite.document.path.data), "begin",
                                    (json_int_t)first.begin, "end", (json_int_t)last.end, "text",
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

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    if (!options_read(NULL, 0, &argc, argv, error)) {
        return error->code;
    }
    bool listing = argc == 1 && strcmp(argv[0], "list") == 0;
    bool showing = argc == 2 && strcmp(argv[0], "show") == 0;
    if (!options->session || (!listing && !showing)) {
        error_set(error, ERROR_USAGE, "%s, expected: allmem %s",
                  options->session ? "no such form" : "-s NAME is missing", command_source.usage);
        return ERROR_USAGE;
    }
    struct workspace w;
    int code;
    if (!workspace_open(&w, options, options->session, WORKSPACE_LOOK, NULL, error)) {
        code = error->code;
    } else {
        code = listing ? list(&w, options, error) : show(&w, argv[1], options, error);
    }
    workspace_close(&w);
    return code;
}

const struct command command_source = {
    .name = "source",
    .usage = "source -s NAME list | show PATH[:LINE[-LINE]]",
    .summary = "list a session's sources, show their text",
    .help = "A source may also be named by its number in the list.\n",
    .run = run,
};
