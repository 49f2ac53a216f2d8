/* SPDX-License-Identifier: Apache-2.0
 *
 * A request through libcurl. Its own resume, redirects and decoding stay off: each of them would
 * take bytes before the answer has been judged. The multi interface is used for one transfer only,
 * so that a stop is noticed within a tenth of a second.
 */
#include "app/download_http.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "app/files.h"
#include "app/interrupt.h"
#include "engine/base/clock.h"

#define POLL_MS 100
#define IGNORED_BODY_MOST (1 << 20) /* of an error page or redirect */

struct answer {
    struct http_exchange *x;
    CURL *easy;
    struct error *error;
    enum http_outcome outcome;
    bool judged; /* status and headers were looked at */
    bool wanted; /* the body belongs into the part */
    bool ours;   /* we ended the transfer ourselves; `outcome` and `error` say why */
    bool hidden; /* the address was refused */
    uint64_t ignored;
    uint64_t stretch_bytes; /* since stretch_start, to notice a stall */
    double stretch_start;
    /* Headers of the answer that is coming in; "" when absent. */
    char etag[256], modified[64], range[128], encoding[64];
};

/* ---- headers ---- */

static void keep_header(char *out, size_t size, const char *value, size_t length) {
    /* What is too long to be kept is treated as not sent: it is only ever compared. */
    out[0] = '\0';
    if (length < size) {
        memcpy(out, value, length);
        out[length] = '\0';
    }
}

static size_t on_header(char *line, size_t one, size_t length, void *context) {
    struct answer *a = context;
    (void)one;
    if (length >= 5 && strncasecmp(line, "HTTP/", 5) == 0) {
        a->etag[0] = a->modified[0] = a->range[0] = a->encoding[0] = '\0';
        return length;
    }
    const char *colon = memchr(line, ':', length);
    if (!colon) {
        return length;
    }
    const char *value = colon + 1, *end = line + length;
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ')) {
        end--;
    }
    const struct {
        const char *name;
        char *out;
        size_t size;
    } kept[] = {
        {"etag", a->etag, sizeof a->etag},
        {"last-modified", a->modified, sizeof a->modified},
        {"content-range", a->range, sizeof a->range},
        {"content-encoding", a->encoding, sizeof a->encoding},
    };
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if ((size_t)(colon - line) == strlen(kept[i].name) &&
            strncasecmp(line, kept[i].name, strlen(kept[i].name)) == 0) {
            keep_header(kept[i].out, kept[i].size, value, (size_t)(end - value));
        }
    }
    return length;
}

static bool read_number(const char **at, uint64_t *n) {
    char *end;
    if (**at < '0' || **at > '9') {
        return false;
    }
    *n = strtoull(*at, &end, 10);
    *at = end;
    return *n < (uint64_t)1 << 60;
}

/* "bytes FIRST-LAST/TOTAL"; TOTAL may be "*". */
static bool read_range(const char *text, uint64_t *first, uint64_t *last, uint64_t *total) {
    if (strncasecmp(text, "bytes ", 6) != 0) {
        return false;
    }
    text += 6;
    if (!read_number(&text, first) || *text++ != '-' || !read_number(&text, last) ||
        *text++ != '/') {
        return false;
    }
    if (strcmp(text, "*") == 0) {
        *total = PART_UNKNOWN;
        return *first <= *last;
    }
    return read_number(&text, total) && !*text && *first <= *last && *last < *total;
}

/* "bytes", blank, star, slash, TOTAL: what a 416 says. */
static bool read_total(const char *text, uint64_t *total) {
    if (strncasecmp(text, "bytes */", 8) != 0) {
        return false;
    }
    text += 8;
    return read_number(&text, total) && !*text;
}

/* ---- judging an answer ---- */

static void end_with(struct answer *a, enum http_outcome outcome) {
    a->ours = true;
    a->outcome = outcome;
}

static void say(const struct http_exchange *x, const char *text) {
    if (x->download->watch.message) {
        x->download->watch.message(x->download->watch.context, text);
    }
}

/* The length of the whole file is known: is it the right one, and is there room? */
static bool judge_total(struct answer *a, uint64_t total) {
    const struct http_exchange *x = a->x;
    char shown[URL_SHOWN_MAX];
    if (x->download->bytes && total != x->download->bytes) {
        return error_set(a->error, ERROR_CHECKSUM,
                         "%s has %" PRIu64 " bytes, expected %" PRIu64 ": it is another file",
                         url_shown(x->url, shown), total, x->download->bytes);
    }
    return file_check_space(x->part->path, total + total / 20, a->error);
}

