/* SPDX-License-Identifier: Apache-2.0
 *
 * Printing an answer.
 */
#include "app/answer_report.h"

#include <errno.h>
#include <stdio.h>

#include "app/interrupt.h"
#include "app/json.h"

static bool go_on(void *context, size_t done, size_t total) {
    (void)context, (void)done, (void)total;
    return !interrupt_requested();
}

static const struct session_watch until_interrupted = {.step = go_on};

struct answer_options answer_options_of_command(const struct options *options) {
    struct answer_options o = answer_options_default();
    o.sampler.temperature = options->temperature;
    o.sampler.seed = options->seed;
    o.show = options->json ? NULL : answer_print_piece;
    o.watch = &until_interrupted;
    return o;
}

bool answer_print_piece(void *context, const char *text, size_t size) {
    (void)context;
    bool ok = fwrite(text, 1, size, stdout) == size && fflush(stdout) == 0;
    if (!ok && errno == EINTR && interrupt_requested()) {
        clearerr(stdout); /* the answer stops here, what comes after it can be written */
    }
    return ok;
}

static int print_json(const struct answer *a, bool cite, struct error *error) {
    const char *text = a->supported ? (const char *)a->text.data : answer_unsupported;
    json_t *citations = cite ? citations_json(&a->citations) : json_array();
    return json_print(
        json_pack("{s:o, s:b, s:b, s:o, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "answer",
                  json_text(text), "supported", (int)a->supported, "stopped", (int)a->stopped,
                  "citations", citations, "prefill_tokens", (json_int_t)a->prefill_tokens,
                  "answer_tokens", (json_int_t)a->answer_tokens, "model_seconds", a->model_seconds,
                  "memory_seconds", a->memory_seconds, "retrieval_seconds", a->retrieval_seconds,
                  "prefill_seconds", a->prefill_seconds, "first_token_seconds",
                  a->first_token_seconds, "tokens_per_second", a->tokens_per_second),
        error);
}

static int print_text(const struct answer *a, bool cite, struct error *error) {
    struct bytes text = {0};
    bool ok = !cite || a->citations.count == 0 || citations_text(&a->citations, &text, error);
    if (!a->supported) {
        fputs(answer_unsupported, stdout);
    }
    putchar('\n');
    if (ok && text.size) {
        putchar('\n');
        fwrite(text.data, 1, text.size, stdout);
    }
    fflush(stdout);
    bytes_finish(&text);
    return ok ? 0 : (int)error->code;
}

int answer_report(const struct answer *a, const struct options *options, bool cite,
                  struct error *error) {
    int code = options->json ? print_json(a, cite, error) : print_text(a, cite, error);
    if (code == 0) {
        code = !a->supported ? ERROR_NOT_IN_SOURCES : a->stopped ? ERROR_INTERRUPTED : 0;
    }
    return code;
}
