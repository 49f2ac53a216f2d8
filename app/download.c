/* SPDX-License-Identifier: Apache-2.0
 *
 * From requests to a checked file: redirects, retries, and what becomes of the part.
 */
#include "app/download.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/download_http.h"
#include "app/download_part.h"
#include "app/download_url.h"
#include "app/files.h"
#include "app/interrupt.h"

#define REDIRECTS_MOST 5
/* Bytes that an attempt must bring for the count of retries to begin anew. */
#define PROGRESS_LEAST (1 << 20)

const struct download_patience download_patience = {
    .connect = 15000,
    .stall = 60000,
    .stall_bytes = 60 * 1024,
    .retries = 5,
    .delay = 1000,
    .longest_delay = 60000,
    .longest_retry_after = 3600 * 1000,
};

static bool stopped(const struct download *d) {
    return d->watch.stop && d->watch.stop(d->watch.context);
}

static bool sleep_ms(const struct download *d, unsigned ms, struct error *error) {
    for (unsigned slept = 0; slept < ms; slept += 50) {
        if (stopped(d)) {
            return interrupt_error(error);
        }
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    }
    return true;
}

/* Where a redirect may lead: never from https to http, never to a private address unless the user
 * typed that host, and not for ever. */
static bool redirect_allowed(struct http_exchange *x, const struct url *typed, bool from_http,
                             unsigned redirects, struct url *next, struct error *error) {
    char from[URL_SHOWN_MAX], to[URL_SHOWN_MAX];
    url_shown(x->url, from);
    if (redirects > REDIRECTS_MOST) {
        return error_set(error, ERROR_NETWORK, "%s: more than %d redirects", from, REDIRECTS_MOST);
    }
    if (!url_read(next, x->location, typed->http && from_http, error)) {
        error->code = ERROR_NETWORK;
        return error_prefix(error, "%s redirects to where we do not follow", from);
    }
    x->public_only = strcmp(next->host, typed->host) != 0;
    if (x->public_only && host_is_private(next->host)) {
        return error_set(error, ERROR_NETWORK,
                         "%s redirects to the private address %s, which only a typed URL may name",
                         from, url_shown(x->location, to));
    }
    return true;
}

/* Asks, and follows redirects from the URL that was typed to whatever ends them. */
static enum http_outcome ask(struct http_exchange *x, const struct url *typed,
                             struct error *error) {
    char *url = strdup(x->download->url);
    struct url at = *typed;
    enum http_outcome outcome = HTTP_FAILED;
    x->public_only = false;
    for (unsigned redirects = 0; url;) {
        x->url = url;
        x->http_allowed = at.http;
        outcome = http_fetch(x, error);
        if (outcome != HTTP_REDIRECT) {
            break;
        }
        if (!redirect_allowed(x, typed, at.http, ++redirects, &at, error)) {
            outcome = HTTP_FAILED;
            break;
        }
        free(url);
        url = strdup(x->location);
    }
    if (!url) {
        error_set(error, ERROR_NO_SPACE, "out of memory");
        outcome = HTTP_FAILED;
    }
    free(url);
    return outcome;
}

/* Waits before the next try; false when it must not be made, with the error of the last one. */
static bool wait_for_retry(const struct http_exchange *x, unsigned try, struct error *error) {
    const struct download *d = x->download;
    const struct download_patience *p = d->patience;
    if (try > p->retries) {
        struct error last = *error;
        return error_set(error, last.code, "%.900s; gave up after %u retries", last.text,
                         p->retries);
    }
    unsigned delay = p->delay;
    for (unsigned i = 1; i < try && delay < p->longest_delay; i++) {
        delay *= 2;
    }
    delay = delay < p->longest_delay ? delay : p->longest_delay;
    if (x->retry_after) {
        if ((uint64_t)x->retry_after * 1000 > p->longest_retry_after) {
            struct error last = *error;
            return error_set(error, last.code, "%.900s; it wants us to wait %u seconds", last.text,
                             x->retry_after);
        }
        delay = x->retry_after * 1000;
    }
    if (d->watch.message) {
        char text[1200];
        snprintf(text, sizeof text, "%s; again in %.3g s (%u of %u)", error->text, delay / 1000.0,
                 try, p->retries);
        d->watch.message(d->watch.context, text);
    }
    return sleep_ms(d, delay, error);
}

