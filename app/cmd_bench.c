/* SPDX-License-Identifier: Apache-2.0
 *
 * allmem bench: tokens per second of prefill and decode, at a depth of text already read; with
 * --operations, where the time went.
 */
#include <stdio.h>
#include <stdlib.h>

#include "app/bench_operations.h"
#include "app/commands.h"
#include "app/interrupt.h"
#include "app/json.h"
#include "app/loading.h"
#include "app/options.h"
#include "engine/base/clock.h"

struct bench {
    uint64_t prompt, gen, depth;
    bool memory, operations;
};

struct part {
    double speed;                 /* tokens/s */
    struct operations operations; /* if asked for */
};

struct figures {
    struct part prefill, decode;
    struct engine_limits limits; /* if asked for, and no device computes */
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

/* Appends ids[0..n) to a copy of the session, `piece` at a time. */
static bool time_append(struct engine *engine, struct session *session, const token *ids, size_t n,
                        size_t piece, bool operations, struct part *part, struct error *error) {
    const struct session_watch watch = {.step = go_on};
    struct session *fork = session_fork(session, error);
    bool ok = fork != NULL;
    if (operations) {
        operations_take(&part->operations, engine, 0); /* what was before */
    }
    const double begin = clock_seconds();
    for (size_t at = 0; ok && at < n; at += piece) {
        ok = session_append(fork, ids + at, piece, &watch, error);
    }
    const double seconds = clock_seconds() - begin;
    part->speed = (double)n / seconds;
    if (operations) {
        operations_take(&part->operations, engine, seconds);
    }
    session_destroy(fork);
    return ok;
}

static bool measure(struct engine *engine, struct session *session, const struct bench *b,
                    const token *ids, struct figures *out, struct error *error) {
    const struct session_watch watch = {.step = go_on};
    const struct engine_info *info = engine_info(engine);
    const bool how = b->operations;
    struct part
        warm; /* the first pass also brings in pages of the weights, and the clock speed up */
    return time_append(engine, session, ids, 128, 128, false, &warm, error) &&
           session_append(session, ids, b->depth, &watch, error) &&
           time_append(engine, session, ids, b->prompt, b->prompt, how, &out->prefill, error) &&
           time_append(engine, session, ids, b->gen, 1, how, &out->decode, error) &&
           (!how || info->device || engine_measure_limits(info->threads, &out->limits, error));
}

static json_t *part_json(const struct bench *b, uint64_t tokens, const struct part *part,
                         const struct engine_info *info, const struct engine_limits *limits) {
    json_t *value = json_pack("{s:I, s:I, s:f}", "tokens", (json_int_t)tokens, "depth",
                              (json_int_t)b->depth, "tokens_per_second", part->speed);
    if (b->operations) {
        json_object_set_new(value, "operations", operations_json(&part->operations, info, limits));
    }
    return value;
}

static json_t *limits_json(const struct engine_limits *l) {
    return json_pack("{s:f, s:f, s:f}", "products_8_bits", l->products8, "products_16_bits",
                     l->products16, "bytes_read", l->read);
}

static void part_print(const struct bench *b, const char *name, uint64_t tokens,
                       const struct part *part, const struct engine_info *info,
                       const struct engine_limits *limits) {
    printf("%s %6llu tokens at depth %llu: %8.1f tokens/s\n", name, (unsigned long long)tokens,
           (unsigned long long)b->depth, part->speed);
    if (b->operations) {
        operations_print(&part->operations, info, limits);
    }
}

static int print(const struct options *options, const struct bench *b, const struct figures *f,
                 const struct engine_info *info, size_t state_bytes, struct error *error) {
    const struct engine_limits *limits = b->operations && !info->device ? &f->limits : NULL;
    if (options->json) {
        return json_print(json_pack("{s:o, s:o, s:s, s:s, s:I, s:b, s:I, s:s, s:s?, s:o*}",
                                    "prefill", part_json(b, b->prompt, &f->prefill, info, limits),
                                    "decode", part_json(b, b->gen, &f->decode, info, limits),
                                    "type", info->type, "kernels", info->kernels, "threads",
                                    (json_int_t)info->threads, "adapter", (int)info->has_adapter,
                                    "state_bytes", (json_int_t)state_bytes, "backend",
                                    info->backend, "device", info->device, "limits",
                                    limits ? limits_json(limits) : NULL),
                          error);
    }
    const char *memory = info->has_adapter ? "with memory" : "without memory";
    if (info->device) {
        printf("%s, %s, %s\n", info->type, info->device, memory);
    } else {
        printf("%s, %s kernels, %zu threads, %s\n", info->type, info->kernels, info->threads,
               memory);
    }
    part_print(b, "prefill", b->prompt, &f->prefill, info, limits);
    part_print(b, "decode ", b->gen, &f->decode, info, limits);
    if (limits) {
        printf("limits: %.0f GFLOP/s with weights of 8 bits, %.0f of 16; %.1f GB/s read\n",
               1e-9 * limits->products8, 1e-9 * limits->products16, 1e-9 * limits->read);
    }
    return 0;
}

static int run(const struct options *options, int argc, char **argv, struct error *error) {
    struct bench bench = {.prompt = 512, .gen = 64, .memory = true};
    const struct option table[] = {
        {.name = "prompt", .kind = OPTION_COUNT, .value = &bench.prompt, .least = 1, .most = 1e8},
        {.name = "gen", .kind = OPTION_COUNT, .value = &bench.gen, .least = 1, .most = 1e8},
        {.name = "depth", .kind = OPTION_COUNT, .value = &bench.depth, .most = 1e8},
        {.name = "memory", .kind = OPTION_FLAG, .value = &bench.memory},
        {.name = "operations", .kind = OPTION_FLAG, .value = &bench.operations},
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
    struct options timed = *options;
    timed.timed = bench.operations;
    bool ok = load_engine(&loaded, &timed, bench.memory, error);
    if (ok) {
        struct session_options o = session_options_of(options, loaded.engine);
        session = session_create(loaded.engine, &o, error);
        size_t n = bench.depth + bench.prompt + bench.gen + 128; /* more than any part needs */
        ids = some_tokens(n, engine_info(loaded.engine)->vocabulary);
        ok = session && (ids || error_set(error, ERROR_NO_SPACE, "no memory for %zu tokens", n)) &&
             measure(loaded.engine, session, &bench, ids, &figures, error);
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
    .usage = "bench [-m MODEL] [--prompt N] [--gen N] [--depth D] [--no-memory] [--operations]",
    .summary = "measure the speed of reading and writing",
    .help = "  --prompt N         tokens to read (512)\n"
            "  --gen N            tokens to write (64)\n"
            "  --depth D          tokens read before, untimed (0)\n"
            "  --no-memory        without the adapter\n"
            "  --operations       also where the time goes, and how near the machine's limits\n",
    .run = run,
};
