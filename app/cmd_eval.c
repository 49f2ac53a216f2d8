/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem eval: how well the model predicts a text (mean negative log-likelihood, nats per token),
 * with full attention, with the window alone, or with the memory beside it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/json.h"
#include "app/library.h"
#include "app/loading.h"
#include "app/options.h"
#include "engine/base/clock.h"

struct eval {
    const char *mode, *text, *other;
    bool writes;
    uint64_t tokens, bucket;
};

/* What was measured; `nll` is owned. */
struct measured {
    float *nll; /* [count]; the first token has no prediction */
    size_t count;
    double seconds, last_tenth, first_tenth; /* tokens/s of the parts after the window filled */
    size_t state_bytes;
    struct session_options options;
};

static bool encode_file(const struct eval *eval, const char *path, const struct tokenizer *t,
                        struct tokens *list, struct error *error) {
    struct library library = {0};
    struct walk_options walk = walk_options_default();
    bool ok = library_read(&library, &path, 1, &walk, error);
    if (ok && library.count == 0) {
        ok = error_set(error, ERROR_FAILURE, "%s: %s", path,
                       library.skips.count ? library.skips.items[0].reason : "nothing to read");
    }
    ok = ok && (!tokenizer_adds_bos(t) || tokens_push(list, tokenizer_bos(t)) ||
                error_set(error, ERROR_NO_SPACE, "no memory for the tokens"));
    for (size_t i = 0; ok && i < library.count; i++) {
        ok = tokenizer_encode(t, library.documents[i].text, library.documents[i].size, list, error);
    }
    library_finish(&library);
    if (ok && list->count < 2) {
        ok = error_set(error, ERROR_FAILURE, "%s: %zu tokens, expected at least 2", path,
                       list->count);
    }
    if (ok && eval->tokens && list->count > eval->tokens) {
        list->count = eval->tokens;
    }
    return ok;
}

/* The sessions of a text and, for the control, of another one that its memory comes from. */
struct readers {
    struct session *text, *other;
    const token *other_ids;
};

/* ids[0..n) at position `from`. With another text, chunk by chunk: both move on together, so that
 * what is read is the memory of a text as long as this one. */
static bool score_piece(const struct readers *r, const token *ids, size_t from, size_t n,
                        float *nll, const struct session_watch *watch, struct error *error) {
    if (!r->other) {
        return session_score(r->text, ids, n, nll, watch, error);
    }
    const size_t C = session_chunk(r->text);
    bool ok = true;
    for (size_t at = 0; ok && at < n;) {
        const size_t to_end = C - (from + at) % C, rows = n - at < to_end ? n - at : to_end;
        ok = session_lend_memory(r->text, r->other, error) &&
             session_score(r->text, ids + at, rows, nll + at, watch, error) &&
             session_append(r->other, r->other_ids + from + at, rows, NULL, error);
        at += rows;
    }
    return ok;
}

/* Scores the text in pieces, to time its parts. */
static bool score(const struct readers *readers, const struct options *options,
                  const struct tokens *list, struct measured *m, struct error *error) {
    struct reading_watch watch;
    reading_watch_init(&watch, options, list->count);
    size_t full =
        m->options.window + m->options.keep < list->count ? m->options.window + m->options.keep : 0;
    size_t tenth = (list->count - full) / 10;
    size_t marks[] = {full, full + tenth, list->count - tenth, list->count};
    double at[5] = {clock_seconds()};
    bool ok = true;
    for (size_t i = 0, from = 0; ok && i < 4; from = marks[i++]) {
        watch.before = from;
        ok = marks[i] == from || score_piece(readers, list->ids + from, from, marks[i] - from,
                                             m->nll + from, &watch.watch, error);
        at[i + 1] = clock_seconds();
    }
    progress_end(&watch.progress);
    m->seconds = at[4] - at[0];
    m->first_tenth = (double)tenth / (at[2] - at[1]);
    m->last_tenth = (double)tenth / (at[4] - at[3]);
    return ok;
}

/* The other text's session, which writes what the text's session reads. */
static bool open_other(const struct eval *eval, struct engine *engine, struct measured *m,
                       struct tokens *list, struct readers *r, struct error *error) {
    if (!encode_file(eval, eval->other, engine_tokenizer(engine), list, error)) {
        return false;
    }
    if (list->count < m->count) {
        return error_set(error, ERROR_FAILURE,
                         "%s: %zu tokens, expected at least as many as the text has, %zu",
                         eval->other, list->count, m->count);
    }
    r->other_ids = list->ids;
    r->other = session_create(engine, &m->options, error);
    /* What it merges itself gives way at the next chunk. */
    m->options.writes = !m->options.memory || engine_info(engine)->memory_width == 0;
    return r->other;
}