static void judge_whole(struct answer *a) {
    struct http_exchange *x = a->x;
    curl_off_t length = -1;
    curl_easy_getinfo(a->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    uint64_t total = length < 0 ? PART_UNKNOWN : (uint64_t)length;
    if (x->part->size > 0) {
        say(x, "the server does not go on where it stopped; starting from the beginning");
    }
    if ((total != PART_UNKNOWN && !judge_total(a, total)) ||
        !part_restart(x->part, a->etag, a->modified, total, a->error)) {
        end_with(a, HTTP_FAILED);
        return;
    }
    a->wanted = true;
}

static void judge_rest(struct answer *a) {
    struct download_part *part = a->x->part;
    uint64_t first, last, total;
    curl_off_t length = -1;
    curl_easy_getinfo(a->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    bool asked = part->size > 0;
    bool fits = asked && read_range(a->range, &first, &last, &total) && first == part->size &&
                (length < 0 || (uint64_t)length == last - first + 1);
    /* The file behind the URL may have changed although the server says that it goes on. */
    bool same = fits && (part->total == PART_UNKNOWN || total == part->total) &&
                (!*part->etag || !*a->etag || strcmp(part->etag, a->etag) == 0);
    if (same) {
        part->total = part->total == PART_UNKNOWN ? total : part->total;
        a->wanted = true;
    } else if (asked) {
        say(a->x, fits ? "the file changed on the server; starting from the beginning"
                       : "the server sent another piece than asked for; starting from the "
                         "beginning");
        end_with(a, HTTP_RESTART);
    } else {
        char shown[URL_SHOWN_MAX];
        error_set(a->error, ERROR_NETWORK, "%s: a piece was sent where the whole was asked for",
                  url_shown(a->x->url, shown));
        end_with(a, HTTP_FAILED);
    }
}

static void judge(struct answer *a) {
    long status = 0;
    curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &status);
    a->judged = true;
    a->x->answered = true;
    if (status != 200 && status != 206) {
        return; /* the body is ignored; finish_status decides */
    }
    if (*a->encoding && strcasecmp(a->encoding, "identity") != 0) {
        char shown[URL_SHOWN_MAX];
        error_set(a->error, ERROR_NETWORK, "%s: sent as '%s', expected the bytes themselves",
                  url_shown(a->x->url, shown), a->encoding);
        end_with(a, HTTP_FAILED);
    } else if (status == 200) {
        judge_whole(a);
    } else {
        judge_rest(a);
    }
}

static void show_progress(struct http_exchange *x) {
    if (x->part->size > x->shown) {
        x->shown = x->part->size;
    }
    if (x->download->watch.progress) {
        uint64_t total = x->part->total == PART_UNKNOWN ? 0 : x->part->total;
        x->download->watch.progress(x->download->watch.context, x->shown, total);
    }
}

static size_t on_body(char *data, size_t one, size_t length, void *context) {
    struct answer *a = context;
    struct http_exchange *x = a->x;
    (void)one;
    if (!a->judged) {
        judge(a);
    }
    if (a->ours) {
        return 0;
    }
    a->stretch_bytes += length;
    if (!a->wanted) {
        a->ignored += length;
        return a->ignored > IGNORED_BODY_MOST ? 0 : length;
    }
    x->fetched += length;
    uint64_t most = x->part->total != PART_UNKNOWN ? x->part->total
                    : x->download->bytes           ? x->download->bytes
                                                   : PART_UNKNOWN;
    if (length > most - x->part->size) {
        char shown[URL_SHOWN_MAX];
        error_set(a->error, ERROR_NETWORK, "%s: more came than the %" PRIu64 " bytes expected",
                  url_shown(x->url, shown), most);
        end_with(a, HTTP_FAILED);
        return 0;
    }
    if (!part_write(x->part, data, length, a->error)) {
        end_with(a, HTTP_FAILED);
        return 0;
    }
    show_progress(x);
    return length;
}

/* ---- the transfer ---- */

static bool proxy_is_set(void) {
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy",
                                        "ALL_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) {
            return true;
        }
    }
    return false;
}

/* The proxy of the environment for messages, credentials masked; "" without one. */
static const char *proxy_shown(char text[URL_SHOWN_MAX + 32]) {
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                        "http_proxy"};
    text[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) {
            char shown[URL_SHOWN_MAX];
            snprintf(text, URL_SHOWN_MAX + 32, " (%s is %s)", names[i], url_shown(value, shown));
            break;
        }
    }
    return text;
}

