/* SPDX-License-Identifier: Apache-2.0
 *
 * One request and its answer: asks for the rest of a part, judges status and headers before a byte
 * of the body is kept, and says what is to be done next. Redirects are not followed here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "app/download.h"
#include "app/download_part.h"
#include "app/download_url.h"

enum http_outcome {
    HTTP_DONE,     /* the whole file is in the part */
    HTTP_REDIRECT, /* to `location` */
    HTTP_RESTART,  /* what is there is of no use to the server: ask again from byte 0 */
    HTTP_RETRY,    /* may be better later; `error` says what happened */
    HTTP_FAILED,
};

struct http_exchange {
    const struct download *download;
    struct download_part *part;
    const char *url;
    bool http_allowed;
    bool public_only; /* a redirect led here: refuse private addresses */
    uint64_t fetched; /* bytes of bodies so far; kept from request to request */
    uint64_t shown;   /* what progress has shown; never falls */
    /* Of the last answer: */
    char *location;       /* to be freed by http_finish */
    unsigned retry_after; /* seconds the server asked for, or 0 */
    bool answered;        /* there was one at all */
};

enum http_outcome http_fetch(struct http_exchange *x, struct error *error);
void http_finish(struct http_exchange *x);