static bool fetch(struct http_exchange *x, const struct url *typed, struct error *error) {
    unsigned try = 0, restarts = 0;
    uint64_t best = x->part->size;
    for (;;) {
        switch (ask(x, typed, error)) {
        case HTTP_DONE:
            return true;
        case HTTP_RESTART:
            if (++restarts > 2) {
                return error_set(error, ERROR_NETWORK,
                                 "%s: the server changes its mind about the file",
                                 x->download->url);
            }
            if (!part_restart(x->part, "", "", PART_UNKNOWN, error)) {
                return false;
            }
            break;
        case HTTP_RETRY:
            if (x->part->size >= best + PROGRESS_LEAST) {
                best = x->part->size;
                try = 0;
            }
            if (!wait_for_retry(x, ++try, error)) {
                return false;
            }
            /* What cannot be asked for in part is asked for anew. */
            if (x->part->size > 0 && !part_validator(x->part) &&
                !part_restart(x->part, "", "", PART_UNKNOWN, error)) {
                return false;
            }
            break;
        case HTTP_REDIRECT:
        case HTTP_FAILED:
            return false;
        }
    }
}

/* ".../NAME.part" -> ".../NAME.bad" */
static char *bad_path(const char *part) {
    size_t n = strlen(part);
    char *path;
    if (n > 5 && strcmp(part + n - 5, ".part") == 0) {
        n -= 5;
    }
    return asprintf(&path, "%.*s.bad", (int)n, part) < 0 ? NULL : path;
}

bool download_reject(const char *part, const char *found, const char *expected,
                     struct error *error) {
    char *bad = bad_path(part);
    if (!bad) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    if (file_move(part, bad, true, error)) {
        error_set(error, ERROR_CHECKSUM, "the SHA-256 is %s, expected %s; the file is kept as %s",
                  found, expected, bad);
    }
    free(bad);
    return false;
}

/* The part is complete: is it the right file? Then it gets its name. */
static bool accept_file(const struct download *d, struct download_part *part,
                        struct download_result *result, struct error *error) {
    result->bytes = part->size;
    if (!part_complete(part, result->sha256, error)) {
        return false;
    }
    if (d->sha256 && strcmp(result->sha256, d->sha256) != 0) {
        part_forget(part);
        return download_reject(d->part, result->sha256, d->sha256, error);
    }
    if (d->bytes && part->size != d->bytes) {
        part_forget(part); /* so that the next run begins anew */
        return error_set(error, ERROR_CHECKSUM,
                         "%" PRIu64 " bytes came, expected %" PRIu64 ": it is another file",
                         part->size, d->bytes);
    }
    if (!file_move(d->part, d->path, d->replace, error)) {
        return false;
    }
    part_forget(part);
    return true;
}

static bool run(const struct download *d, struct http_exchange *x, const struct url *typed,
                struct download_result *result, struct error *error) {
    struct download_part *part = x->part;
    if (!part_open(part, d->part, d->url, d->sha256, &d->watch, error)) {
        return false;
    }
    bool complete = part->size > 0 && part->size == part->total;
    if (!complete && d->bytes > part->size &&
        !file_check_space(d->part, d->bytes - part->size + d->bytes / 20, error)) {
        return false;
    }
    return (complete || fetch(x, typed, error)) && accept_file(d, part, result, error);
}

bool download_run(const struct download *d, struct download_result *result, struct error *error) {
    *result = (struct download_result){0};
    struct download own = *d;
    own.patience = d->patience ? d->patience : &download_patience;
    struct error scratch;
    error = error ? error : &scratch;
    struct url typed;
    if (!url_read(&typed, d->url, true, error)) {
        return false;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return error_set(error, ERROR_NO_SPACE, "out of memory");
    }
    struct download_part part;
    struct http_exchange x = {.download = &own, .part = &part};
    bool ok = run(&own, &x, &typed, result, error);
    result->fetched = x.fetched;
    http_finish(&x);
    part_close(&part);
    curl_global_cleanup();
    return ok;
}