static curl_socket_t on_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    struct answer *a = context;
    (void)purpose;
    /* Through a proxy the address is the proxy's, which the user chose. */
    if (a->x->public_only && !proxy_is_set() && address_is_private(&address->addr)) {
        a->hidden = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static const char *environment_path(const char *name, const char *other) {
    const char *value = getenv(name);
    if ((!value || !*value) && other) {
        value = getenv(other);
    }
    return value && *value ? value : NULL;
}

/* NULL when memory runs out. */
static struct curl_slist *request_headers(const struct download_part *part) {
    struct curl_slist *list = curl_slist_append(NULL, "Accept-Encoding: identity"), *longer = list;
    if (list && part->size > 0) {
        char line[400];
        snprintf(line, sizeof line, "Range: bytes=%" PRIu64 "-", part->size);
        longer = curl_slist_append(list, line);
        if (longer) {
            snprintf(line, sizeof line, "If-Range: %s", part_validator(part));
            longer = curl_slist_append(longer, line);
        }
        if (!longer) {
            curl_slist_free_all(list);
        }
    }
    return longer;
}

static void set_options(struct answer *a, struct curl_slist *headers) {
    struct http_exchange *x = a->x;
    CURL *c = a->easy;
    const char *ca_file = environment_path("SSL_CERT_FILE", "CURL_CA_BUNDLE");
    const char *ca_folder = environment_path("SSL_CERT_DIR", NULL);
    curl_easy_setopt(c, CURLOPT_URL, x->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, x->http_allowed ? "https,http" : "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)x->download->patience->connect);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L); /* never wait for a name server when stopping */
    curl_easy_setopt(c, CURLOPT_USERAGENT, "allmem/" ALLMEM_VERSION);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, a);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, a);
    if (ca_file) {
        curl_easy_setopt(c, CURLOPT_CAINFO, ca_file);
    }
    if (ca_folder) {
        curl_easy_setopt(c, CURLOPT_CAPATH, ca_folder);
    }
}

/* Too few bytes for too long, from the first moment on. */
static bool stalled(struct answer *a) {
    const struct download_patience *patience = a->x->download->patience;
    double now = clock_seconds();
    if (now - a->stretch_start < 1e-3 * patience->stall) {
        return false;
    }
    bool slow = a->stretch_bytes < patience->stall_bytes;
    a->stretch_start = now;
    a->stretch_bytes = 0;
    return slow;
}

static CURLcode transfer(struct answer *a, CURLM *multi) {
    const struct download *d = a->x->download;
    int running = 1, left;
    a->stretch_start = clock_seconds();
    while (running) {
        if (curl_multi_perform(multi, &running) != CURLM_OK) {
            return CURLE_OUT_OF_MEMORY;
        }
        if (running && d->watch.stop && d->watch.stop(d->watch.context)) {
            interrupt_error(a->error);
            end_with(a, HTTP_FAILED);
            return CURLE_ABORTED_BY_CALLBACK;
        }
        if (running && stalled(a)) {
            return CURLE_OPERATION_TIMEDOUT;
        }
        if (running) {
            curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
        }
    }
    const struct CURLMsg *message = curl_multi_info_read(multi, &left);
    return message ? message->data.result : CURLE_OUT_OF_MEMORY;
}

/* ---- after the transfer ---- */

static enum http_outcome refused_certificate(const char *shown, CURLcode code, const char *detail,
                                             struct error *error) {
    error_set(error, ERROR_NETWORK, "%s: the server's certificate is refused: %s", shown,
              *detail ? detail : curl_easy_strerror(code));
    return HTTP_FAILED;
}

static enum http_outcome broken(struct answer *a, const char *shown, const char *cause) {
    const struct download_part *part = a->x->part;
    char of[32] = "";
    if (part->total != PART_UNKNOWN) {
        snprintf(of, sizeof of, " of %" PRIu64, part->total);
    }
    error_set(a->error, ERROR_NETWORK, "%s: the connection broke after %" PRIu64 "%s bytes: %s",
              shown, part->size, of, cause);
    return HTTP_RETRY;
}

/* libcurl says that it failed. */
static enum http_outcome finish_failure(struct answer *a, CURLcode code, const char *detail) {
    struct http_exchange *x = a->x;
    char shown[URL_SHOWN_MAX], proxy[URL_SHOWN_MAX + 32];
    url_shown(x->url, shown);
    const char *cause = *detail ? detail : curl_easy_strerror(code);
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
        return refused_certificate(shown, code, detail, a->error);
    case CURLE_OPERATION_TIMEDOUT:
        error_set(a->error, ERROR_NETWORK, "%s: nothing came for too long%s", shown,
                  x->answered ? "" : proxy_shown(proxy));
        return HTTP_RETRY;
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return broken(a, shown, cause);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
        error_set(a->error, ERROR_NETWORK, "%s: %s%s", shown, cause, proxy_shown(proxy));
        /* A wrong name or a machine without network is told at once; a network that just worked
         * is given time to come back. */
        return x->fetched > 0 ? HTTP_RETRY : HTTP_FAILED;
    case CURLE_OUT_OF_MEMORY:
        error_set(a->error, ERROR_NO_SPACE, "out of memory");
        return HTTP_FAILED;
    default:
        error_set(a->error, ERROR_NETWORK, "%s: %s", shown, cause);
        return HTTP_FAILED;
    }
}

