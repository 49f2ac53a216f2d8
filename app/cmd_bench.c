/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem bench: tokens per second of prefill and decode, at a depth of text already read.
 */
#include <stdio.h>
#include <stdlib.h>

#include "app/commands.h"
#include "app/interrupt.h"
#include "app/json.h"
#include "app/loading.h"
#include "app/options.h"

struct bench {
    uint64_t prompt, gen, depth;
};

struct figures {
    double prefill, decode; /* tokens/s */
};

/* Tokens that look like text to the cost of everything: spread over the vocabulary. */
static token *some_tokens(size_t n, uint32_t vocabulary) {
    token *ids = calloc(n ? n : 1, sizeof *ids);
    uint32_t x = 1;
    for (size_t i = 0; ids && i < n; i++) {
        x = x * 1664525u + 1013904223u;
        ids[i] = (token)((x >> 8) % vocabulary);
    }
    return ids;
}

static bool go_on(void *context, size_t done, size_t total) {
    (void)context, (void)done, (void)total;
    return !interrupt_requested();
}

/* Tokens/s of appending ids[0..n) to a copy of the session, `piece` at a time. */
static bool time_append(struct session *session, const token *ids, size_t n, size_t piece,
                        double *speed, struct error *error) {
    const struct session_watch watch = {.step = go_on};
    struct session *fork = session_fork(session, error);
    bool ok = fork != NULL;
    double begin = progress_clock();
    for (size_t at = 0; ok && at < n; at += piece) {
        ok = session_append(fork, ids + at, piece, &watch, error);
    }
    *speed = (double)n / (progress_clock() - begin);
    session_destroy(fork);
    return ok;
}

static bool measure(struct session *session, const struct bench *bench, const token *ids,
                    struct figures *out, struct error *error) {
    const struct session_watch watch = {.step = go_on};
    double warm; /* the first pass also brings in pages of the weights, and the clock speed up */
    return time_append(session, ids, 128, 128, &warm, error) &&
           session_append(session, ids, bench->depth, &watch, error) &&
           time_append(session, ids, bench->prompt, bench->prompt, &out->prefill, error) &&
           time_append(session, ids, bench->gen, 1, &out->decode, error);
}

static int print(const struct options *options, const struct bench *b, const struct figures *f,
                 const struct engine_info *info, size_t state_bytes, struct error *error) {
    if (options->json) {
        return json_print(
            json_pack("{s:{s:I, s:I, s:f}, s:{s:I, s:I, s:f}, s:s, s:s, s:I, s:b, s:I, s:s, s:s?}",
                      "prefill", "tokens", (json_int_t)b->prompt, "depth", (json_int_t)b->depth,
                      "tokens_per_second", f->prefill, "decode", "tokens", (json_int_t)b->gen,
                      "depth", (json_int_t)b->depth, "tokens_per_second", f->decode, "type",
                      info->type, "kernels", info->kernels, "threads", (json_int_t)info->threads,
                      "adapter", (int)info->has_adapter, "state_bytes", (json_int_t)state_bytes,
                      "backend", info->backend, "device", info->device),
            error);
    }
    const char *memory = info->has_adapter ? "with memory" : "without memory";
    if (info->device) {
        printf("%s, %s, %s\n", info->type, info->device, memory);
    } else {
        printf("%s, %s kernels, %zu threads, %s\n", info->type, info->kernels, info->threads,
               memory);
    }
    printf("prefill %6llu tokens at depth %llu: %8.1f tokens/s\n", (unsigned long long)b->prompt,
           (unsigned long long)b->depth, f->prefill);
    printf("decode  %6llu tokens at depth %llu: %8.1f tokens/s\n", (unsigned long long)b->gen,
           (unsigned long long)b->depth, f->decode);
    return 0;
}

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    struct bench bench = {.prompt = 512, .gen = 64};
    bool memory = true;
    const struct option table[] = {
        {.name = "prompt", .kind = OPTION_COUNT, .value = &bench.prompt, .least = 1, .most = 1e8},
        {.name = "gen", .kind = OPTION_COUNT, .value = &bench.gen, .least = 1, .most = 1e8},
        {.name = "depth", .kind = OPTION_COUNT, .value = &bench.depth, .most = 1e8},
        {.name = "memory", .kind = OPTION_FLAG, .value = &memory},
    };
    if (!options_read(table, sizeof table / sizeof *table, &argc, argv, error)) {
        return error->code;
    }
    if (argc != 0) {
        error_set(error, ERROR_USAGE, "found '%s', expected: allmem %s", argv[0],
                  command_bench.usage);
        return ERROR_USAGE;
    }
    struct loaded loaded = {0};
    struct session *session = NULL;
    struct figures figures = {0};
    token *ids = NULL;
    bool ok = load_engine(&loaded, options, memory, error);
    if (ok) {
        struct session_options o = session_options_of(options, loaded.engine);
        session = session_create(loaded.engine, &o, error);
        size_t n = bench.depth + bench.prompt + bench.gen + 128; /* more than any part needs */
        ids = some_tokens(n, engine_info(loaded.engine)->vocabulary);
        ok = session && (ids || error_set(error, ERROR_NO_SPACE, "no memory for %zu tokens", n)) &&
             measure(session, &bench, ids, &figures, error);
    }
    int code = ok ? print(options, &bench, &figures, engine_info(loaded.engine),
                          session_state_bytes(session), error)
                  : (int)error->code;
    free(ids);
    session_destroy(session);
    loaded_finish(&loaded);
    return code;
}

const struct command command_bench = {
    .name = "bench",
    .usage = "bench [-m MODEL] [--prompt N] [--gen N] [--depth D] [--no-memory]",
    .summary = "measure the speed of reading and writing",
    .help = "  --prompt N         tokens to read (512)\n"
            "  --gen N            tokens to write (64)\n"
            "  --depth D          tokens read before, untimed (0)\n"
            "  --no-memory        without the adapter\n",
    .run = run,
};
