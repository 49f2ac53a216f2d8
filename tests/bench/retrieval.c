/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks a list of questions of a list of sources and prints what retrieval finds, a row each, for
 * retrieval.py to count. A question is a line of standard input, with a tab and the words that the
 * right passage holds behind it where there are such.
 *   retrieval PATH... < questions.tsv > rows.tsv
 * Columns: supported (0 or 1), coverage, place of the right passage (0: not among them), question.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/citations.h"
#include "app/import/walk.h"
#include "app/memory_index.h"

struct library {
    struct document *documents;
    struct passages *passages;
    size_t count, bytes, passage_count;
};

static _Noreturn void fail(const struct error *error) {
    fprintf(stderr, "retrieval: %s\n", error->text);
    exit(1);
}

static void read_all(const struct walk *walk, struct library *lib) {
    struct error error = {0};
    struct import_limits limits = import_limits_default();
    struct skips skips = {0};
    lib->documents = calloc(walk->count + 1, sizeof *lib->documents);
    lib->passages = calloc(walk->count + 1, sizeof *lib->passages);
    for (size_t i = 0; i < walk->count; i++) {
        struct document *d = &lib->documents[lib->count];
        enum import_result r =
            import_file(walk->files[i].path, walk->files[i].named, &limits, d, &skips, &error);
        if (r == IMPORT_FAILED) {
            fail(&error);
        }
        if (r == IMPORT_TAKEN) {
            if (!passages_cut(d, &lib->passages[lib->count], &error)) {
                fail(&error);
            }
            lib->bytes += d->size;
            lib->passage_count += lib->passages[lib->count].count;
            lib->count++;
        }
    }
    for (size_t i = 0; i < skips.count; i++) {
        fprintf(stderr, "skipped %s: %s\n", skips.items[i].name, skips.items[i].reason);
    }
    skips_finish(&skips);
}

/* Questions and texts wrap lines differently: white space is one space on both sides. */
static char *squeeze(const char *text) {
    char *out = malloc(strlen(text) + 1), *to = out;
    for (const char *at = text; *at; at++) {
        bool space = strchr(" \t\n", *at) != NULL;
        if (!space || (to > out && to[-1] != ' ')) {
            *to++ = space ? ' ' : *at;
        }
    }
    *to = '\0';
    return out;
}

static size_t place_of(const struct retrieval *r, const char *expected) {
    for (size_t i = 0; *expected && i < r->count; i++) {
        char *text = squeeze(r->items[i].text);
        bool found = strstr(text, expected) != NULL;
        free(text);
        if (found) {
            return i + 1;
        }
    }
    return 0;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv) {
    struct error error = {0};
    struct walk_options options = walk_options_default();
    struct walk walk = {0};
    if (!walk_paths(&walk, (const char *const *)argv + 1, (size_t)argc - 1, &options, &error)) {
        fail(&error);
    }
    double start = now();
    struct library lib = {0};
    read_all(&walk, &lib);
    double read = now();
    struct words *words = words_create();
    struct memory_index *memory = memory_index_create(words, &error);
    for (size_t i = 0; i < lib.count; i++) {
        if (!memory_index_add(memory, &lib.documents[i], &lib.passages[i], &error)) {
            fail(&error);
        }
    }
    fprintf(stderr, "%zu documents, %.2f MB, %zu passages; read %.2f s, index %.2f s\n", lib.count,
            (double)lib.bytes / 1e6, lib.passage_count, read - start, now() - read);

    struct passage_index index = memory_index_view(memory);
    struct retrieve_options wanted = retrieve_options_default();
    char *line = NULL;
    size_t room = 0, asked = 0, quotes = 0;
    start = now();
    while (getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        char *expected = strchr(line, '\t');
        if (expected) {
            *expected++ = '\0';
        }
        struct retrieval r = {0};
        struct citations c = {0};
        if (!retrieve(&index, words, line, &wanted, &r, &error) ||
            !citations_make(&c, &r, &index, words, NULL, &error)) {
            fail(&error);
        }
        printf("%d\t%.3f\t%zu\t%s", r.supported, r.coverage, place_of(&r, expected ? expected : ""),
               line);
        if (getenv("VERBOSE")) {
            for (size_t i = 0; i < r.query.count; i++) {
                printf("\t%s:%zu:%.2f", r.query.terms[i].stem, r.query.terms[i].passages,
                       r.query.terms[i].weight);
            }
        }
        if (getenv("QUOTES")) {
            struct bytes out = {0};
            citations_text(&c, &out, &error);
            printf("\n%.*s", (int)out.size, (char *)out.data);
            bytes_finish(&out);
        }
        printf("\n");
        asked++;
        quotes += c.count;
        citations_finish(&c);
        retrieval_finish(&r);
    }
    fprintf(stderr, "%zu questions, %.2f ms each; %zu quotes, all verbatim\n", asked,
            asked ? 1e3 * (now() - start) / (double)asked : 0, quotes);
    free(line);
    memory_index_destroy(memory);
    words_destroy(words);
    for (size_t i = 0; i < lib.count; i++) {
        passages_finish(&lib.passages[i]);
        document_finish(&lib.documents[i]);
    }
    free(lib.documents);
    free(lib.passages);
    walk_finish(&walk);
    return 0;
}