/* There is an answer, and its body was ignored. */
static enum http_outcome finish_status(struct answer *a, long status) {
    struct http_exchange *x = a->x;
    char shown[URL_SHOWN_MAX], *location = NULL;
    curl_off_t after = 0;
    uint64_t total;
    url_shown(x->url, shown);
    curl_easy_getinfo(a->easy, CURLINFO_RETRY_AFTER, &after);
    switch (status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        curl_easy_getinfo(a->easy, CURLINFO_REDIRECT_URL, &location);
        if (!location) {
            error_set(a->error, ERROR_NETWORK, "%s: a redirect that leads nowhere", shown);
            return HTTP_FAILED;
        }
        x->location = strdup(location);
        if (!x->location) {
            error_set(a->error, ERROR_NO_SPACE, "out of memory");
            return HTTP_FAILED;
        }
        return HTTP_REDIRECT;
    case 416:
        if (x->part->size > 0 && read_total(a->range, &total) && total == x->part->size) {
            return HTTP_DONE;
        }
        if (x->part->size > 0) {
            say(x, "the server has less than what is here; starting from the beginning");
            return HTTP_RESTART;
        }
        break;
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        error_set(a->error, ERROR_NETWORK, "%s: the server answers %ld%s", shown, status,
                  status == 429 ? " (too many requests)" : "");
        x->retry_after = after < 0 ? 0 : after > UINT32_MAX ? UINT32_MAX : (unsigned)after;
        return HTTP_RETRY;
    default:
        break;
    }
    error_set(a->error, ERROR_NETWORK, "%s: the server answers %ld%s", shown, status,
              status == 404                    ? " (no such file)"
              : status == 401 || status == 403 ? " (not allowed; AllMem sends no credentials)"
                                               : "");
    return HTTP_FAILED;
}

static enum http_outcome finish(struct answer *a, CURLcode code, const char *detail) {
    struct http_exchange *x = a->x;
    char shown[URL_SHOWN_MAX];
    if (a->ours) {
        return a->outcome;
    }
    if (a->hidden) {
        error_set(a->error, ERROR_NETWORK,
                  "%s: a redirect to a private address, which only a typed URL may name",
                  url_shown(x->url, shown));
        return HTTP_FAILED;
    }
    if (code == CURLE_OK && !a->judged) {
        judge(a); /* a body without a byte */
        if (a->ours) {
            return a->outcome;
        }
    }
    long status = 0;
    curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &status);
    if (!a->wanted && a->judged && (code == CURLE_OK || a->ignored > IGNORED_BODY_MOST)) {
        return finish_status(a, status);
    }
    if (code != CURLE_OK) {
        return finish_failure(a, code, detail);
    }
    if (x->part->total != PART_UNKNOWN && x->part->size < x->part->total) {
        error_set(a->error, ERROR_NETWORK, "%s: %" PRIu64 " of %" PRIu64 " bytes came",
                  url_shown(x->url, shown), x->part->size, x->part->total);
        return HTTP_RETRY;
    }
    return HTTP_DONE;
}

enum http_outcome http_fetch(struct http_exchange *x, struct error *error) {
    http_finish(x);
    struct answer a = {.x = x, .error = error, .easy = curl_easy_init()};
    CURLM *multi = curl_multi_init();
    struct curl_slist *headers = request_headers(x->part);
    char detail[CURL_ERROR_SIZE] = "";
    enum http_outcome outcome = HTTP_FAILED;
    if (!a.easy || !multi || !headers) {
        error_set(error, ERROR_NO_SPACE, "out of memory");
    } else {
        set_options(&a, headers);
        curl_easy_setopt(a.easy, CURLOPT_ERRORBUFFER, detail);
        curl_multi_add_handle(multi, a.easy);
        CURLcode code = transfer(&a, multi);
        outcome = finish(&a, code, detail);
        curl_multi_remove_handle(multi, a.easy);
    }
    curl_easy_cleanup(a.easy);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    return outcome;
}

void http_finish(struct http_exchange *x) {
    free(x->location);
    x->location = NULL;
    x->retry_after = 0;
    x->answered = false;
}