static bool measure(const struct eval *eval, const struct options *options, struct measured *m,
                    struct error *error) {
    struct loaded loaded = {0};
    struct tokens list = {0}, other = {0};
    struct readers readers = {0};
    bool memory = strcmp(eval->mode, "memory") == 0;
    bool ok = load_engine(&loaded, options, memory, error);
    if (ok && memory && !engine_info(loaded.engine)->has_adapter) {
        ok = error_set(error, ERROR_NOT_FOUND,
                       "%s has no adapter, so it has no memory to measure; allmem finetune makes "
                       "one, and --mode window needs none",
                       loaded.choice.name);
    }
    ok = ok && encode_file(eval, eval->text, engine_tokenizer(loaded.engine), &list, error);
    if (ok) {
        m->options = strcmp(eval->mode, "full") == 0
                         ? session_full_attention(loaded.engine, list.count)
                         : session_options_of(options, loaded.engine);
        m->options.writes = eval->writes;
        m->count = list.count;
        m->nll = calloc(list.count, sizeof *m->nll);
        ok = m->nll || error_set(error, ERROR_NO_SPACE, "no memory for the figures");
    }
    ok = ok && (!eval->other || open_other(eval, loaded.engine, m, &other, &readers, error));
    if (ok) {
        readers.text = session_create(loaded.engine, &m->options, error);
        ok = readers.text;
    }
    ok = ok && score(&readers, options, &list, m, error);
    m->state_bytes = readers.text ? session_state_bytes(readers.text) : 0;
    session_destroy(readers.text);
    session_destroy(readers.other);
    tokens_finish(&list);
    tokens_finish(&other);
    loaded_finish(&loaded);
    return ok;
}

/* Mean over tokens [from, to), of which the very first is not predicted. */
static double mean_nll(const struct measured *m, size_t from, size_t to) {
    double sum = 0;
    from = from ? from : 1;
    for (size_t i = from; i < to; i++) {
        sum += (double)m->nll[i];
    }
    return to > from ? sum / (double)(to - from) : 0;
}

static int print_json(const struct measured *m, size_t bucket, struct error *error) {
    json_t *buckets = json_array();
    for (size_t from = 0; from < m->count; from += bucket) {
        size_t to = from + bucket < m->count ? from + bucket : m->count;
        json_array_append_new(buckets, json_pack("{s:I, s:I, s:f}", "from", (json_int_t)from, "to",
                                                 (json_int_t)to, "nll", mean_nll(m, from, to)));
    }
    return json_print(json_pack("{s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:o}", "tokens",
                                (json_int_t)m->count, "nll", mean_nll(m, 0, m->count),
                                "tokens_per_second", (double)m->count / m->seconds,
                                "first_tenth_tokens_per_second", m->first_tenth,
                                "last_tenth_tokens_per_second", m->last_tenth, "state_bytes",
                                (json_int_t)m->state_bytes, "window", (json_int_t)m->options.window,
                                "keep", (json_int_t)m->options.keep, "merge",
                                (json_int_t)m->options.merge, "buckets", buckets),
                      error);
}

static int print_table(const struct measured *m, size_t bucket) {
    printf("tokens %zu, window %u, kept %u, merged %u, state %zu bytes\n", m->count,
           m->options.window, m->options.keep, m->options.merge, m->state_bytes);
    printf("%.1f tokens/s (first tenth past the window %.1f, last tenth %.1f)\n",
           (double)m->count / m->seconds, m->first_tenth, m->last_tenth);
    printf("nll %.5f\n", mean_nll(m, 0, m->count));
    for (size_t from = 0; from < m->count; from += bucket) {
        size_t to = from + bucket < m->count ? from + bucket : m->count;
        printf("%9zu - %-9zu %.4f\n", from, to, mean_nll(m, from, to));
    }
    return 0;
}

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    struct eval eval = {.mode = "memory", .writes = true};
    const struct option table[] = {
        {.name = "mode",
         .kind = OPTION_CHOICE,
         .value = &eval.mode,
         .choices = "full|window|memory"},
        {.name = "writes", .kind = OPTION_FLAG, .value = &eval.writes},
        {.name = "tokens", .letter = 'n', .kind = OPTION_COUNT, .value = &eval.tokens, .most = 1e9},
        {.name = "bucket", .kind = OPTION_COUNT, .value = &eval.bucket, .least = 1, .most = 1e9},
        {.name = "other", .kind = OPTION_TEXT, .value = &eval.other},
        {.name = "text", .kind = OPTION_TEXT, .value = &eval.text},
    };
    if (!options_read(table, sizeof table / sizeof *table, &argc, argv, error)) {
        return error->code;
    }
    if (argc != 0 || !eval.text) {
        error_set(error, ERROR_USAGE, "%s, expected: allmem %s",
                  argc ? "found words that are no option" : "--text is missing",
                  command_eval.usage);
        return ERROR_USAGE;
    }
    if (eval.other && (strcmp(eval.mode, "full") == 0 || !eval.writes)) {
        error_set(error, ERROR_USAGE, "--other needs --mode window or memory, with writes");
        return ERROR_USAGE;
    }
    struct measured m = {0};
    int code;
    if (measure(&eval, options, &m, error)) {
        size_t bucket = eval.bucket ? eval.bucket : (m.count + 7) / 8;
        code = options->json ? print_json(&m, bucket, error) : print_table(&m, bucket);
    } else {
        code = error->code;
    }
    free(m.nll);
    return code;
}

const struct command command_eval = {
    .name = "eval",
    .usage = "eval [-m MODEL] --mode full|window|memory [--no-writes] [--other FILE] [--tokens N] "
             "[--bucket B] --text FILE",
    .summary = "measure how well a text is predicted",
    .help = "  --mode MODE        full attention, window alone, or window and memory (memory)\n"
            "  --no-writes        a control: the memory is read but never written\n"
            "  --other FILE       a control: the memory is what another text has written\n"
            "  --tokens N         only the first N tokens of the text\n"
            "  --bucket B         tokens in a row of the table by position (an eighth)\n"
            "  --text FILE        what to read\n",
    .run = run,
};
