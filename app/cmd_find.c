/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem find: full-text search in a session's sources. Needs no model.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/json.h"
#include "app/options.h"
#include "app/safe_text.h"
#include "app/workspace.h"
#include "storage/search.h"

/* A hit with the text that it names. */
struct found {
    const struct store_hit *hit;
    struct store_document document;
    struct blob text;
};

static bool load_found(struct workspace *w, const struct store_hit *hit, struct found *f,
                       struct error *error) {
    *f = (struct found){.hit = hit};
    return store_document_get(w->store, hit->document, &f->document, error) &&
           store_document_read(w->store, hit->document, hit->span.begin, hit->span.end, &f->text,
                               error);
}

static void found_finish(struct found *f) {
    store_document_finish(&f->document);
    blob_free(&f->text);
}

static json_t *found_json(const struct found *f) {
    const struct store_place *p = &f->hit->place;
    return json_pack("{s:o, s:o, s:I, s:I, s:o, s:f}", "source", json_text(f->document.path.data),
                     "page", p->page ? json_integer((json_int_t)p->page) : json_null(),
                     "first_line", (json_int_t)p->first_line, "last_line", (json_int_t)p->last_line,
                     "text", json_text(f->text.data), "score", f->hit->score);
}

static void print_found(const struct found *f) {
    const struct store_place *p = &f->hit->place;
    char *name = safe_text_of(f->document.path.data, f->document.path.size, SAFE_NAME);
    char *text = safe_text_of(f->text.data, f->text.size, SAFE_PROSE);
    printf("%s:%llu-%llu", name ? name : "?", (unsigned long long)p->first_line,
           (unsigned long long)p->last_line);
    if (p->page) {
        printf(" (page %llu)", (unsigned long long)p->page);
    }
    printf("\n%s\n\n", text ? text : "?");
    free(name);
    free(text);
}

static bool search(struct workspace *w, char **words, size_t count, uint64_t limit,
                   struct store_hits *hits, struct error *error) {
    struct blob terms[STORE_TERMS_MAX];
    if (count > STORE_TERMS_MAX) {
        return error_set(error, ERROR_USAGE, "found %zu words, expected at most %d", count,
                         STORE_TERMS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        terms[i] = blob_of(words[i]);
    }
    struct store_query query = {.terms = terms, .count = count, .all = true, .limit = limit};
    return store_search(w->store, &query, hits, error);
}

static int report(struct workspace *w, const struct store_hits *hits, const struct options *options,
                  struct error *error) {
    json_t *list = json_array();
    bool ok = true;
    for (size_t i = 0; ok && i < hits->count; i++) {
        struct found f;
        ok = load_found(w, &hits->rows[i], &f, error);
        if (ok && options->json) {
            json_array_append_new(list, found_json(&f));
        } else if (ok) {
            print_found(&f);
        }
        found_finish(&f);
    }
    int code = ok ? 0 : (int)error->code;
    if (ok && options->json) {
        code = json_print(json_incref(list), error);
    }
    json_decref(list);
    return code ? code : hits->count ? 0 : ERROR_NOT_IN_SOURCES;
}

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    uint64_t limit = 10;
    const struct option table[] = {
        {.name = "limit",
         .letter = 'n',
         .kind = OPTION_COUNT,
         .value = &limit,
         .least = 1,
         .most = 1000},
    };
    if (!options_read(table, 1, &argc, argv, error)) {
        return error->code;
    }
    if (!options->session || argc == 0) {
        error_set(error, ERROR_USAGE, "%s missing, expected: allmem %s",
                  options->session ? "the words are" : "-s NAME is", command_find.usage);
        return ERROR_USAGE;
    }
    struct workspace w;
    struct store_hits hits = {0};
    bool ok = workspace_open(&w, options, options->session, WORKSPACE_LOOK, NULL, error) &&
              search(&w, argv, (size_t)argc, limit, &hits, error);
    int code = ok ? report(&w, &hits, options, error) : (int)error->code;
    store_hits_finish(&hits);
    workspace_close(&w);
    return code;
}

const struct command command_find = {
    .name = "find",
    .usage = "find -s NAME [-n N] WORD...",
    .summary = "search the sources of a session; needs no model",
    .help = "  -n, --limit N      passages to show at most (10)\n"
            "A WORD with spaces in it is a phrase. Exit status 3: nothing was found.\n",
    .run = run,
};
